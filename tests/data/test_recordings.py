"""Files, names, events and signals of recordings."""

import shutil
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pandas as pd
import pytest

from neuroclip_hf.data import recordings as module
from neuroclip_hf.data.readers import read_with_mne
from neuroclip_hf.data.recordings import check_signal, find_recordings, open_recording, rename_events
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION, SIMULATION_FILE
from neuroclip_hf.errors import InputError

NAMES = ["cat", "dog", "cat"]


def open_one(path: Path, **options):
    return open_recording(find_recordings([path])[0], **options)


def write_bids(raw: mne.io.BaseRaw, root: Path, **entities: str) -> Path:
    path = mne_bids.BIDSPath(root=root, datatype="eeg", task="view", **entities)
    mne_bids.write_raw_bids(raw, path, format="BrainVision", allow_preload=True, verbose="ERROR")
    return path.update(suffix="eeg", extension=".vhdr").fpath


def add_column(events: Path, name: str, values: list[str]) -> None:
    table = pd.read_csv(events, sep="\t", keep_default_na=False)
    table.assign(**{name: values}).to_csv(events, sep="\t", index=False)


def numbers(files):
    return [(file.subject, file.session, file.run) for file in files]


def test_subject_session_and_run_are_read_from_names(make_fif, tmp_path: Path):
    paths = [
        make_fif(name, NAMES)
        for name in (
            "run-09/sub-02_ses-03_run-04_raw.fif",
            "sub-07/ses-02/a_raw.fif",
            "sub-07/ses-02/b_raw.fif",
            "c_raw.fif",
        )
    ]
    assert numbers(find_recordings(paths)) == [("sub-02", 3, 4), ("sub-07", 2, 1), ("sub-07", 2, 2), ("sub-01", 1, 1)]
    assert numbers(find_recordings(paths, "anna"))[-2:] == [("sub-07", 2, 2), ("anna", 1, 1)]


def test_files_of_one_subject_never_share_session_and_run(make_fif):
    names = ("ses-pre_run-1", "ses-post_run-1", "task-a_run-1", "task-b_run-1", "run-x", "plain")
    files = find_recordings([make_fif(f"sub-01_{name}_raw.fif", NAMES) for name in names])
    assert len(set(numbers(files))) == len(files)
    assert numbers(files)[:2] == [("sub-01", 3, 1), ("sub-01", 2, 1)]  # sessions "1", "post", "pre"


def test_paths_that_cannot_be_used(make_fif, tmp_path: Path):
    path = make_fif("a_raw.fif", NAMES)
    for paths, message in (
        ([], "No recording was named: give at least one file"),
        ([tmp_path / "b.fif"], r"b\.fif does not exist: correct the path"),
        ([path, tmp_path / "." / "a_raw.fif"], r"a_raw\.fif was named twice: name it once"),
        ([tmp_path], "is a folder without dataset_description.json: name files, or a BIDS folder"),
    ):
        with pytest.raises(InputError, match=message):
            find_recordings(paths)
    link = tmp_path / "link_raw.fif"
    link.symlink_to(path)
    with pytest.raises(InputError, match="named twice"):
        find_recordings([path, link])


@pytest.mark.parametrize("first_samp", [0, 12345])
def test_events_count_from_the_first_stored_sample(make_fif, first_samp: int):
    recording = open_one(make_fif("a_raw.fif", NAMES, first_samp=first_samp))
    assert recording.raw.first_samp == first_samp
    assert recording.events["sample"].tolist() == [100, 200, 300]
    assert recording.events["name"].tolist() == NAMES
    assert {type(name) for name in recording.events["name"]} == {str}


def test_events_of_brainvision_and_edf(make_raw, tmp_path: Path):
    names = ["Stimulus/S  1", "cat", "Stimulus/S  2"]
    raw = make_raw(names)
    mne.export.export_raw(tmp_path / "a.vhdr", raw, verbose="ERROR")
    mne.export.export_raw(tmp_path / "a.edf", raw, verbose="ERROR")
    for name, prefix in (("a.vhdr", "Comment/"), ("a.edf", "")):
        recording = open_one(tmp_path / name)
        assert recording.events["sample"].tolist() == [100, 200, 300]
        assert recording.events["name"].tolist() == [names[0], f"{prefix}cat", names[2]]
        assert np.allclose(recording.raw.get_data(), raw.get_data(), atol=1e-7)


def test_marks_are_no_events_but_a_badger_is(make_fif):
    marks = [
        "BAD",
        "BAD_blink",
        "bad segment",
        "EDGE boundary",
        "New Segment/",
        "SyncStatus/Sync On",
        "boundary",
        "n/a",
    ]
    recording = open_one(make_fif("a_raw.fif", [*marks, "badger", "edges", "cat"], duration=0.5))
    assert recording.events["name"].tolist() == ["badger", "edges", "cat"]
    epochs = mne.Epochs(
        recording.raw,
        np.array([[900, 0, 1]]),
        tmin=0,
        tmax=0.2,
        baseline=None,
        reject_by_annotation=True,
        preload=True,
        verbose="ERROR",
    )
    assert len(epochs) == 1  # MNE drops what it takes for a bad segment


def test_codes_of_the_stimulus_channel_where_no_annotation_is_left(make_raw, tmp_path: Path):
    raw = make_raw(["eyes closed"], channels=("P7", "P8", "STI"), kinds=["eeg", "eeg", "stim"])
    raw._data[2] = 0
    raw._data[2, 50:52] = 7
    raw._data[2, 120] = 8
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    assert open_one(tmp_path / "a_raw.fif").events["name"].tolist() == ["eyes closed"]
    events = open_one(tmp_path / "a_raw.fif", ignore=["eyes *"]).events
    assert events.to_numpy().tolist() == [[50, "7"], [120, "8"]]
    events = open_one(tmp_path / "a_raw.fif", ignore=["eyes *", "8"]).events
    assert events.to_numpy().tolist() == [[50, "7"]]
    with pytest.raises(InputError, match="no event is left after --ignore"):
        open_one(tmp_path / "a_raw.fif", ignore=["*"])


def test_a_recording_without_events_is_refused(make_fif):
    with pytest.raises(InputError, match=r"a_raw\.fif: it holds no event: add annotations that name the pictures"):
        open_one(make_fif("a_raw.fif", []))


def test_events_are_renamed_and_left_out(make_fif):
    recording = open_one(make_fif("a_raw.fif", ["S1", "S2", "button", "S1"]))
    renamed = rename_events(recording, {"S1": "cat"}, ["but*"])
    assert renamed.events.to_numpy().tolist() == [[100, "cat"], [200, "S2"], [400, "cat"]]
    assert len(recording.events) == 4


def test_two_names_for_one_moment_are_refused(make_raw, tmp_path: Path):
    raw = make_raw(["cat", "dog"])
    raw.set_annotations(raw.annotations + mne.Annotations([1.0, 1.0], 0.1, ["cat", "button"]))
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    recording = open_one(tmp_path / "a_raw.fif")
    with pytest.raises(
        InputError, match=r"a_raw\.fif: events .*'button'.* stand at the same sample \(100\).*--ignore"
    ):
        rename_events(recording, {})
    assert rename_events(recording, {}, ["button"]).events["name"].tolist() == ["cat", "dog"]


def test_a_bids_folder_is_read_with_its_tables(make_raw, tmp_path: Path):
    root = tmp_path / "bids"
    for subject in ("01", "02"):
        for session in ("a", "b"):
            write_bids(make_raw(NAMES, seed=int(subject)), root, subject=subject, session=session)
    derived = root / "derivatives" / "x" / "sub-01" / "ses-a" / "eeg" / "sub-01_ses-a_task-view_eeg.vhdr"
    derived.parent.mkdir(parents=True)
    derived.write_text("not a recording")
    files = find_recordings([root])
    assert numbers(files) == [("sub-01", 1, 1), ("sub-01", 2, 1), ("sub-02", 1, 1), ("sub-02", 2, 1)]
    assert open_recording(files[0]).events["name"].tolist() == NAMES
    assert numbers(find_recordings([root / "sub-02"])) == [("sub-02", 1, 1), ("sub-02", 2, 1)]
    assert open_one(files[3].path).events["name"].tolist() == NAMES  # a file of a BIDS folder, named by itself


def test_the_column_stim_file_of_bids_names_the_picture(make_raw, tmp_path: Path):
    path = write_bids(make_raw(NAMES), tmp_path / "bids", subject="01")
    events = path.with_name("sub-01_task-view_events.tsv")
    add_column(events, "stim_file", ["images/cat_1.png", "n/a", "images/cat_2.png"])
    assert open_one(path).events["name"].tolist() == ["images/cat_1.png", "dog", "images/cat_2.png"]
    add_column(events, "trial_type", ["n/a"] * 3)
    assert open_one(path).events["name"].tolist() == ["images/cat_1.png", "2", "images/cat_2.png"]
    add_column(events, "value", ["n/a"] * 3)
    assert open_one(path).events.to_numpy().tolist() == [[100, "images/cat_1.png"], [300, "images/cat_2.png"]]


def test_a_trial_type_of_bids_with_several_codes_stays_one_name(make_raw, tmp_path: Path):
    path = write_bids(make_raw(NAMES), tmp_path / "bids", subject="01")
    add_column(path.with_name("sub-01_task-view_events.tsv"), "value", ["1", "2", "3"])
    assert open_one(path).events["name"].tolist() == NAMES


def test_bad_segments_of_a_bids_table_stay_marks(make_raw, tmp_path: Path):
    path = write_bids(make_raw(["cat", "BAD_blink", "cat"], duration=0.5), tmp_path / "bids", subject="01")
    recording = open_one(path)
    assert recording.events["name"].tolist() == ["cat", "cat"]
    marks = [one for one in recording.raw.annotations if one["description"] == "BAD_blink"]
    assert [(mark["onset"], mark["duration"]) for mark in marks] == [(2.0, 0.5)]


def test_bad_channels_of_a_bids_table_are_refused(make_raw, tmp_path: Path):
    raw = make_raw(NAMES)
    raw.info["bads"] = ["O1"]
    path = write_bids(raw, tmp_path / "bids", subject="01")
    recording = open_one(path)
    with pytest.raises(InputError, match=r"_eeg\.vhdr: channels O1 are marked bad: leave them out with --channels"):
        check_signal(recording, recording.raw.ch_names)
    check_signal(recording, ["P7", "O2"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (np.nan, "channels P8 hold NaN or infinite values: leave them out with --channels"),
        (np.inf, "channels P8 hold NaN or infinite values"),
        (-np.inf, "channels P8 hold NaN or infinite values"),
    ],
)
def test_single_values_that_are_no_numbers_are_found(make_raw, tmp_path: Path, monkeypatch, spoil, message):
    monkeypatch.setattr(module, "_BLOCK", 60)  # blocks of 15 samples
    raw = make_raw(NAMES)
    raw._data[1, 333] = spoil
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    recording = open_one(tmp_path / "a_raw.fif")
    with pytest.raises(InputError, match=rf"a_raw\.fif: {message}"):
        check_signal(recording, ["P7", "P8", "O1", "O2"])
    check_signal(recording, ["P7", "O1", "O2"])


def test_flat_channels_are_found_and_steps_are_not_flat(make_raw, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 60)
    raw = make_raw(NAMES)
    raw._data[2] = 3e-5
    raw._data[3] = 0
    raw._data[3, 250:] = 1e-6  # constant in every block but one, yet not flat
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    with pytest.raises(InputError, match=r"a_raw\.fif: channels O1 are flat: leave them out with --channels"):
        check_signal(open_one(tmp_path / "a_raw.fif"), ["P7", "P8", "O1", "O2"])


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("name", ["a_raw.fif", "a.edf", "a.vhdr"])
def test_truncated_files_are_refused(make_raw, tmp_path: Path, name: str, part: float):
    raw = make_raw(["cat"] * 8)
    cut = tmp_path / name
    if name.endswith(".fif"):
        raw.save(cut, verbose="ERROR", buffer_size_sec=1.0)
    else:
        mne.export.export_raw(cut, raw, verbose="ERROR")
        cut = cut if name.endswith(".edf") else cut.with_suffix(".eeg")
    whole = cut.read_bytes()
    length = int(len(whole) * (part if name != "a.vhdr" else part * 0.8))  # the last second holds no event
    cut.write_bytes(whole[:length])
    with pytest.raises(InputError, match=rf"{name} (cannot be read|is incomplete) .*: copy it again"):
        open_one(tmp_path / name)


def test_what_is_no_recording_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "a.vhdr").write_text("hello")
    np.save(tmp_path / "a.npy", np.zeros(3))
    for name, message in (
        ("notes.txt", "cannot be read as a recording"),
        ("a.vhdr", "cannot be read as a recording"),
        ("a.npy", "is no raw file of THINGS-EEG2"),
    ):
        with pytest.raises(InputError, match=rf"{name} {message}"):
            open_one(tmp_path / name)


def test_real_recordings_in_three_formats(real_data: Path):
    folder = real_data / "recordings"
    recording = open_one(folder / "n170" / "sub-01_run-03_raw.fif")
    assert numbers([recording.file]) == [("sub-01", 1, 3)]
    assert set(recording.events["name"]) == {"face", "house"}
    check_signal(recording, recording.raw.ch_names)
    recording = open_one(folder / "brainvision" / "test.vhdr")
    assert set(recording.events["name"]) == {
        *("Stimulus/S255", "Stimulus/S253", "Event/254", "Response/R255", "Optic/O  1"),
    }
    assert len(open_one(folder / "edf" / "test.edf").events) == 5


def test_a_real_truncated_recording_is_refused(real_data: Path, tmp_path: Path):
    whole = (real_data / "recordings" / "n170" / "sub-01_run-01_raw.fif").read_bytes()
    (tmp_path / "a_raw.fif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a_raw\.fif is incomplete"):
        open_one(tmp_path / "a_raw.fif")
    shutil.copytree(real_data / "recordings" / "brainvision", tmp_path / "bv")
    for file in (tmp_path / "bv").iterdir():
        file.chmod(0o644)
    eeg = tmp_path / "bv" / "test.eeg"
    eeg.write_bytes(eeg.read_bytes()[: eeg.stat().st_size // 2])
    with pytest.raises(InputError, match=r"test\.vhdr is incomplete"):
        open_one(tmp_path / "bv" / "test.vhdr")


def test_what_lies_in_a_simulation_says_so_in_every_format(tmp_path):
    info = mne.create_info(["O1"], 100.0, "eeg")
    raw = mne.io.RawArray(np.random.default_rng(0).normal(0, 1e-5, (1, 300)), info)
    for folder in ("made", "recorded"):
        path = tmp_path / folder / "sub-01" / "ses-01" / "x_raw.fif"
        path.parent.mkdir(parents=True)
        raw.save(path)
    (tmp_path / "made" / SIMULATION_FILE).write_text("{}")
    found = [read_with_mne(tmp_path / folder / "sub-01" / "ses-01" / "x_raw.fif") for folder in ("made", "recorded")]
    assert [one.info["description"] for one in found] == [SIMULATED_DESCRIPTION, None]
