"""What a folder of THINGS-EEG2 lacks is an error, or a warning in store.json where it may be missing."""

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import safe_load, things_eeg2
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.verification import check_store
from neuroclip_hf.errors import InputError


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("written")
    for name in ("raw", "neurobridge", "ubp"):
        simulate_things_eeg2(
            root / name, format=name, subjects=(1, 2), sessions=2, concepts=4, images_per_concept=2, train_repeats=4,
            test_concepts=2, test_repeats=8, sampling_rate=250, channels=("O1", "Oz", "O2"), image_size=16,
        )  # fmt: skip
    return {path.name: path for path in root.iterdir()}


@pytest.fixture
def copied(written, tmp_path):
    return lambda name: Path(shutil.copytree(written[name], tmp_path / "data"))


def change_codes(path: Path, change) -> None:
    content = safe_load.load(path)
    content["raw_eeg_data"] = np.array(content["raw_eeg_data"])
    change(content["raw_eeg_data"][-1])
    path.write_bytes(pickle.dumps(content))


def erase(codes: np.ndarray) -> None:
    codes[:] = 0


def show_once(codes: np.ndarray) -> None:
    """Every picture keeps its first showing."""
    for code in set(codes) - {0.0}:
        codes[np.flatnonzero(codes == code)[1:]] = 0


def refused_or_warned(data: Path, out: Path, message: str, **options) -> TrialStore:
    options = {"channels": ["all"], **options}
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(data, out, **options)
    store = TrialStore(prepare_things_eeg2(data, out, allow_missing=True, **options))
    assert any(re.search(message, warning) for warning in store.info.warnings), store.info.warnings
    assert check_store(out).problems == []
    return store


@pytest.mark.parametrize("name", ["raw", "neurobridge"])
def test_a_subject_without_files_is_told(copied, tmp_path, name):
    data = copied(name)
    shutil.rmtree(data / "sub-02")
    (data / "sub-02").mkdir()
    assert refused_or_warned(data, tmp_path / "store", "sub-02 holds no ").subjects == ["sub-01"]
    made = prepare_things_eeg2(data, tmp_path / "named", channels=["all"], subjects=[1])
    assert TrialStore(made).info.warnings == []


@pytest.mark.parametrize("subject", [1, 2])
def test_a_subject_that_saw_pictures_less_often_than_others_is_told(copied, tmp_path, subject):
    data = copied("raw")
    for session in (1, 2):
        change_codes(things_eeg2.raw_path(data, subject, session, TRAIN), show_once)
    message = rf"sub-0{subject}/ses-01: train pictures were shown 1 times, and 4 times in other sessions"
    store = refused_or_warned(data, tmp_path / "store", message)
    assert len(store.info.warnings) == 2


@pytest.mark.parametrize("whitening", ["session", "training-subjects", "none"])
def test_a_recording_without_codes_is_left_out(copied, tmp_path, whitening):
    data = copied("raw")
    change_codes(things_eeg2.raw_path(data, 2, 1, TEST), erase)
    change_codes(things_eeg2.raw_path(data, 1, 2, TRAIN), erase)
    message = r"sub-01/ses-02/raw_eeg_training.npy shows no picture: it holds no stimulus code"
    store = refused_or_warned(data, tmp_path / "store", message, whitening=whitening)
    assert any("sub-02/ses-01/raw_eeg_test.npy shows no picture" in warning for warning in store.info.warnings)
    sessions = {(name, split): set(store.trials["session"][store.select(split, [name])])
                for name in store.subjects for split in (TRAIN, TEST)}  # fmt: skip
    assert sessions["sub-01", TRAIN] == {1}
    assert sessions["sub-01", TEST] == ({1} if whitening == "session" else {1, 2})
    assert sessions["sub-02", TEST] == {2}


def test_a_subject_whose_training_shows_nothing_is_refused(copied, tmp_path):
    data = copied("raw")
    for session in (1, 2):
        change_codes(things_eeg2.raw_path(data, 1, session, TRAIN), erase)
    for whitening in ("session", "training-subjects", "none"):
        with pytest.raises(InputError, match=r"01 has no training recording that shows pictures: leave it|nobody but"):
            prepare_things_eeg2(data, tmp_path / "store", channels=["all"], whitening=whitening, allow_missing=True)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"channels": ["stim"]}, "channel stim is of type stim, neither EEG nor MEG"),
        ({"sfreq": 1e300}, {}, r"raw_eeg_training.npy: sfreq is 1e\+300 instead of samples per second"),
    ],
)
def test_strange_recordings_are_refused_with_words(copied, tmp_path, changes, options, message):
    data = copied("raw")
    path = things_eeg2.raw_path(data, 1, 1, TRAIN)
    path.write_bytes(pickle.dumps({**safe_load.load(path), **changes}))
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(data, tmp_path / "store", **{"channels": ["all"], **options})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("eeg", "bfloat16", "eeg is torch.bfloat16, which is no type of array"),
        ("session", [["a"] * 8] * 2, "session holds no numbers"),
        ("times", ["a"], "its times are no numbers"),
        ("times", [place * 1e-300 for place in range(250)], "times come every 1e-300 s"),
    ],
)
def test_strange_containers_are_refused_with_words(copied, tmp_path, key, value, message):
    import torch

    data = copied("ubp")
    path = data / "sub-01" / "test.pt"
    content = safe_load.load(path)
    value = torch.as_tensor(np.array(content[key]).astype("f4")).bfloat16() if value == "bfloat16" else value
    torch.save({**content, key: value}, path)
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(data, tmp_path / "store", channels=["all"])


def test_a_container_with_fewer_repeats_than_others_is_told(copied, tmp_path):
    data = copied("neurobridge")
    path = data / "sub-02" / "test.npy"
    np.save(path, np.load(path)[:, :, :5])
    message = "sub-02/test: 5 repeats of a picture, and 8 of other subjects"
    assert len(refused_or_warned(data, tmp_path / "store", message).select(TEST, ["2"])) == 10


def test_trials_that_a_table_gives_to_another_picture(copied, tmp_path):
    import torch

    data = copied("ubp")
    path = data / "sub-01" / "test.pt"
    content = safe_load.load(path)
    images = np.array(content["img"])
    images[1] = images[0]
    torch.save({**content, "img": images}, path)
    for allow_missing in (False, True):
        with pytest.raises(InputError, match=r"test\.pt: label .* and img .* do not fit each other"):
            prepare_things_eeg2(data, tmp_path / "store", channels=["all"], allow_missing=allow_missing)
    torch.save({key: value for key, value in {**content, "img": images}.items() if key != "label"}, path)
    message = r"sub-01/test.pt: 1 of 2 test pictures have fewer trials than the others \(0 instead of 16"
    refused_or_warned(data, tmp_path / "store", message)
