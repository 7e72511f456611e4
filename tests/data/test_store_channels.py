"""Stores whose subjects have voxels and regions of their own: each is read as it was written, and never mixed."""

from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest

from neuroclip_hf.data.builders.trial_store import TrialStoreBuilder
from neuroclip_hf.data.description import describe_store, summarise_store
from neuroclip_hf.data.parquet.export import export_store
from neuroclip_hf.data.parquet.importing import import_store
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.data.store_info import signed
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.data.store_writer import StoreWriter
from neuroclip_hf.data.verification import check_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json

pytestmark = pytest.mark.usefixtures("without_bars")


@pytest.fixture(scope="module")
def written(tmp_path_factory, pattern_stores):
    path = tmp_path_factory.mktemp("patterns") / "store"
    return path, pattern_stores.write_patterns(path)


def open_written(written) -> TrialStore:
    return TrialStore(written[0])


def test_each_subject_is_read_as_it_was_written(written, pattern_stores):
    store = open_written(written)
    for (subject, split), values in written[1].items():
        rows = store.select(split, [subject])
        scale = 1.0 + np.arange(pattern_stores.VOXELS[subject])
        np.testing.assert_allclose((store.read(rows) - values) / scale, 0, atol=2e-3)
        np.testing.assert_allclose(store.read_means([rows, rows[:1]])[1], store.read(rows)[0], rtol=1e-6)
        assert store.trial_shape(subject) == (pattern_stores.VOXELS[subject],)
    assert (store.info.channels, store.info.scale, store.info.offset) == ([], [], [])
    assert "channels.parquet" in store.info.checksums


def test_channels_regions_and_places_are_those_of_the_subject(written):
    store = open_written(written)
    assert store.channels("1") == [f"sub-01_{place}" for place in range(6)]
    assert {name: np.flatnonzero(mask).tolist() for name, mask in store.rois("sub-01").items()} == {
        "V1": [0, 1, 2],
        "V2": [2, 3, 4],
    }
    assert np.flatnonzero(store.rois("sub-02")["FFA"]).tolist() == [7]
    np.testing.assert_array_equal(store.subject_channels("sub-02").coordinates, np.arange(24.0).reshape(8, 3))
    table = pd.read_parquet(store.path / "channels.parquet")
    assert list(table.columns) == [
        *("subject", "place", "name", "scale", "offset", "x", "y", "z", "roi_V1", "roi_V2", "roi_FFA"),
    ]
    assert table["roi_FFA"].dtype == bool


def test_unlike_subjects_are_never_read_together(written):
    store = open_written(written)
    message = r"channels of sub-01 and sub-02 differ \(6 and 8\).*split=intra-subject subjects=sub-02"
    for read in (store.read, store.read_stored, lambda rows: store.read_means([rows])):
        with pytest.raises(InputError, match=message):
            read(store.select("train"))
    for part in (store.of_subjects, lambda: part_of_store(store), lambda: part_of_store(store, rois=["V1"])):
        with pytest.raises(InputError, match=message):
            part()
    view = store.of_subjects(["sub-01"])
    with pytest.raises(InputError, match=message):
        view.read(store.select("test", ["sub-02"]))
    with pytest.raises(InputError, match=message):
        view.of_subjects(["sub-02"])
    with pytest.raises(InputError, match=message):
        view.channels("sub-02")


def test_as_many_voxels_of_another_name_or_place_are_others(tmp_path: Path, pattern_stores):
    one = pattern_stores.voxels_of("sub-01", 6)
    other = {
        "name": replace(one, names=[f"other {name}" for name in one.names]),
        "place": replace(one, coordinates=one.coordinates + 1),
        "region": replace(one, rois={**one.rois, "V1": one.rois["V2"]}),
        "nowhere": replace(one, coordinates=None),
    }
    for what, channels in other.items():
        pattern_stores.write_patterns(tmp_path / what, {"sub-01": one, "sub-02": channels})
        store = TrialStore(tmp_path / what)
        with pytest.raises(InputError, match=r"differ \(6 each, in other places or under other names\)"):
            store.read(store.select("train"))


def test_the_same_voxels_are_read_together_each_subject_in_its_scale(tmp_path: Path, pattern_stores):
    one = pattern_stores.voxels_of("common", 6)
    made = pattern_stores.write_patterns(
        tmp_path / "store", {"sub-01": one, "sub-02": replace(one, scale=one.scale * 3, offset=one.offset - 50)}
    )
    store = TrialStore(tmp_path / "store").of_subjects()
    expected = np.concatenate([made["sub-01", "train"], made["sub-02", "train"]])
    np.testing.assert_allclose(store.read(store.select("train")), expected, atol=0.02)
    assert store.info.offset == (one.offset - 25).tolist()


def test_a_view_has_the_channels_of_its_subject_and_parts_of_it(written):
    store = open_written(written)
    view = store.of_subjects(["2"])
    assert view.info.channels == store.channels("sub-02")
    assert view.info.scale == (1.0 + np.arange(8)).tolist()
    assert view.info.trial_shape == (8,)
    assert view.of_subjects(["sub-02"]) is view
    rows = view.select("train", ["sub-02"])
    np.testing.assert_array_equal(view.read(rows), store.read(rows))
    part = part_of_store(store, rois=["V2", "V1", "FFA"], subjects=["sub-02"])
    np.testing.assert_array_equal(part.read(rows), store.read(rows)[:, [0, 1, 2, 3, 4, 7]])
    assert part.info.channels == [f"sub-02_{place}" for place in (0, 1, 2, 3, 4, 7)]
    assert {name: np.flatnonzero(mask).tolist() for name, mask in part.rois("sub-02").items()} == {
        "V1": [0, 1, 2],
        "V2": [2, 3, 4],
        "FFA": [5],
    }
    named = part_of_store(store, ["sub-01_4", "sub-01_0"], subjects=["sub-01"])
    first = store.select("test", ["sub-01"])
    np.testing.assert_array_equal(named.read(first), store.read(first)[:, [4, 0]])
    assert {name: mask.tolist() for name, mask in named.rois("sub-01").items()} == {
        "V1": [False, True],
        "V2": [True, False],
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rois": ["FFA"]}, r"rois is \['FFA'\], and .*, sub-01, has no ROI FFA: it knows V1, V2"),
        ({"rois": []}, "none is named"),
        ({"rois": ["V1"], "channels": ["sub-01_0"]}, "give one of the two"),
        ({"channels": ["sub-02_0"]}, "lacks sub-02_0; it has sub-01_0, sub-01_1"),
    ],
)
def test_what_a_subject_does_not_have_is_refused(written, options, message):
    with pytest.raises(InputError, match=message):
        part_of_store(open_written(written), subjects=["sub-01"], **options)


def test_a_store_without_a_table_knows_no_regions_and_is_its_own_view(store):
    assert store.of_subjects(["1"]) is store
    assert store.channels("sub-01") == store.info.channels
    assert store.rois("sub-01") == {}
    assert store.trial_shape("sub-01") == store.info.trial_shape
    with pytest.raises(InputError, match="has no ROI V1: it knows no regions of interest"):
        part_of_store(store, rois=["V1"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["a", "a", "b", "c", "d", "e"]}, "channel 'a' comes twice"),
        ({"names": ["a"]}, r"scale has shape \(6,\): 1 channels need \(1,\)"),
        ({"scale": np.zeros(6)}, "scale above zero"),
        ({"offset": np.full(6, np.nan)}, "must be finite"),
        ({"rois": {"V1": np.zeros(6, bool)}}, "ROI V1 has no channel: leave it out"),
        ({"rois": {"V1": np.ones(5, bool)}}, r"ROI V1 has shape \(5,\)"),
        ({"coordinates": np.zeros((6, 2))}, r"coordinates has shape \(6, 2\)"),
    ],
)
def test_channels_that_do_not_fit_are_refused_by_the_writer(tmp_path: Path, changes, message, pattern_stores):
    with pytest.raises(InputError, match=f"sub-01: .*{message}"):
        pattern_stores.write_patterns(
            tmp_path / "store", {"sub-01": replace(pattern_stores.voxels_of("sub-01", 6), **changes)}
        )
    assert not list(tmp_path.iterdir())


def test_one_source_of_truth(tmp_path: Path, pattern_stores):
    channels = pattern_stores.voxels_of("sub-01", 3)
    writer = StoreWriter(
        tmp_path, replace(pattern_stores.INFO, channels=["a", "b"], scale=[1.0, 1.0], offset=[0.0, 0.0])
    )
    with pytest.raises(ValueError, match="in a table, not in both"):
        writer.add_channels("sub-01", channels)
    writer = StoreWriter(tmp_path, pattern_stores.INFO)
    with pytest.raises(ValueError, match="call add_channels first"):
        writer.add_trials("sub-01", "train", np.zeros((1, 3)), [{}], "a.h5")
    writer.add_channels("sub-01", channels)
    with pytest.raises(ValueError, match="were given before"):
        writer.add_channels("sub-01", channels)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.drop(columns="scale"), "lacks the columns scale"),
        (lambda table: table[table["subject"] == "sub-01"], "lacks the channels of sub-02"),
        (lambda table: table[table["place"] != 3], "wrong channels of sub-01 .*counted from 0 without a gap"),
        (lambda table: table.assign(scale=0.0), "wrong channels of sub-01 .*scale above zero"),
        (lambda table: table.query("not (subject == 'sub-02' and place == 7)"), r"asks for \(6, 7\)"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, spoil, message, pattern_stores):
    pattern_stores.write_patterns(tmp_path / "store")
    file = tmp_path / "store" / "channels.parquet"
    spoil(pd.read_parquet(file)).to_parquet(file)
    with pytest.raises(InputError, match=message):
        TrialStore(tmp_path / "store")
    file.unlink()
    with pytest.raises(InputError, match=r"channels.parquet cannot be read .*make the store again"):
        TrialStore(tmp_path / "store")


def test_equal_input_gives_equal_bytes_and_another_region_another_fingerprint(
    tmp_path: Path, snapshot, pattern_stores
):
    pattern_stores.write_patterns(tmp_path / "one")
    pattern_stores.write_patterns(tmp_path / "other")
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "other")
    changed = {name: pattern_stores.voxels_of(name, count) for name, count in pattern_stores.VOXELS.items()}
    changed["sub-01"].rois["V1"][3] = True
    pattern_stores.write_patterns(tmp_path / "changed", changed)
    prints = {TrialStore(tmp_path / name).info.fingerprint for name in ("one", "other", "changed")}
    assert len(prints) == 2


def test_places_are_optional_and_a_pick_keeps_what_belongs_together(pattern_stores):
    channels = pattern_stores.voxels_of("sub-01", 6)
    some = channels.pick(np.array([5, 0]))
    assert (some.names, some.scale.tolist(), list(some.rois)) == (["sub-01_5", "sub-01_0"], [6.0, 1.0], ["V1"])
    np.testing.assert_array_equal(some.coordinates, [[15, 16, 17], [0, 1, 2]])
    mask = np.arange(6) < 2
    assert channels.pick(mask).names == ["sub-01_0", "sub-01_1"]
    assert isinstance(channels.pick(mask), SubjectChannels)


def test_imagery_is_looked_for_among_the_test_pictures(written):
    store = open_written(written)
    assert store.gallery("imagery").equals(store.gallery("test"))
    assert len(store.select("imagery", ["sub-02"])) == 6


def test_the_same_store_comes_back_from_an_export(written, tmp_path: Path, snapshot):
    made = export_store(written[0], tmp_path / "dataset", images=True)
    assert snapshot(import_store(made, tmp_path / "back")) == snapshot(written[0])
    loaded = datasets.load_dataset(str(made), "sub-02", cache_dir=str(tmp_path / "cache")).with_format("numpy")
    assert list(loaded) == ["train", "test", "imagery"]
    for split in loaded:
        stored = np.load(written[0] / "sub-02" / f"{split}.npy")
        np.testing.assert_array_equal(np.asarray(loaded[split]["fmri_values"][:]), stored)
    table = datasets.load_dataset(str(made), "channels", split="table", cache_dir=str(tmp_path / "cache"))
    pd.testing.assert_frame_equal(table.to_pandas(), pd.read_parquet(written[0] / "channels.parquet"))
    card = (made / "README.md").read_text()
    assert "- a trial: 6, 8 (voxels)" in card
    assert "| sub-02 | 8 | V1 3, V2 3, FFA 1 |" in card
    assert "imagery 12" in card


def test_the_code_of_the_card_runs_as_printed(written, python_blocks, tmp_path: Path, monkeypatch):
    made = export_store(written[0], tmp_path / "dataset")
    (code,) = python_blocks(made / "README.md")
    monkeypatch.chdir(made)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    names = {}
    exec(code, names)
    assert names["trials"][0]["fmri_values"].shape == (6,)
    assert names["voxels"]["name"][:2] == ["sub-01_0", "sub-01_1"]


def test_the_builder_builds_what_an_export_gives(written, tmp_path: Path):
    made = export_store(written[0], tmp_path / "dataset")
    for config in ("sub-01", "sub-02", "channels", "pictures"):
        builder = TrialStoreBuilder(config_name=config, data_dir=str(written[0]), cache_dir=str(tmp_path / "one"))
        builder.download_and_prepare()
        loaded = datasets.load_dataset(str(made), config, cache_dir=str(tmp_path / "other"))
        built = builder.as_dataset()
        assert list(built) == list(loaded)
        for split in loaded:
            assert built[split].features == loaded[split].features
            assert built[split].with_format("arrow")[:].equals(loaded[split].with_format("arrow")[:])


def test_a_store_without_a_table_has_no_such_config(store_folder, tmp_path: Path):
    builder = TrialStoreBuilder(config_name="channels", data_dir=str(store_folder), cache_dir=str(tmp_path))
    with pytest.raises(InputError, match="has no config 'channels': config_name is one of sub-01, sub-02, pictures"):
        builder.download_and_prepare()


def test_a_sound_store_is_whole_and_a_changed_table_is_named(pattern_stores, tmp_path: Path):
    pattern_stores.write_patterns(tmp_path / "store")
    found = check_store(tmp_path / "store")
    assert (found.problems, found.trials) == ([], 48)
    file = tmp_path / "store" / "channels.parquet"
    table = pd.read_parquet(file)
    table.loc[0, "scale"] *= 2
    table.to_parquet(file, index=False)
    (problem,) = check_store(tmp_path / "store").problems
    assert (problem.file, "its checksum differs" in problem.problem) == ("channels.parquet", True)
    file.unlink()
    assert [one.file for one in check_store(tmp_path / "store").problems] == ["channels.parquet"]


def test_channels_in_both_places_are_named(pattern_stores, tmp_path: Path):
    pattern_stores.write_patterns(tmp_path / "store")
    info = read_json(tmp_path / "store" / "store.json")
    write_json(tmp_path / "store" / "store.json", signed({**info, "channels": ["a"], "scale": [1.0], "offset": [0.0]}))
    (problem,) = check_store(tmp_path / "store").problems
    assert "it lists channels, which channels.parquet lists too" in problem.problem


def test_voxels_and_regions_are_described_subject_by_subject(written):
    said = describe_store(written[0])
    assert said["channels"] == []
    assert said["channels_by_subject"]["sub-02"] == {"channels": 8, "rois": {"V1": 3, "V2": 3, "FFA": 1}}
    assert said["subjects"]["sub-01"]["imagery"]["trials"] == 6
    short = summarise_store(written[0])
    assert (short["channels"], short["imagery_trials"]) == ({"sub-01": 6, "sub-02": 8}, 12)


def test_what_is_said_of_stores_without_a_table_is_what_was_said(store_folder):
    assert "channels_by_subject" not in describe_store(store_folder)
    short = summarise_store(store_folder)
    assert short["channels"] == 4
    assert "imagery_trials" not in short
