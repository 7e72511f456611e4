"""`prepare recordings`: whole stores from small recordings, and every way in which it refuses."""

import shutil
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.sources.recordings import SplitSettings, prepare_recordings
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

EPOCHS = EpochSettings(window=(0.0, 0.5), baseline=None)
SEEN = ["cat_1", "dog_1.png", "cat/cat_2.png", "cat_1"]
NEW = ["fish_1", "bird_1", "fish_2"]
CONCEPTS = ["cat", "dog", "cat", "dog", "cat"]
NEW_TRIALS = SplitSettings(protocol="new-trials", test_files=("sub-01_run-02_raw.fif",))


@pytest.fixture
def prepare(tmp_path: Path, pictures: Path):
    def make(paths, out: str = "store", **options) -> TrialStore:
        options.setdefault("epochs", EPOCHS)
        return TrialStore(prepare_recordings(paths, pictures, tmp_path / out, **options))

    return make


@pytest.fixture
def refuse(tmp_path: Path, pictures: Path):
    """Check that a store is refused, that the message says so, and that nothing is left."""

    def check(paths, message: str, folder: Path = pictures, **options) -> None:
        options.setdefault("epochs", EPOCHS)
        before = sorted(one.name for one in tmp_path.iterdir())
        with pytest.raises(InputError, match=message):
            prepare_recordings(paths, folder, tmp_path / "store", **options)
        assert sorted(one.name for one in tmp_path.iterdir()) == before

    return check


@pytest.fixture
def two_runs(make_fif) -> list[Path]:
    return [make_fif("sub-01_run-01_raw.fif", SEEN, 1), make_fif("sub-01_run-02_raw.fif", NEW, 2)]


@pytest.fixture
def two_concept_runs(make_fif) -> list[Path]:
    return [make_fif(f"sub-01_run-0{run}_raw.fif", CONCEPTS, run) for run in (1, 2)]


def test_events_that_name_pictures(prepare, two_runs: list[Path], pictures: Path):
    store = prepare(two_runs, splits=SplitSettings(test_files=("*run-02*",)))
    train, test = (store.trials.iloc[store.select(split)] for split in ("train", "test"))
    assert train[columns.IMAGE_ID].tolist() == ["cat/cat_1.png", "dog/dog_1.png", "cat/cat_2.png", "cat/cat_1.png"]
    assert train[columns.CONCEPT].tolist() == ["cat", "dog", "cat", "cat"]
    assert train[columns.REPEAT].tolist() == [0, 0, 0, 1]
    assert train[columns.SAMPLE].tolist() == [100, 200, 300, 400]
    assert test[columns.IMAGE_ID].tolist() == ["fish/fish_1.png", "bird/bird_1.png", "fish/fish_2.png"]
    assert set(test[columns.RUN]) == {2}
    assert store.gallery("train")[columns.IMAGE_ID].tolist() == ["cat/cat_1.png", "cat/cat_2.png", "dog/dog_1.png"]
    assert store.gallery("test")[columns.IMAGE_ID].tolist() == [
        "bird/bird_1.png",
        "fish/fish_1.png",
        "fish/fish_2.png",
    ]
    copied = store.path / "pictures" / "fish" / "fish_1.png"
    assert copied.read_bytes() == (pictures / "fish" / "fish_1.png").read_bytes()
    assert (store.info.protocol, store.info.target, store.info.data) == ("new-concepts", "image", "recorded")


def test_values_are_those_of_the_recording(prepare, two_runs: list[Path]):
    store = prepare(two_runs, splits=SplitSettings(test_files=("*run-02*",)))
    raw = mne.io.read_raw(two_runs[0], verbose="ERROR").get_data()
    for row, sample in enumerate((100, 200, 300, 400)):
        np.testing.assert_allclose(store.read([row])[0], raw[:, sample : sample + 50], rtol=6e-4, atol=1e-12)
    assert (store.info.unit, store.info.scale, store.info.modality) == ("V", [1e-6] * 4, "eeg")
    assert (store.info.sampling_rate, store.info.num_timesteps) == (100.0, 50)
    settings = EpochSettings.from_dict(store.info.epochs)
    assert settings.channels == ("P7", "P8", "O1", "O2")
    assert settings.sampling_rate == 100.0


def test_events_that_name_concepts_hold_out_gallery_pictures(prepare, two_concept_runs: list[Path]):
    store = prepare(two_concept_runs, splits=NEW_TRIALS)
    assert store.concepts_only
    assert set(store.trials[columns.IMAGE_ID]) == {""}
    train, test = (set(store.gallery(split)[columns.IMAGE_ID]) for split in ("train", "test"))
    assert not train & test
    for concept in ("cat", "dog"):
        counts = [len([name for name in part if name.startswith(concept)]) for part in (train, test)]
        assert counts == [3, 1]
    assert not {name for name in train | test if name.startswith(("fish", "bird"))}
    half = prepare(
        two_concept_runs, "half", splits=SplitSettings(**{**NEW_TRIALS.to_dict(), "held_out_pictures": 0.5})
    )
    assert len(half.gallery("test")) == len(half.gallery("train")) == 4
    others = [
        set(prepare(two_concept_runs, f"seed{seed}", splits=SplitSettings(**{**NEW_TRIALS.to_dict(), "seed": seed}))
            .gallery("test")[columns.IMAGE_ID])
        for seed in (0, 1, 2, 3)
    ]  # fmt: skip
    assert others[0] == test
    assert any(other != test for other in others)


def test_concepts_that_only_test_give_all_their_pictures_to_the_test_gallery(prepare, make_fif):
    path = make_fif("sub-01_raw.fif", ["cat", "dog", "fish", "cat", "dog", "fish"])
    store = prepare([path], splits=SplitSettings(test_concepts=("fish",)))
    assert sorted(store.trials[columns.SAMPLE].iloc[store.select("train")]) == [100, 200, 400, 500]
    assert sorted(store.trials[columns.SAMPLE].iloc[store.select("test")]) == [300, 600]
    assert store.gallery("test")[columns.IMAGE_ID].tolist() == [f"fish/fish_{number}.png" for number in range(1, 5)]
    assert len(store.gallery("train")) == 8


def test_validation_files(prepare, make_fif):
    paths = [make_fif(f"sub-01_run-0{run}_raw.fif", CONCEPTS, run) for run in (1, 2, 3)]
    splits = SplitSettings(protocol="new-trials", validation_files=("*run-02*",), test_files=(str(paths[2]),))
    store = prepare(paths, splits=splits)
    assert [len(store.select(split)) for split in columns.SPLITS] == [5, 5, 5, 0]
    assert set(store.trials[columns.RUN].iloc[store.select("validation")]) == {2}


def test_codes_get_their_meaning_and_others_are_left_out(prepare, make_fif):
    path = make_fif("a_raw.fif", ["Stimulus/S  1", "Stimulus/S  2", "Response/R  1", "Stimulus/S  1"])
    names = {"Stimulus/S  1": "cat", "Stimulus/S  2": "dog"}
    store = prepare([path], event_names=names, ignore=["Response/*"], subject="anna")
    assert store.trials[columns.CONCEPT].tolist() == ["cat", "dog", "cat"]
    assert store.subjects == ["anna"]
    assert store.info.settings["events"] == names
    assert store.info.settings["ignore"] == ["Response/*"]


def test_equal_input_gives_equal_bytes_from_any_folder(prepare, make_fif, tmp_path: Path):
    paths = [make_fif(f"sub-01_run-0{run}_raw.fif", CONCEPTS, run) for run in (1, 2)]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    copies = [Path(shutil.copy(path, moved)) for path in paths]
    settings = EpochSettings(window=(0.0, 0.5), baseline=(-0.1, 0.0), sampling_rate=50.0, band=(1.0, 20.0))
    one = prepare(paths, "one", splits=SplitSettings("new-trials", (str(paths[1]),)), epochs=settings).path
    other = prepare(copies, "two", splits=SplitSettings("new-trials", (str(copies[1]),)), epochs=settings).path
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert files == [path.relative_to(other) for path in sorted(other.rglob("*")) if path.is_file()]
    assert [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()] == []
    assert str(tmp_path) not in (one / "store.json").read_text()


def test_two_files_of_one_name_in_two_folders(prepare, make_fif):
    paths = [make_fif(f"sub-01/day{day}/a_raw.fif", CONCEPTS, day) for day in (1, 2)]
    store = prepare(paths, splits=SplitSettings("new-trials", (str(paths[1]),)))
    assert len(store.select("train")) == len(store.select("test")) == 5
    assert list(store.info.sources) == ["day1/a_raw.fif", "day2/a_raw.fif"]


def test_checksums_cover_the_file_that_holds_the_samples(prepare, make_raw, tmp_path: Path):
    mne.export.export_raw(tmp_path / "a.vhdr", make_raw(["cat", "dog", "cat"]), verbose="ERROR")
    mne.export.export_raw(tmp_path / "a.edf", make_raw(["cat", "dog", "cat"], 2), verbose="ERROR")
    store = prepare([tmp_path / "a.vhdr", tmp_path / "a.edf"])
    assert sorted(store.info.sources) == ["a.edf", "a.eeg", "a.vhdr"]
    assert store.trials[columns.CONCEPT].tolist() == ["cat", "dog", "cat"] * 2
    assert store.trials[columns.SAMPLE].tolist() == [100, 200, 300] * 2


def test_a_bids_folder_with_two_subjects(prepare, make_raw, tmp_path: Path):
    for subject in ("01", "02"):
        for run in ("01", "02"):
            path = mne_bids.BIDSPath(root=tmp_path / "bids", subject=subject, task="view", run=run, datatype="eeg")
            raw = make_raw(CONCEPTS, 10 * int(subject) + int(run))
            mne_bids.write_raw_bids(raw, path, format="BrainVision", allow_preload=True, verbose="ERROR")
    store = prepare([tmp_path / "bids"], splits=SplitSettings("new-trials", ("*run-02*",)))
    assert store.subjects == ["sub-01", "sub-02"]
    assert len(store.select("train", ["sub-02"])) == len(store.select("test", ["sub-01"])) == 5
    expected = make_raw(CONCEPTS, 22).get_data()[:, 100:150]
    np.testing.assert_allclose(store.read(store.select("test", ["sub-02"]))[0], expected, atol=2e-7)


def test_channels_in_another_order_are_put_in_the_order_of_the_first_file(prepare, make_fif):
    one = make_fif("run-01_raw.fif", CONCEPTS, 1)
    other = make_fif("run-02_raw.fif", CONCEPTS, 2, channels=("O2", "O1", "P8", "P7"))
    store = prepare([one, other], splits=SplitSettings("new-trials", ("run-02*",)))
    raw = mne.io.read_raw(other, verbose="ERROR").get_data()[::-1, 100:150]
    np.testing.assert_allclose(store.read(store.select("test"))[0], raw, rtol=6e-4, atol=1e-12)


def test_recordings_at_two_rates_are_brought_to_one(prepare, refuse, make_fif):
    paths = [make_fif("run-01_raw.fif", CONCEPTS, 1), make_fif("run-02_raw.fif", CONCEPTS, 2, rate=250.0)]
    splits = SplitSettings("new-trials", ("run-02*",))
    refuse(
        paths, r"run-02_raw\.fif has 250 Hz but .*run-01_raw\.fif 100 Hz: bring both to one with --rate", splits=splits
    )
    refuse(
        paths,
        r"run-01_raw\.fif has 100 Hz, less than the 250 Hz asked for: lower --rate",
        splits=splits,
        epochs=EpochSettings(window=(0.0, 0.5), baseline=None, sampling_rate=250.0),
    )
    settings = EpochSettings(window=(0.033, 0.777), baseline=(-0.1, 0.0), sampling_rate=64.0)
    assert prepare(paths, splits=splits, epochs=settings).info.num_timesteps == 48


def test_meg_is_kept_in_femtotesla(prepare, make_fif):
    kinds = ["mag", "grad"]
    path = make_fif("a_raw.fif", CONCEPTS, channels=("A", "B"), kinds=kinds, scale=1e-12)
    store = prepare([path])
    assert (store.info.modality, store.info.unit, store.info.scale) == ("meg", "T", [1e-15, 1e-13])
    raw = mne.io.read_raw(path, verbose="ERROR").get_data()
    np.testing.assert_allclose(store.read([0])[0], raw[:, 100:150], rtol=6e-4, atol=1e-18)


def test_a_run_without_a_surviving_epoch_is_named_and_skipped(prepare, make_fif):
    loud = make_fif("run-02_raw.fif", CONCEPTS, 2, scale=1e-3)
    paths = [make_fif("run-01_raw.fif", CONCEPTS, 1), loud, make_fif("run-03_raw.fif", CONCEPTS, 3)]
    settings = EpochSettings(window=(0.0, 0.5), baseline=None, reject=2e-4)
    store = prepare(paths, splits=SplitSettings("new-trials", ("run-03*",)), epochs=settings)
    assert store.info.warnings == ["run-02_raw.fif: no epoch survived (of 5); the recording was skipped."]
    assert sorted(set(store.trials[columns.RUN])) == [1, 3]


def test_a_test_run_without_a_surviving_epoch_leaves_an_empty_split(refuse, make_fif):
    paths = [make_fif("run-01_raw.fif", CONCEPTS, 1), make_fif("run-02_raw.fif", CONCEPTS, 2, scale=1e-3)]
    refuse(
        paths,
        r"The test split is empty: no epoch of run-02_raw\.fif survived\. Loosen --reject",
        splits=SplitSettings("new-trials", ("run-02*",)),
        epochs=EpochSettings(window=(0.0, 0.5), baseline=None, reject=2e-4),
    )


def test_one_recording_under_two_names_is_refused(refuse, make_fif, tmp_path: Path):
    path = make_fif("sub-01_run-01_raw.fif", CONCEPTS, 1)
    copy = tmp_path / "sub-02_run-07_raw.fif"
    shutil.copy(path, copy)
    message = r"5 trials .* same recording: sub-01_run-01_raw\.fif \(train\) and sub-02_run-07_raw\.fif \(test\)"
    refuse([path, copy], message, splits=SplitSettings("new-trials", ("sub-02*",)))
    raw = mne.io.read_raw(path, verbose="ERROR").crop(0.5)  # and the same recording, cut at another place
    raw.save(copy, overwrite=True, verbose="ERROR")
    refuse([path, copy], message, splits=SplitSettings("new-trials", ("sub-02*",)))


def test_a_dead_amplifier_is_not_taken_for_the_same_recording(prepare, make_raw, tmp_path: Path):
    paths = []
    for run in (1, 2):
        raw = make_raw(CONCEPTS, run)
        raw._data[:, 200:260] = 0
        paths.append(tmp_path / f"run-0{run}_raw.fif")
        raw.save(paths[-1], verbose="ERROR")
    store = prepare(paths, splits=SplitSettings("new-trials", ("run-02*",)))
    assert store.trials[columns.SAMPLE].tolist() == [100, 300, 400, 500] * 2


def test_what_the_protocol_forbids_is_refused(refuse, prepare, two_concept_runs, make_fif):
    refuse(
        two_concept_runs,
        r"2 concepts stand in train and test, which protocol new-concepts forbids \(cat, dog\): .*--protocol",
        splits=SplitSettings(test_files=("*run-02*",)),
    )
    refuse(
        two_concept_runs,
        r"run-01_raw\.fif: events name only concepts, so nobody can tell .*: .*say --protocol new-trials",
        splits=SplitSettings("new-pictures", ("*run-02*",)),
    )
    paths = [make_fif("run-03_raw.fif", ["cat_1", "dog_1"], 3), make_fif("run-04_raw.fif", ["cat_2", "dog_1"], 4)]
    splits = SplitSettings("new-pictures", ("run-04*",))
    refuse(paths, r"1 pictures stand in train and test, .*new-pictures forbids \(dog/dog_1\.png\)", splits=splits)
    assert prepare(paths, splits=SplitSettings("new-trials", ("run-04*",))).gallery("test")["gallery"].tolist() == [
        *("test", "both")
    ]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (
            ["cta_1"],
            {},
            r"a_raw\.fif: event 'cta_1' names no picture .*pictures\. Did you mean 'cat_1'\? .*--events 'cta_1=",
        ),
        (["cat", "dog_1"], {}, r"a_raw\.fif: some events name a picture and others only a concept \('cat'\): rename"),
        (
            ["cat"],
            {"event_names": {"S1": "cat"}},
            r"--events names 'S1', which is in no recording: the events are 'cat'",
        ),
        (["cat"], {"event_names": {"cat": "cow"}}, r"event 'cow' names no picture"),
        (["cat"], {"ignore": ["c*"]}, r"a_raw\.fif: no event is left after --ignore: ignore less"),
        (
            ["cat"],
            {"splits": SplitSettings(test_files=("b*",))},
            r"No recording matches test file 'b\*': .*a_raw\.fif",
        ),
        (["cat"], {"splits": SplitSettings(test_files=("a*",))}, r"Every recording \(a_raw\.fif\) is named for test"),
        (
            ["cat"],
            {"splits": SplitSettings(test_concepts=("cow",))},
            r"Test concept 'cow' occurs .*: name one of cat\.",
        ),
        (
            ["cat"],
            {"splits": SplitSettings(test_concepts=("cat",))},
            r"The train split is empty: .* only cat, .*name fewer",
        ),
        (
            ["cat"],
            {"epochs": EpochSettings(channels=("P7", "Fz"))},
            r"a_raw\.fif has no channel Fz; it has P7, P8, O1, O2",
        ),
        (["cat"], {"epochs": EpochSettings(window=(0.0, 9.0))}, r"The train split is empty: no epoch of a_raw\.fif"),
        (["cat"], {"subject": "a/b"}, r"a_raw\.fif: subject 'a/b' cannot name a folder"),
    ],
)
def test_bad_input_is_named(refuse, make_fif, names, options, message: str):
    refuse([make_fif("a_raw.fif", names)], message, **options)


def test_a_file_for_two_splits_is_refused(refuse, two_concept_runs):
    splits = SplitSettings("new-trials", test_files=("*run-02*",), validation_files=("*02_raw.fif",))
    refuse(two_concept_runs, r"run-02_raw\.fif is named for validation and for test: choose one", splits=splits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"protocol": "new"}, "protocol 'new' is unknown: choose one of"), ({"held_out_pictures": 1.0}, "is a fraction")],
)
def test_impossible_split_settings(settings, message: str):
    with pytest.raises(InputError, match=message):
        SplitSettings(**settings)


def test_files_that_do_not_fit_each_other_are_named(refuse, make_fif):
    one = make_fif("run-01_raw.fif", CONCEPTS, 1)
    fewer = make_fif("run-02_raw.fif", CONCEPTS, 2, channels=("P7", "P8", "O1"))
    message = r"run-02_raw\.fif and .*run-01_raw\.fif do not have the same channels \(O2\): name the shared ones"
    refuse([one, fewer], message, splits=SplitSettings("new-trials", ("run-02*",)))


def test_bad_signals_are_named(refuse, make_raw, make_fif, tmp_path: Path):
    for problem, message in (
        ("nan", "channels P8 hold NaN"),
        ("flat", "channels P8 are flat"),
        ("bad", "P8 are marked bad"),
    ):
        raw = make_raw(CONCEPTS)
        if problem == "bad":
            raw.info["bads"] = ["P8"]
        raw._data[1, 333:] = {"nan": np.nan, "flat": 1e-6, "bad": 0}[problem]
        raw._data[1, :333] = 1e-6
        raw.save(tmp_path / "a_raw.fif", overwrite=True, verbose="ERROR")
        refuse([tmp_path / "a_raw.fif"], rf"a_raw\.fif: .*{message}.*: leave them out with --channels")
    drifting = make_raw(CONCEPTS)
    drifting._data[2] += 0.06
    drifting.save(tmp_path / "a_raw.fif", overwrite=True, verbose="ERROR")
    refuse([tmp_path / "a_raw.fif"], r"a_raw\.fif: channel O1 sits so far from zero .*: subtract a baseline or filter")


def test_damaged_pictures_and_recordings_are_named(refuse, make_fif, pictures: Path):
    path = make_fif("a_raw.fif", ["cat_1", "dog_1"])
    refuse([path], r"nowhere is not a folder", folder=pictures / "nowhere")
    (pictures / "dog" / "dog_1.png").write_bytes(b"\x89PNG")
    refuse([path], r"dog_1\.png cannot be read as a picture .*: replace or remove it")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuse([path], r"a_raw\.fif (cannot be read|is incomplete)")
    refuse([path.with_name("b.fif")], r"b\.fif does not exist: correct the path")


def test_a_single_picture_cannot_serve_training_and_test(refuse, two_concept_runs, pictures: Path):
    for number in (2, 3, 4):
        (pictures / "dog" / f"dog_{number}.png").unlink()
    refuse(two_concept_runs, "pictures holds one picture of 'dog': training and test need one each", splits=NEW_TRIALS)


def test_real_recordings_of_n170(real_data: Path, tmp_path: Path):
    folder = real_data / "recordings" / "n170"
    paths = [folder / f"sub-01_run-0{run}_raw.fif" for run in (1, 2)]
    made = {}
    for name, settings in {
        "raw": EpochSettings(window=(-0.1, 0.8), baseline=None),
        "filtered": EpochSettings(window=(-0.1, 0.8), baseline=None, band=(1.0, 30.0), reject=1e-4),
        "resampled": EpochSettings(window=(0.0, 0.8), baseline=(-0.1, 0.0), sampling_rate=128.0),
    }.items():
        splits = SplitSettings("new-trials", ("*run-02*",))
        made[name] = TrialStore(
            prepare_recordings(paths, folder / "pictures", tmp_path / name, epochs=settings, splits=splits)
        )
    assert made["raw"].info.num_timesteps == 230
    assert len(made["raw"].select("train")) == 197
    assert len(made["filtered"].select("train")) == 193
    assert [len(made["raw"].gallery(split)) for split in ("train", "test")] == [72, 24]
    raw = mne.io.read_raw(paths[0], verbose="ERROR")
    sample = int(made["raw"].trials[columns.SAMPLE][10])
    np.testing.assert_allclose(
        made["raw"].read([10])[0], raw.get_data()[:, sample - 26 : sample + 204], rtol=6e-4, atol=1e-12
    )
