"""Facts and folders of THINGS-EEG2, on the dataset's own table of pictures and on simulated recordings."""

import os
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError

REAL_DATA = Path(os.environ.get("NEUROCLIP_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "things"
    small = {"concepts": 4, "test_concepts": 3, "images_per_concept": 2, "train_repeats": 2, "test_repeats": 4}
    simulate_things_eeg2(out, subjects=(1, 3), image_size=16, sampling_rate=100, **small)
    return out


def write_raw(folder: Path, **changes: Any) -> Path:
    content = {
        "raw_eeg_data": np.vstack([np.random.default_rng(0).normal(0, 1e-5, (2, 500)), np.zeros(500)]),
        "ch_names": ["Oz", "Mine", "stim"],
        "ch_types": ["eeg", "eeg", "stim"],
        "sfreq": 1000,
        "highpass": 0.01,
        "lowpass": 100,
    }
    content["raw_eeg_data"][2, [0, 100, 101, 200, 300, 301]] = [4, 7, 7, 99999, 2, 1]
    content = {key: value for key, value in {**content, **changes}.items() if value is not None}
    path = folder / "raw_eeg_test.npy"
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def test_facts_agree_with_each_other_and_with_mne() -> None:
    assert len(FACTS.channels) == len(set(FACTS.channels)) == 63
    assert len(FACTS.occipital_channels) == 17
    assert FACTS.channels[-17:] == FACTS.occipital_channels
    assert FACTS.channels[:3] == ("Fp1", "Fp2", "AF7")
    assert FACTS.reference not in FACTS.channels
    assert set(FACTS.channels) <= set(mne.channels.make_standard_montage(FACTS.montage).ch_names)
    assert (FACTS.training_concepts * FACTS.training_pictures, FACTS.test_concepts * FACTS.test_pictures) == (
        16540,
        200,
    )
    assert FACTS.training_repeats % FACTS.sessions_of_training_picture == 0
    assert FACTS.catch_code == 99999


@pytest.mark.skipif(not (REAL_DATA / "things_eeg2").is_dir(), reason="the dataset's own table is not here")
def test_reads_the_real_table() -> None:
    metadata = things_eeg2.read_image_metadata(REAL_DATA / "things_eeg2")
    assert metadata.size(TRAIN) == FACTS.training_concepts * FACTS.training_pictures
    assert metadata.size(TEST) == FACTS.test_concepts
    assert metadata.image_id(TRAIN, 1) == "training_images/00001_aardvark/aardvark_01b.jpg"
    assert metadata.image_id(TRAIN, 16540) == "training_images/01654_zucchini/zucchini_10s.jpg"
    assert metadata.image_id(TEST, 1) == "test_images/00001_aircraft_carrier/aircraft_carrier_06s.jpg"
    assert metadata.concept(TEST, 200) == "00200_wok"
    assert metadata.test_things_concepts[0] == "00010_aircraft_carrier"


def test_raw_files_are_called_by_subject_session_and_split(source: Path) -> None:
    assert things_eeg2.raw_path(source, 3, 2, TRAIN).is_file()
    assert things_eeg2.split_of(things_eeg2.raw_path(source, 3, 2, TEST)) == TEST
    with pytest.raises(InputError, match="is no raw file of THINGS-EEG2"):
        things_eeg2.split_of("sub-01/raw.npy")


def test_reads_a_simulated_recording(source: Path) -> None:
    raw = things_eeg2.read_raw(things_eeg2.raw_path(source, 1, 1, TEST))
    assert raw.ch_names == [*FACTS.channels, "stim"]
    assert raw.get_channel_types() == ["eeg"] * 63 + ["stim"]
    assert 5e-6 < raw.get_data("eeg").std() < 1e-4
    assert np.isfinite([channel["loc"][:3] for channel in raw.info["chs"][:63]]).all()
    assert raw.info["description"] == SIMULATED_DESCRIPTION
    onsets, codes = things_eeg2.read_events(raw)
    assert sorted(codes.tolist()) == [1, 2, 3]
    assert (np.diff(onsets) >= 20).all()
    metadata = things_eeg2.read_image_metadata(source)
    paths = {source / metadata.image_id(TEST, code) for code in codes}
    assert paths == set((source / "test_images").glob("*/*.jpg"))


def test_reads_events_exactly_and_drops_catch_trials(tmp_path: Path) -> None:
    raw = things_eeg2.read_raw(write_raw(tmp_path))
    onsets, codes = things_eeg2.read_events(raw)
    assert onsets.tolist() == [0, 100, 300, 301]
    assert codes.tolist() == [4, 7, 2, 1]
    assert onsets.dtype == codes.dtype == np.int64
    assert raw.info["description"] is None
    assert (raw.info["sfreq"], raw.info["highpass"], raw.info["lowpass"]) == (1000, 0.01, 100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"raw_eeg_data": None}, "raw_eeg_data"),
        ({"ch_types": None}, "ch_types"),
        ({"raw_eeg_data": np.zeros((3, 4, 5))}, r"\(3, 4, 5\)"),
        ({"raw_eeg_data": np.zeros((3, 0))}, r"\(3, 0\)"),
        ({"raw_eeg_data": [1, 2, 3]}, "list"),
        ({"raw_eeg_data": np.zeros((4, 500))}, "4 rows, 3 channel names"),
        ({"ch_names": ["Oz", "Oz", "stim"]}, "twice"),
        ({"ch_types": ["eeg", "eeg", "eeg"]}, "stimulus channel"),
        ({"sfreq": 0}, "sfreq is 0"),
        ({"sfreq": "fast"}, "sfreq is 'fast'"),
        ({"raw_eeg_data": np.random.default_rng(0).normal(0, 10, (3, 500))}, "volts"),
    ],
)
def test_wrong_recordings_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_raw(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        things_eeg2.read_raw(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_img_files": None}, "train_img_files"),
        ({"train_img_files": ["a.jpg"]}, "lengths"),
        ({"train_img_concepts_THINGS": ["a"]}, "lengths"),
        ({"test_img_files": [], "test_img_concepts": []}, "lengths"),
        ({"test_img_files": ["../../etc/passwd"]}, "passwd"),
        ({"test_img_concepts": [".."]}, r"'\.\.'"),
        ({"test_img_files": [3]}, "holds 3"),
        ({"test_img_files": "a.jpg"}, "str instead of a list"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    content = {
        "train_img_concepts": ["00001_a", "00001_a"],
        "train_img_files": ["a_01s.jpg", "a_02s.jpg"],
        "test_img_concepts": ["00001_b"],
        "test_img_files": ["b_01s.jpg"],
    }
    content = {key: value for key, value in {**content, **changes}.items() if value is not None}
    np.save(tmp_path / "image_metadata.npy", np.array(content, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=message):
        things_eeg2.read_image_metadata(tmp_path)


def test_missing_tables_and_codes_are_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image_metadata\.npy"):
        things_eeg2.read_image_metadata(tmp_path)
    metadata = things_eeg2.read_image_metadata(source)
    for code in (0, 4, 99999):
        with pytest.raises(InputError, match=f"number {code}"):
            metadata.image_id(TEST, code)
