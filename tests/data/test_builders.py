"""The builders: what they build is what the store holds, in one process, in two, and as a stream."""

import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.builders import things_eeg2, trial_store
from neuroclip_hf.data.builders.things_eeg2 import ThingsEEG2
from neuroclip_hf.data.builders.trial_store import TrialStoreBuilder, content_key
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.export import export_store
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

pytestmark = pytest.mark.usefixtures("without_bars")


@pytest.fixture
def small_parts(monkeypatch):
    """So that there is something to share between processes."""
    monkeypatch.setattr(trial_store, "PART_GROUPS", 2)
    monkeypatch.setattr(layout, "GROUP_BYTES", 2 * 4 * 30 * 4)


@pytest.mark.parametrize("processes", [None, 2])
def test_builds_what_the_store_holds(small_parts, store_folder, tmp_path, processes):
    builder = TrialStoreBuilder(config_name="sub-02", data_dir=str(store_folder), cache_dir=str(tmp_path))
    builder.download_and_prepare(num_proc=processes)
    for split in ("train", "test"):
        built = builder.as_dataset(split).with_format("numpy", dtype="float16")
        np.testing.assert_array_equal(built["eeg_values"][:], np.load(store_folder / "sub-02" / f"{split}.npy"))
        assert set(built["subject"]) == {"sub-02"}


def test_streams_what_the_store_holds(small_parts, store_folder, tmp_path):
    builder = TrialStoreBuilder(config_name="sub-01", data_dir=str(store_folder), cache_dir=str(tmp_path))
    stream = builder.as_streaming_dataset("train")
    assert stream.num_shards == 5
    rows = list(stream)
    np.testing.assert_array_equal([row["eeg_values"] for row in rows], np.load(store_folder / "sub-01" / "train.npy"))
    assert [row["row"] for row in rows] == list(range(40))


def test_builds_what_an_export_gives(store_folder, tmp_path):
    made = export_store(store_folder, tmp_path / "dataset")
    for config in ("sub-01", "pictures"):
        builder = TrialStoreBuilder(config_name=config, data_dir=str(store_folder), cache_dir=str(tmp_path / "one"))
        builder.download_and_prepare()
        loaded = datasets.load_dataset(str(made), config, cache_dir=str(tmp_path / "other"))
        built = builder.as_dataset()
        assert list(built) == list(loaded)
        for split in loaded:
            assert built[split].features == loaded[split].features
            assert built[split].with_format("arrow")[:].equals(loaded[split].with_format("arrow")[:])


def test_pictures_without_their_files(store_folder, tmp_path):
    options = {"config_name": "pictures", "data_dir": str(store_folder), "cache_dir": str(tmp_path)}
    builder = TrialStoreBuilder(**options, images=False)
    builder.download_and_prepare()
    assert builder.as_dataset("gallery").column_names == list(layout.PICTURE_COLUMNS)
    assert TrialStoreBuilder(**options).cache_dir != builder.cache_dir


def test_another_store_in_the_same_place_is_not_taken_from_the_cache(array_store, tmp_path):
    found = []
    for seed in (0, 1):
        shutil.rmtree(tmp_path / "arrays", ignore_errors=True)
        store = array_store(seed=seed)
        name = store.subjects[0]
        builder = TrialStoreBuilder(config_name=name, data_dir=str(store.path), cache_dir=str(tmp_path / "cache"))
        builder.download_and_prepare()
        built = builder.as_dataset("train").with_format("numpy", dtype="float16")
        found.append(built["eeg_values"][:])
        np.testing.assert_array_equal(found[-1], np.load(store.path / name / "train.npy"))
    assert not np.array_equal(*found)


def test_a_file_that_changes_gives_another_key(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"1")
    before = content_key(tmp_path)
    assert content_key(tmp_path) == before
    (tmp_path / "a.npy").write_bytes(b"22")
    assert content_key(tmp_path) != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config_name": "sub-01"}, "data_dir is None: name the folder of the store"),
        ({"config_name": "sub-01", "data_dir": "nowhere"}, "data_dir is 'nowhere': name the folder"),
        (
            {"config_name": "sub-09", "data_dir": "store"},
            "has no config 'sub-09': config_name is one of sub-01, sub-0",
        ),
        ({"data_dir": "store"}, "has no config 'default': config_name is one of"),
    ],
)
def test_bad_settings_are_named(store_folder, tmp_path, options, message):
    if options.get("data_dir") == "store":
        options = {**options, "data_dir": str(store_folder)}
    with pytest.raises(InputError, match=message):
        TrialStoreBuilder(**options, cache_dir=str(tmp_path)).download_and_prepare()


def test_things_eeg2_from_its_files_is_what_prepare_makes(simulated, store_folder, tmp_path):
    settings = EpochSettings(window=(0.0, 0.6), baseline=(-0.2, 0.0), sampling_rate=50.0)
    options = {"channels": ("P7", "O1", "Oz", "O2"), "epochs": settings, "cache_dir": str(tmp_path)}
    builder = ThingsEEG2(config_name="sub-02", data_dir=str(simulated), **options)
    builder.download_and_prepare(num_proc=2)
    built = builder.as_dataset("test").with_format("numpy", dtype="float16")
    np.testing.assert_array_equal(built["eeg_values"][:], np.load(store_folder / "sub-02" / "test.npy"))
    pictures = ThingsEEG2(config_name="pictures", data_dir=str(simulated), **options).as_streaming_dataset("gallery")
    expected = TrialStore(store_folder).pictures[columns.IMAGE_ID].tolist()
    assert [row["image_id"] for row in pictures] == expected
    assert len(list((tmp_path / "trial_stores").glob("things_eeg2-sub-0?-????????????????"))) == 2


def test_other_settings_give_another_result_and_equal_ones_are_not_prepared_twice(simulated, tmp_path, monkeypatch):
    settings = EpochSettings(window=(0.0, 0.2), baseline=None, sampling_rate=50.0)

    def build(**options):
        options = {"channels": ("Oz",), "epochs": settings, "whitening": "none", **options}
        made = ThingsEEG2(config_name="sub-01", data_dir=str(simulated), cache_dir=str(tmp_path), **options)
        made.download_and_prepare()
        return made, np.shape(made.as_dataset("test")[0]["eeg_values"])

    first, shape = build()
    other, of_other = build(channels=("Oz", "O1"))
    longer, of_longer = build(epochs=replace(settings, window=(0.0, 0.4)))
    assert (shape, of_other, of_longer) == ((1, 10), (2, 10), (1, 20))
    assert len({one.cache_dir for one in (first, other, longer)}) == 3
    shutil.rmtree(first.cache_dir)
    monkeypatch.setattr(things_eeg2, "prepare_things_eeg2", None)
    again, shape = build()
    assert (again.cache_dir, shape) == (first.cache_dir, (1, 10))


def test_things_eeg2_from_a_store_and_under_a_wrong_name(simulated, store_folder, tmp_path):
    builder = ThingsEEG2(config_name="sub-01", data_dir=str(store_folder), cache_dir=str(tmp_path))
    assert len(list(builder.as_streaming_dataset("test"))) == 24
    assert not (tmp_path / "trial_stores").exists()
    with pytest.raises(InputError, match=r"config_name is 'Tom': name a subject \(sub-01 to sub-10\) or pictures"):
        ThingsEEG2(config_name="Tom", data_dir=str(simulated), cache_dir=str(tmp_path)).download_and_prepare()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ("Oz",)}, r"channels is \('Oz',\), and .* is a trial store, .*: leave channels out"),
        ({"epochs": EpochSettings(window=(0.0, 0.2))}, "epochs is EpochSettings.* is a trial store"),
        ({"whitening": "none"}, "whitening is 'none', and .* is a trial store"),
    ],
)
def test_a_store_is_not_prepared_anew(store_folder, tmp_path, options, message):
    builder = ThingsEEG2(config_name="sub-01", data_dir=str(store_folder), cache_dir=str(tmp_path), **options)
    for build in (builder.download_and_prepare, lambda: builder.as_streaming_dataset("test")):
        with pytest.raises(InputError, match=message):
            build()


def test_pictures_are_those_of_the_first_subject_with_files(simulated, tmp_path):
    data = Path(shutil.copytree(simulated, tmp_path / "data"))
    shutil.rmtree(data / "sub-01")
    (data / "sub-01").mkdir()
    settings = EpochSettings(window=(0.0, 0.2), baseline=None, sampling_rate=50.0)
    options = {"channels": ("Oz",), "epochs": settings, "cache_dir": str(tmp_path / "cache")}
    builder = ThingsEEG2(config_name="pictures", data_dir=str(data), **options)
    assert len(list(builder.as_streaming_dataset("gallery"))) == 26
    (made,) = (tmp_path / "cache" / "trial_stores").glob("things_eeg2-sub-0?-????????????????")
    assert TrialStore(made).subjects == ["sub-02"]


def test_a_builder_of_another_dataset_says_only_how_its_store_is_made(store_folder, tmp_path):
    made = []

    class Copied(TrialStoreBuilder):
        def store_name(self, source):
            return "copied"

        def prepare_store(self, source, out, settings):
            made.append(settings)
            shutil.copytree(source / "inside", out)

    shutil.copytree(store_folder, tmp_path / "data" / "inside")
    for _ in range(2):
        builder = Copied(config_name="sub-01", data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
        assert len(list(builder.as_streaming_dataset("test"))) == 24
    assert made == [{}]
    assert len(list((tmp_path / "cache" / "trial_stores").glob("copied-*"))) == 1
