"""What the formats refuse, and that nothing is left of what was broken off; BrainVision beside the raw files."""

import errno
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.recordings import find_recordings, open_recording
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.simulation.formats import FORMATS, containers
from neuroclip_hf.data.simulation.formats.brainvision import BrainVision
from neuroclip_hf.data.simulation.formats.epoched import EpochedFormat
from neuroclip_hf.data.simulation.formats.raw import Raw
from neuroclip_hf.data.things_eeg2 import marker_code
from neuroclip_hf.errors import InputError

SMALL: dict[str, Any] = {
    "channels": ("Fp1", "Cz", "O1"),
    "concepts": 2,
    "test_concepts": 2,
    "images_per_concept": 5,
    "test_repeats": 8,
    "image_size": 16,
    "sampling_rate": 250,
}


def both(tmp_path: Path, **changes: Any) -> tuple[Path, Path]:
    for name in ("raw", "brainvision"):
        simulate_things_eeg2(tmp_path / name, format=name, **{**SMALL, **changes})
    return tmp_path / "raw", tmp_path / "brainvision"


def test_brainvision_holds_the_signal_and_codes_of_the_raw_files(tmp_path):
    raw_folder, folder = both(tmp_path)
    caught = 0
    for session in range(1, 5):
        for split in (TRAIN, TEST):
            raw = things_eeg2.read_raw(things_eeg2.raw_path(raw_folder, 1, session, split))
            path = things_eeg2.raw_path(folder, 1, session, split).with_suffix(".vhdr")
            read = mne.io.read_raw_brainvision(path, preload=True, verbose="error")
            assert read.ch_names == list(SMALL["channels"])
            assert set(read.get_channel_types()) == {"eeg"}
            assert read.info["sfreq"] == 250
            np.testing.assert_allclose(read.get_data(), raw.get_data(picks="eeg"), rtol=1e-12)
            expected = mne.find_events(raw, "stim", verbose="error")
            events, _ = mne.events_from_annotations(read, event_id=marker_code, verbose="error")
            np.testing.assert_array_equal(events[:, [0, 2]], expected[:, [0, 2]])
            alone, _ = mne.events_from_annotations(read, verbose="error")  # three digits, and 10001 for what is longer
            np.testing.assert_array_equal(np.where(alone[:, 2] == 10001, 99999, alone[:, 2]), expected[:, 2])
            caught += int((events[:, 2] == 99999).sum())
    assert caught > 0


def test_brainvision_files_are_found_as_recordings_of_their_subject_and_session(tmp_path):
    _, folder = both(tmp_path)
    path = folder / "sub-01" / "ses-02" / "raw_eeg_test.vhdr"
    (file,) = find_recordings([path])
    assert (file.subject, file.session) == ("sub-01", 2)
    assert len(open_recording(file).events) >= 4
    header = path.read_text(encoding="utf-8")
    assert "BinaryFormat=INT_16" in header
    assert "Ch3=O1,Fz,0.05,µV" in header
    assert sorted(one.name for one in path.parent.iterdir()) == [
        f"raw_eeg_{split}.{suffix}" for split in ("test", "training") for suffix in ("eeg", "vhdr", "vmrk")
    ]


@pytest.mark.parametrize(
    ("name", "code"),
    [("Stimulus/S  1", 1), ("Stimulus/S16540", 16540), ("New Segment/", None), ("Comment/S  1", None)],
)
def test_markers_are_read_as_codes(name, code):
    assert marker_code(name) == code


def test_a_channel_that_16_bits_cannot_hold_gets_coarser_steps(tmp_path):
    data = np.zeros((4, 200))
    data[0, :2] = np.array([1638.35, -1638.35]) * 1e-6
    data[1, :3] = np.array([3000.0, -2999.95, 0.05]) * 1e-6
    data[-1, 20] = 7
    settings = simulate_things_eeg2(tmp_path / "settings", **SMALL)
    BrainVision().write_recording(tmp_path / "one.npy", settings, data)
    read = mne.io.read_raw_brainvision(tmp_path / "one.vhdr", preload=True, verbose="error").get_data()
    np.testing.assert_allclose(read[0], data[0], atol=1e-15)
    np.testing.assert_allclose(read[1], data[1], atol=0.0501e-6)
    assert "Ch2=Cz,Fz,0.1,µV" in (tmp_path / "one.vhdr").read_text(encoding="utf-8")


def test_bad_channels_fit_into_brainvision(tmp_path):
    raw_folder, folder = both(tmp_path, bad_channels=("Fp1", "Cz"))
    for split in (TRAIN, TEST):
        path = things_eeg2.raw_path(raw_folder, 1, 1, split)
        expected = things_eeg2.read_raw(path).get_data(picks="eeg")
        path = things_eeg2.raw_path(folder, 1, 1, split).with_suffix(".vhdr")
        read = mne.io.read_raw_brainvision(path, preload=True, verbose="error").get_data()
        np.testing.assert_allclose(read[2], expected[2], rtol=1e-12)
        np.testing.assert_allclose(read, expected, atol=0.2e-6)


@pytest.mark.parametrize("name", FORMATS)
def test_bad_channels_can_be_written_in_every_format(tmp_path, name):
    simulate_things_eeg2(tmp_path / "out", format=name, **{**SMALL, "sessions": 2}, bad_channels=("Cz",))
    assert (tmp_path / "out" / "simulation.json").is_file()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("nise", {}, r"format is 'nise': choose one of raw, brainvision, release, nice, ubp, neurobridge"),
        ("release", {"channels": ("Fp1", "Cz")}, "channels are Fp1, Cz: the format release keeps the occipital"),
        ("nice", {"sampling_rate": 200}, "sampling_rate is 200: the format nice holds 250 Hz"),
        ("ubp", {"sampling_rate": 249}, "sampling_rate is 249"),
        ("neurobridge", {"sampling_rate": 100}, "sampling_rate is 100"),
    ],
)
def test_impossible_formats_are_refused(tmp_path, name, changes, message):
    with pytest.raises(InputError, match=message):
        simulate_things_eeg2(tmp_path / "out", format=name, **{**SMALL, **changes})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_an_existing_folder_is_kept_and_a_full_disk_is_found(tmp_path, monkeypatch, name):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="already exists"):
        simulate_things_eeg2(tmp_path / "mine", format=name, **SMALL)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 0, 20_000))
    with pytest.raises(InputError, match="MB free"):
        simulate_things_eeg2(tmp_path / "out", format=name, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_broken_off_leaves_nothing(tmp_path, monkeypatch, name, error):
    parts = {"raw": (Raw, "write_recording"), "brainvision": (BrainVision, "write_recording")}
    broken, method = parts.get(name, (type(FORMATS[name]), "write_epochs"))
    calls = []

    def break_off(self, *arguments):
        calls.append(list(tmp_path.glob(".out*/**/.epochs-*/*")))
        raise error

    monkeypatch.setattr(broken, method, break_off)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        simulate_things_eeg2(tmp_path / "out", format=name, **SMALL)
    assert bool(calls[0]) == issubclass(broken, EpochedFormat)
    assert not list(tmp_path.iterdir())


def test_every_container_is_in_the_list():
    kinds = {kind for kind in vars(containers).values() if isinstance(kind, type) and issubclass(kind, EpochedFormat)}
    assert kinds - {EpochedFormat} <= {type(form) for form in FORMATS.values()}
    assert [form.name for form in FORMATS.values()] == list(FORMATS)
