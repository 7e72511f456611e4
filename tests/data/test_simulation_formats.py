"""Every format of a simulated THINGS-EEG2: keys, shapes and types, and the numbers of a slow reference."""

import hashlib
import json
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import mne
import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.utils import shuffle

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import safe_load, things_eeg2
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulated import SIMULATION_FILE
from neuroclip_hf.data.simulation import SimulationSettings, planted_codes, simulate_things_eeg2
from neuroclip_hf.data.simulation.formats import FORMATS
from neuroclip_hf.data.simulation.formats.base import RecordingFormat
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore

SPLITS = (TRAIN, TEST)
SMALL: dict[str, Any] = {
    "channels": ("Fp1", "Cz", "P7", "O1", "Oz", "O2"),
    "concepts": 5,
    "test_concepts": 3,
    "images_per_concept": 2,
    "test_repeats": 12,
    "snr": 20.0,
    "image_size": 16,
    "sampling_rate": 500,
}
PICKLED = {TRAIN: "preprocessed_eeg_training.npy", TEST: "preprocessed_eeg_test.npy"}
EPOCHED = ("release", "nice", "ubp", "neurobridge")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """The same simulation in every format."""
    root = tmp_path_factory.mktemp("formats")
    for name in FORMATS:
        simulate_things_eeg2(root / name, format=name, **SMALL)
    return {name: root / name for name in FORMATS}


def load(written, name, split) -> Any:
    """The content of a container."""
    files = {"release": PICKLED[split], "nice": PICKLED[split], "ubp": f"{split}.pt", "neurobridge": f"{split}.npy"}
    return safe_load.load(written[name] / "sub-01" / files[name])


def values_of(written, name, split) -> np.ndarray:
    """The epochs of a container, (pictures, repeats, channels, samples)."""
    content = load(written, name, split)
    if name == "neurobridge":
        return content.reshape(-1, *content.shape[2:])
    return content["eeg" if name == "ubp" else "preprocessed_eeg_data"]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def cut_session(folder: Path, session: int, split: str, channels: list[str], stop: float, rate: float):
    """Epochs (pictures shown, repeats, channels, samples) of a raw file and the codes of the pictures, plainly."""
    content = np.load(things_eeg2.raw_path(folder, 1, session, split), allow_pickle=True).item()
    info = mne.create_info(content["ch_names"], content["sfreq"], content["ch_types"])
    raw = mne.io.RawArray(content["raw_eeg_data"], info, verbose="error")
    events = mne.find_events(raw, "stim", verbose="error")
    events = events[events[:, 2] != 99999]
    epochs = mne.Epochs(
        raw, events, tmin=-0.2, tmax=stop, baseline=(None, 0), preload=True, picks=channels, verbose=40
    )
    data = epochs.resample(rate, verbose="error").get_data(copy=False)
    codes = np.unique(events[:, 2])
    most = 2 if split == TRAIN else 20
    chosen = [shuffle(np.flatnonzero(events[:, 2] == code), random_state=20200220)[:most] for code in codes]
    return np.stack([data[rows] for rows in chosen]), codes


def merged_epochs(
    reference: ModuleType,
    folder: Path,
    channels: list[str],
    stop: float,
    rate: float,
    drop: int,
    fitted_on: tuple[str, ...],
    sessions=4,
):
    """Whitened epochs of each split (pictures, repeats, channels, samples), in the order of the published steps."""
    merged: dict[str, dict[int, list[np.ndarray]]] = {TRAIN: {}, TEST: {}}
    for session in range(1, sessions + 1):
        cut = {split: cut_session(folder, session, split, channels, stop, rate) for split in SPLITS}
        cut = {split: (epochs[..., drop:][..., : round(rate)], codes) for split, (epochs, codes) in cut.items()}
        parts = [reference.session_covariance(cut[split][0]) for split in fitted_on]
        matrix = fractional_matrix_power(np.mean(parts, 0), -0.5)
        for split, (epochs, codes) in cut.items():
            for code, picture in zip(codes, epochs, strict=True):
                merged[split].setdefault(int(code), []).extend(matrix @ one for one in picture)
    return {split: np.stack([merged[split][code] for code in sorted(merged[split])]) for split in SPLITS}


@pytest.mark.parametrize(("name", "precision"), [("nice", 1e-9), ("ubp", 1e-3), ("neurobridge", 1e-6)])
def test_epochs_equal_a_plain_reference(reference, written, name, precision):
    expected = merged_epochs(reference, written["raw"], list(SMALL["channels"]), 1.0, 250, 50, (TRAIN,))
    for split, shape in ((TRAIN, (10, 4, 6, 250)), (TEST, (3, 12, 6, 250))):
        values = values_of(written, name, split)
        assert values.shape == shape
        np.testing.assert_allclose(values, expected[split], rtol=precision, atol=precision)


def test_release_equals_a_plain_reference_with_its_leak(reference, written):
    occipital = ["P7", "O1", "Oz", "O2"]
    expected = merged_epochs(reference, written["raw"], occipital, 0.8, 100, 0, (TEST, TRAIN))
    clean = merged_epochs(reference, written["raw"], occipital, 0.8, 100, 0, (TRAIN,))
    for split in SPLITS:
        content = load(written, "release", split)
        np.testing.assert_allclose(content["preprocessed_eeg_data"], expected[split], rtol=1e-9, atol=1e-9)
        assert not np.allclose(expected[split], clean[split], rtol=0.01)


def test_epochs_are_those_that_prepare_makes(written, tmp_path):
    settings = EpochSettings(sampling_rate=250.0)
    store = TrialStore(
        prepare_things_eeg2(written["raw"], tmp_path / "store", channels=SMALL["channels"], epochs=settings)
    )
    metadata = things_eeg2.read_image_metadata(written["nice"])
    for split in SPLITS:
        epochs = values_of(written, "nice", split)
        trials = store.trials[store.trials["split"] == split]
        assert len(trials) == epochs.shape[0] * epochs.shape[1]
        for code, picture in enumerate(epochs, start=1):
            rows = trials.index[trials["image_id"] == metadata.image_id(split, code)]
            mean = np.mean([np.asarray(store.read([row]), dtype=float)[0] for row in rows], axis=0)
            np.testing.assert_allclose(picture.mean(axis=0), mean, atol=0.005)


def test_release_is_a_pickled_dictionary_in_an_array(written):
    for split, shape in ((TRAIN, (10, 4, 4, 100)), (TEST, (3, 12, 4, 100))):
        array = np.load(written["release"] / "sub-01" / PICKLED[split], allow_pickle=True)
        assert (array.shape, array.dtype) == ((), object)
        content = array.item()
        assert list(content) == ["preprocessed_eeg_data", "ch_names", "times"]
        assert content["preprocessed_eeg_data"].dtype == np.float64
        assert content["preprocessed_eeg_data"].shape == shape
        assert content["ch_names"] == ["P7", "O1", "Oz", "O2"]
        np.testing.assert_allclose(content["times"], np.arange(-20, 80) / 100, atol=1e-12)


def test_nice_is_a_plain_pickle_whose_times_are_too_long(written):
    for split in SPLITS:
        content = np.load(written["nice"] / "sub-01" / PICKLED[split], allow_pickle=True)
        assert type(content) is dict
        assert list(content) == ["preprocessed_eeg_data", "ch_names", "times"]
        assert type(content["preprocessed_eeg_data"]) is np.ndarray
        assert content["preprocessed_eeg_data"].dtype == np.float64
        assert content["preprocessed_eeg_data"].flags.writeable
        assert content["ch_names"] == list(SMALL["channels"])
        np.testing.assert_allclose(content["times"], np.arange(-50, 250) / 250, atol=1e-12)


@pytest.mark.parametrize(("recorded", "count"), [(250, 301), (1000, 300)])
def test_times_are_those_of_the_whole_epoch(recorded, count):
    settings = SimulationSettings(**{**SMALL, "sampling_rate": recorded})
    assert len(FORMATS["nice"].times(settings)) == count
    assert len(FORMATS["release"].times(settings)) == 100


def test_ubp_is_a_dictionary_of_arrays_by_torch(written):
    metadata = things_eeg2.read_image_metadata(written["ubp"])
    for split, repeats in ((TRAIN, 4), (TEST, 12)):
        content = load(written, "ubp", split)
        assert list(content) == ["eeg", "label", "img", "text", "session", "ch_names", "times"]
        assert content["eeg"].dtype == np.float16
        count = metadata.size(split)
        for key in ("label", "img", "text", "session"):
            assert content[key].shape == (count, repeats)
            assert key == "session" or (content[key] == content[key][:, :1]).all()
        images = [metadata.image_id(split, code) for code in range(1, count + 1)]
        assert content["img"][:, 0].tolist() == images
        assert all((written["ubp"] / name).is_file() for name in images)
        folders = sorted(path.name for path in (written["ubp"] / things_eeg2.PICTURE_FOLDERS[split]).iterdir())
        assert [folders[label] for label in content["label"][:, 0]] == [name.split("/")[1] for name in images]
        assert [folders[label][6:] for label in content["label"][:, 0]] == content["text"][:, 0].tolist()
        assert content["ch_names"] == list(SMALL["channels"])
        assert len(content["times"]) == 300
        sessions = np.sort(content["session"], axis=1)
        np.testing.assert_array_equal(content["session"], sessions)
        assert set(content["session"].ravel()) == {0, 1, 2, 3}
        assert {len(set(row)) for row in sessions.tolist()} == {2 if split == TRAIN else 4}


def test_ubp_opens_with_torch_and_holds_no_time_of_day(written):
    torch = pytest.importorskip("torch")
    path = written["ubp"] / "sub-01" / "test.pt"
    content = torch.load(path, weights_only=False)
    np.testing.assert_array_equal(content["eeg"], values_of(written, "ubp", TEST))
    assert torch.from_numpy(content["eeg"]).dtype == torch.float16
    with zipfile.ZipFile(path) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_neurobridge_is_plain_arrays_in_the_order_of_folders_and_files(written):
    info = json.loads((written["neurobridge"] / "info.json").read_text())
    assert info["ch_names"] == list(SMALL["channels"])
    assert (info["sfreq"], info["normalization"], info["precision"], len(info["times"])) == (250, "mvnn", "fp32", 300)
    whole = {split: values_of(written, "nice", split) for split in SPLITS}
    for split, shape in ((TRAIN, (5, 2, 4, 6, 250)), (TEST, (3, 1, 12, 6, 250))):
        array = np.load(written["neurobridge"] / "sub-01" / f"{split}.npy", allow_pickle=False)
        assert (array.shape, array.dtype) == (shape, np.float32)
        metadata = things_eeg2.read_image_metadata(written["neurobridge"])
        codes = {metadata.image_id(split, code): code for code in range(1, metadata.size(split) + 1)}
        pictures = written["neurobridge"] / things_eeg2.PICTURE_FOLDERS[split]
        for concept, folder in enumerate(sorted(pictures.iterdir())):
            for number, file in enumerate(sorted(folder.iterdir())):
                code = codes[file.relative_to(written["neurobridge"]).as_posix()]
                np.testing.assert_array_equal(array[concept, number], whole[split][code - 1].astype(np.float32))


def test_epochs_show_their_own_pictures(tmp_path):
    values = {**SMALL, "concepts": 40, "images_per_concept": 1, "sampling_rate": 250}
    simulate_things_eeg2(tmp_path / "out", format="nice", **values)
    epochs = values_of({"nice": tmp_path / "out"}, "nice", TRAIN).mean(axis=1)[..., :125].reshape(40, -1)
    codes = planted_codes(SimulationSettings(**values), TRAIN)
    pairs = np.triu_indices(40, 1)
    far_in_code = np.linalg.norm(codes[:, None] - codes[None], axis=2)

    def agreement(order: np.ndarray) -> float:
        far = np.linalg.norm(epochs[order][:, None] - epochs[order][None], axis=2)
        return float(np.corrcoef(far[pairs], far_in_code[pairs])[0, 1])

    random = np.random.default_rng(0)
    others = [agreement(random.permutation(40)) for _ in range(200)]
    assert agreement(np.arange(40)) > np.max(others)


@pytest.mark.parametrize("name", FORMATS)
def test_equal_seeds_give_equal_bytes_and_others_do_not(written, tmp_path, name):
    simulate_things_eeg2(tmp_path / "elsewhere", format=name, **SMALL)
    assert digests(tmp_path / "elsewhere") == digests(written[name])
    simulate_things_eeg2(tmp_path / "other", format=name, **SMALL, seed=1)
    first, other = digests(written[name]), digests(tmp_path / "other")
    recorded = [file for file in first if file.startswith("sub-") and not file.endswith(".vhdr")]
    assert len(recorded) == {"raw": 8, "brainvision": 16}.get(name, 2)
    assert all(first[file] != other[file] for file in recorded)


@pytest.mark.parametrize("name", FORMATS)
def test_pictures_and_table_lie_beside_every_format(written, name):
    raw, folder = digests(written["raw"]), digests(written[name])
    shared = [file for file in raw if not file.startswith("sub-") and file != SIMULATION_FILE]
    assert {file: folder[file] for file in shared} == {file: raw[file] for file in shared}
    assert json.loads((written[name] / SIMULATION_FILE).read_text())["format"] == name
    extra = {file for file in folder if not file.startswith("sub-")} - set(shared) - {SIMULATION_FILE}
    assert extra == ({"info.json"} if name == "neurobridge" else set())
    assert {path.name[0] for path in written[name].iterdir()}.isdisjoint(".")


@pytest.mark.parametrize("name", FORMATS)
def test_the_size_that_the_disk_is_asked_for_is_enough(written, name):
    form, settings = FORMATS[name], SimulationSettings(**SMALL)
    files = sum(path.stat().st_size for path in written[name].glob("sub-*/**/*") if path.is_file())
    if isinstance(form, RecordingFormat):
        assert form.size(settings) == pytest.approx(files, rel=0.05)
    else:
        assert 2 * files < 1.05 * form.size(settings)
        assert form.size(settings) < 8 * files


def test_more_repeats_than_the_field_uses_are_left_out(reference, tmp_path):
    values = {**SMALL, "train_repeats": 6, "sessions": 2, "test_repeats": 44, "test_concepts": 1}
    for name in ("raw", "neurobridge"):
        simulate_things_eeg2(tmp_path / name, format=name, **values)
    expected = merged_epochs(reference, tmp_path / "raw", list(SMALL["channels"]), 1.0, 250, 50, (TRAIN,), sessions=2)
    for split, shape in ((TRAIN, (10, 2, 6, 250)), (TEST, (1, 40, 6, 250))):
        epochs = values_of({"neurobridge": tmp_path / "neurobridge"}, "neurobridge", split)
        assert epochs.shape == shape
        np.testing.assert_allclose(epochs, expected[split], rtol=1e-5, atol=1e-5)
