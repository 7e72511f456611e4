"""Every layout of THINGS-EEG2: recognised by looking, and read into the same trials."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import safe_load, things_eeg2
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.simulation.formats import FORMATS
from neuroclip_hf.data.sources import epoched
from neuroclip_hf.data.sources.layouts import LAYOUTS, recognise
from neuroclip_hf.data.sources.layouts.base import place_samples
from neuroclip_hf.data.sources.things_eeg2 import default_epochs, prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

CHANNELS = ("Fp1", "P7", "O1", "O2")
SMALL: dict[str, Any] = {
    "channels": CHANNELS,
    "subjects": (1, 3),
    "concepts": 4,
    "test_concepts": 3,
    "images_per_concept": 2,
    "train_repeats": 2,
    "test_repeats": 4,
    "sessions": 2,
    "image_size": 16,
    "sampling_rate": 500,
}
EPOCHED = ("release", "nice", "ubp", "neurobridge")
FIRST = {
    "raw": "sub-01/ses-01/raw_eeg_training.npy",
    "brainvision": "sub-01/ses-01/raw_eeg_training.vhdr",
    "release": "sub-01/preprocessed_eeg_training.npy",
    "nice": "sub-01/preprocessed_eeg_training.npy",
    "ubp": "sub-01/train.pt",
    "neurobridge": "sub-01/train.npy",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """The same simulation in every format."""
    root = tmp_path_factory.mktemp("layouts")
    for name in FORMATS:
        simulate_things_eeg2(root / name, format=name, **SMALL)
    return {name: root / name for name in FORMATS}


@pytest.fixture(scope="module")
def stores(written, tmp_path_factory) -> dict[str, TrialStore]:
    """All channels of each."""
    root = tmp_path_factory.mktemp("stores")
    return {
        name: TrialStore(prepare_things_eeg2(path, root / name, channels=["all"])) for name, path in written.items()
    }


@pytest.fixture
def copied(written, tmp_path):
    """A copy of the simulation in one format, to be damaged."""
    return lambda name: Path(shutil.copytree(written[name], tmp_path / "data"))


def by_picture(store: TrialStore, subject: str, split: str) -> dict[str, np.ndarray]:
    rows = store.select(split, [subject])
    ids = store.trials[columns.IMAGE_ID].to_numpy()[rows]
    values = store.read(rows)
    return {name: values[ids == name] for name in sorted(set(ids))}


def test_every_format_has_a_layout():
    assert list(LAYOUTS) == list(FORMATS) == list(FIRST)


@pytest.mark.parametrize("name", list(FIRST))
def test_a_layout_is_recognised_by_looking(written, name):
    assert recognise(written[name]).name == name
    assert sorted(LAYOUTS[name].files(written[name])) == [1, 3]
    others = [other.name for other in LAYOUTS.values() if other.files(written[name])]
    assert others == [name]


@pytest.mark.parametrize("name", ["nice", "ubp", "neurobridge"])
def test_containers_hold_the_epochs_of_the_recordings(stores, name):
    for subject in ("sub-01", "sub-03"):
        for split in (TRAIN, TEST):
            expected, found = (by_picture(stores[one], subject, split) for one in ("raw", name))
            assert list(found) == list(expected)
            for picture, values in found.items():
                assert len(values) == len(expected[picture])
                # Recordings stand in the order of time, containers in that of the shuffle that chose repeats.
                distances = np.abs(values[:, None] - expected[picture][None]).max(axis=(2, 3))
                assert (distances.min(axis=1) < 0.02).all()
                assert sorted(distances.argmin(axis=1)) == list(range(len(values)))


def test_brainvision_is_the_raw_recording(stores):
    raw, brainvision = stores["raw"], stores["brainvision"]
    names = [name for name in raw.trials.columns if name not in (columns.FILE, columns.DIGEST)]
    assert raw.trials[names].equals(brainvision.trials[names])
    rows = np.arange(len(raw.trials))
    np.testing.assert_allclose(brainvision.read(rows), raw.read(rows), rtol=2e-3, atol=2e-3)
    assert "sub-01/ses-01/raw_eeg_test.eeg" in brainvision.info.sources
    assert brainvision.info.settings["layout"] == "brainvision"


def test_catch_trials_and_other_marks_of_brainvision_are_dropped(copied, stores, tmp_path):
    data = copied("brainvision")
    for path in data.glob("sub-*/ses-*/*.vmrk"):
        lines = path.read_text(encoding="utf-8").splitlines()
        more = [f"Mk{900 + n}={mark},{300 + n},1,0" for n, mark in enumerate(("Stimulus,S99999", "Response,R  1"))]
        path.write_text("\n".join([*lines, *more, ""]), encoding="utf-8")
    made = TrialStore(prepare_things_eeg2(data, tmp_path / "store", channels=["all"]))
    assert made.trials.equals(stores["brainvision"].trials)


def test_the_release_is_taken_as_it_is(stores, written):
    store = stores["release"]
    content = safe_load.load(written["release"] / "sub-03" / "preprocessed_eeg_test.npy")
    assert store.info.channels == content["ch_names"] == ["P7", "O1", "O2"]
    assert (store.info.sampling_rate, store.info.window_start, store.info.num_timesteps) == (100.0, -0.2, 100)
    values = content["preprocessed_eeg_data"]
    expected = values.reshape(-1, *values.shape[2:]).astype(np.float16)
    np.testing.assert_array_equal(store.read(store.select(TEST, ["sub-03"])), expected)


@pytest.mark.parametrize("name", EPOCHED)
def test_a_store_from_a_container_says_so(stores, written, name):
    info = stores[name].info
    assert (info.source, info.unit, info.data, info.protocol) == ("things-eeg2", "sd", "simulated", "new-concepts")
    assert (info.settings["layout"], info.settings["already_epoched"]) == (name, True)
    leak = "release: whitened over training and test epochs by its makers (a known leak)"
    assert info.whitening_fit == (leak if name == "release" else "unknown (done before)")
    assert info.epochs is None
    assert stores[name].covariances() is None
    assert set(info.sources) >= {FIRST[name], FIRST[name].replace("sub-01", "sub-03")}
    assert "info.json" in info.sources or name != "neurobridge"


@pytest.mark.parametrize("name", EPOCHED)
def test_pictures_repeats_and_sessions_of_containers(stores, written, name):
    store = stores[name]
    metadata = things_eeg2.read_image_metadata(written[name])
    trials = store.trials.iloc[store.select(TRAIN, ["sub-01"])]
    assert trials[columns.IMAGE_ID].tolist() == [metadata.image_id(TRAIN, 1 + n // 2) for n in range(16)]
    assert trials[columns.REPEAT].tolist() == [0, 1] * 8
    assert trials[columns.SAMPLE].tolist() == list(range(16))
    assert (trials[columns.CONCEPT] == [metadata.concept(TRAIN, 1 + n // 2) for n in range(16)]).all()
    known = stores["raw"].trials.iloc[stores["raw"].select(TRAIN, ["sub-01"])]
    known = dict(zip(known[columns.IMAGE_ID], known[columns.SESSION], strict=True))
    expected = [known[name] for name in trials[columns.IMAGE_ID]] if name == "ubp" else [0] * 16
    assert trials[columns.SESSION].tolist() == expected


@pytest.mark.parametrize("name", EPOCHED)
def test_a_window_inside_and_channels_by_name_are_exact(stores, written, tmp_path, name):
    settings = EpochSettings(window=(0.1, 0.5), baseline=(-0.2, 0.0))
    made = prepare_things_eeg2(written[name], tmp_path / "store", subjects=[3], channels=["O2", "P7"], epochs=settings)
    part, whole = TrialStore(made), stores[name]
    assert part.info.channels == ["O2", "P7"]
    rate = whole.info.sampling_rate
    first = round((0.1 - whole.info.window_start) * rate)
    assert (part.info.window_start, part.info.num_timesteps) == (0.1, round(0.4 * rate))
    picks = [whole.info.channels.index(channel) for channel in ("O2", "P7")]
    values = whole.read(whole.select(TRAIN, ["sub-03"]))[:, picks, first : first + round(0.4 * rate)]
    np.testing.assert_array_equal(part.read(part.select(TRAIN)), values)


@pytest.mark.parametrize("name", EPOCHED)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"whitening": "session"}, "whitening is 'session', but .* which were whitened before: leave --whitening out"),
        ({"whitening": "none"}, "whitening is 'none', but"),
        ({"epochs": EpochSettings(window=(0.0, 1.2))}, r"test\.\w+ holds epochs .* --window 0,1.2 is not inside"),
        ({"epochs": EpochSettings(window=(-0.3, 0.5))}, "--window -0.3,0.5 is not inside"),
        ({"epochs": EpochSettings(window=(0.0013, 0.5))}, "--window 0.0013,0.5 does not begin and end at a sample"),
        ({"epochs": EpochSettings(window=(0, 0.5), sampling_rate=500)}, "--rate 500 needs the recordings"),
        ({"epochs": EpochSettings(window=(0, 0.5), sampling_rate=50)}, "--rate 50 needs the recordings"),
        ({"epochs": EpochSettings(window=(0, 0.5), baseline=None)}, "another baseline"),
        ({"channels": ["O1", "Cz"]}, "has no channel Cz; it has .*O1"),
        ({"channels": ["O1", "O1"]}, "a name occurs twice"),
        ({"subjects": [2]}, "holds no subject 2; it holds 1, 3"),
    ],
)
def test_what_a_container_cannot_give_is_refused(written, tmp_path, name, options, message):
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(written[name], tmp_path / "store", **{"channels": ["all"], **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EPOCHED)
def test_blocks_change_nothing(stores, written, tmp_path, monkeypatch, snapshot, name):
    monkeypatch.setattr(epoched, "BLOCK", 5)
    made = prepare_things_eeg2(written[name], tmp_path / "store", channels=["all"])
    assert snapshot(made) == snapshot(stores[name].path)


def test_default_epochs_are_those_of_the_files(written):
    assert default_epochs(written["raw"]) == EpochSettings(sampling_rate=250.0)
    release = default_epochs(written["release"])
    assert (release.window, release.sampling_rate) == (pytest.approx((-0.2, 0.8)), 100.0)
    assert default_epochs(written["ubp"]).window == (0.0, 1.0)


def test_mixed_and_empty_folders_are_named(written, copied, tmp_path):
    data = copied("raw")
    shutil.copytree(written["nice"] / "sub-01", data / "sub-01", dirs_exist_ok=True)
    message = (
        r"holds raw files \(sub-01/ses-01/raw_eeg_test.npy\) and epochs of NICE or ATM \(sub-01/preprocessed_eeg_test"
    )
    with pytest.raises(InputError, match=message):
        recognise(data)
    shutil.copytree(written["release"] / "sub-03", data / "sub-03", dirs_exist_ok=True)
    with pytest.raises(InputError, match=r"and epochs of the dataset's own release .* and epochs of NICE"):
        recognise(data)
    (tmp_path / "empty" / "sub-01").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"holds none of sub-XX/ses-XX/raw_eeg_training.npy, .*sub-XX/train.npy: name"
    ):
        recognise(tmp_path / "empty")
    with pytest.raises(InputError, match="missing is not a folder"):
        recognise(tmp_path / "missing")


def test_a_release_like_file_at_another_rate_has_an_unknown_whitening(copied, tmp_path):
    data = copied("nice")
    for path in data.glob("sub-*/*.npy"):
        np.save(path, np.array(safe_load.load(path), dtype=object), allow_pickle=True)
    store = TrialStore(prepare_things_eeg2(data, tmp_path / "store", channels=["all"]))
    assert (store.info.settings["layout"], store.info.whitening_fit) == (
        "release or nice",
        "unknown (done before)",
    )


def test_tensors_and_pictures_in_other_folders_are_read(copied, written, stores, tmp_path):
    import torch

    data = copied("ubp")
    for path in data.glob("sub-*/*.pt"):
        content = safe_load.load(path)
        content["eeg"] = torch.from_numpy(np.array(content["eeg"]))
        content["img"] = np.array([f"./Image_set\\{Path(name).parent.name}/{Path(name).name}"
                                   for name in content["img"][:, 0]])  # fmt: skip
        torch.save(content, path)
    made = TrialStore(prepare_things_eeg2(data, tmp_path / "store", channels=["all"]))
    assert made.trials.equals(stores["ubp"].trials)


@pytest.mark.parametrize("name", ["nice", "neurobridge"])
def test_without_a_table_pictures_are_those_of_the_folders(copied, stores, tmp_path, name):
    data = copied(name)
    (data / "image_metadata.npy").unlink()
    (data / "test_images").rename(tmp_path / "test_images")
    with pytest.raises(InputError, match=r"test_images is missing: put test_images there, or name .* --pictures"):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])
    (data / "training_images").rename(tmp_path / "training_images")
    made = TrialStore(prepare_things_eeg2(data, tmp_path / "store", images=tmp_path, channels=["all"]))
    assert made.trials.equals(stores[name].trials)
    assert default_epochs(data, tmp_path).window == (0.0, 1.0)
    shutil.rmtree(next((tmp_path / "test_images").iterdir()))
    with pytest.raises(InputError, match=r"3 (concepts of 1 )?test pictures, .* has 2"):
        prepare_things_eeg2(data, tmp_path / "other", images=tmp_path, channels=["all"])


def test_recordings_need_their_table(copied, tmp_path):
    data = copied("raw")
    (data / "image_metadata.npy").rename(tmp_path / "image_metadata.npy")
    with pytest.raises(InputError, match=r"image_metadata\.npy is missing: it comes with the dataset"):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])


def rewrite(path: Path, name: str, **changes: Any) -> None:
    if name == "neurobridge":
        info = path.parents[1] / "info.json"
        content = {**json.loads(info.read_text()), **changes}
        info.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
        return
    content = {**safe_load.load(path), **changes}
    content = {key: value for key, value in content.items() if value is not None}
    if name == "ubp":
        import torch

        torch.save(content, path)
    else:
        import pickle

        path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("nice", {"times": None}, "holds .'preprocessed_eeg_data', 'ch_names'. instead of"),
        ("nice", {"times": np.arange(240) / 250}, "240 times for 250 samples"),
        ("nice", {"times": np.arange(251) ** 1.1}, "times are not evenly spaced"),
        (
            "nice",
            {"times": np.arange(280) / 250 - 0.2},
            "280 times from -0.2 s for 250 samples, of which 230 lie after",
        ),
        ("nice", {"ch_names": ["O1", "O2"]}, "4 channels and 2 names"),
        ("nice", {"ch_names": ["O1", "O2", "O1", "P7"]}, "4 channels and 4 names .3 of them different"),
        ("nice", {"preprocessed_eeg_data": np.zeros((3, 4, 250))}, r"\(3, 4, 250\) instead of \(pictures, repeats"),
        ("nice", {"preprocessed_eeg_data": np.zeros((5, 2, 4, 250))}, "of 5 test pictures, .* has 3: they belong"),
        ("ubp", {"img": None}, "instead of eeg, img, session"),
        ("ubp", {"img": np.array(["a/b.jpg"] * 3)}, "img names 'a/b.jpg', which is no test picture"),
        ("ubp", {"session": np.zeros((3, 7))}, r"session has shape \(3, 7\) and eeg"),
        ("ubp", {"session": np.array([0, 1.5, 2])}, "session holds numbers that count nothing"),
        ("neurobridge", {"normalization": "zscore"}, "normalization is 'zscore'"),
        ("neurobridge", {"ch_names": None}, "info.json lacks ch_names"),
        ("neurobridge", {"times": 3}, "must be lists"),
    ],
)
def test_damaged_containers_are_named(copied, tmp_path, name, changes, message):
    data = copied(name)
    rewrite(data / "sub-01" / LAYOUTS[name].file_names[TEST], name, **changes)
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_arrays_of_other_sizes_and_missing_containers_are_named(copied, tmp_path):
    data = copied("neurobridge")
    path = data / "sub-01" / "test.npy"
    np.save(path, np.load(path)[:2])
    with pytest.raises(InputError, match=r"holds 2 concepts of 1 test pictures, .* has 3 of 1"):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])
    np.save(path, np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"is \(3, 4\) instead of \(concepts, pictures"):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])
    path.unlink()
    with pytest.raises(InputError, match=r"sub-01/test.npy is missing: .*--allow-missing"):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])
    store = TrialStore(prepare_things_eeg2(data, tmp_path / "store", channels=["all"], allow_missing=True))
    assert store.info.warnings == ["sub-01/test.npy is missing."]
    assert len(store.select(TEST, ["sub-03"])) == 12


def test_containers_made_in_different_ways_are_refused(copied, tmp_path):
    data = copied("nice")
    rewrite(data / "sub-03" / "preprocessed_eeg_test.npy", "nice", times=np.arange(250) / 200)
    with pytest.raises(
        InputError, match=r"sub-03/.*sampling_rate 200.0 and .*sub-01/.* 250.0: they were made in diff"
    ):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])


@pytest.mark.parametrize(
    ("start", "given", "count", "expected"),
    [
        (-0.2, 300, 250, (250.0, 0.0)),
        (-0.2, 301, 250, (250.0, 0.0)),
        (0.0, 250, 250, (250.0, 0.0)),
        (-0.2, 250, 250, (250.0, -0.2)),
    ],
)
def test_samples_are_placed_by_times(start, given, count, expected):
    assert place_samples(Path("x"), start + np.arange(given) / 250, count) == pytest.approx(expected)
