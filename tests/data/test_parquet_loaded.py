"""What `load_dataset` reads of an export, and what its card says."""

from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import DatasetCard

from neuroclip_hf import columns
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.card import dataset_card
from neuroclip_hf.data.parquet.export import export_store
from neuroclip_hf.data.parquet.layout import ExportInfo
from neuroclip_hf.data.store import TrialStore

SHARDS = {"sub-01/train.npy": ["data/sub-01/train-00000-of-00001.parquet"]}
pytestmark = pytest.mark.usefixtures("without_bars")


@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_load_dataset_reads_trials_in_the_order_of_the_store(exported, store_folder, tmp_path, subject):
    loaded = datasets.load_dataset(str(exported), subject, cache_dir=str(tmp_path))
    assert list(loaded) == ["train", "test"]
    store = TrialStore(store_folder)
    for split in loaded:
        expected = np.load(store_folder / subject / f"{split}.npy")
        found = loaded[split].with_format("numpy", dtype="float16")["eeg_values"][:]
        assert (found.dtype, found.shape) == (np.dtype("float16"), (len(expected), 4, 30))
        np.testing.assert_array_equal(found, expected)
        table = store.trials.iloc[store.select(split, [subject])].sort_values(columns.ROW)
        for name in (columns.IMAGE_ID, columns.CONCEPT, columns.SESSION, columns.REPEAT, columns.SAMPLE):
            assert list(loaded[split][name]) == table[name].tolist()


def test_load_dataset_streams_takes_columns_and_gives_tensors(exported, store_folder, tmp_path):
    options = {"path": str(exported), "name": "sub-01", "split": "test", "cache_dir": str(tmp_path)}
    expected = np.load(store_folder / "sub-01" / "test.npy")
    stream = datasets.load_dataset(**options, streaming=True).with_format("torch")
    streamed = [row["eeg_values"] for row in stream]
    assert streamed[0].shape == (4, 30)
    np.testing.assert_array_equal(torch.stack(streamed).numpy(), expected.astype(np.float32))
    names = datasets.load_dataset(**options, columns=["image_id", "repeat"])
    assert names.column_names == ["image_id", "repeat"]
    loaded = datasets.load_dataset(**options)
    for chosen, dtype in (({}, torch.float32), ({"dtype": torch.float16}, torch.float16)):
        values = loaded.with_format("torch", **chosen)[2:5]["eeg_values"]
        assert values.dtype == dtype
        np.testing.assert_array_equal(values.numpy(), expected[2:5])


def test_pictures_are_stored_once_and_byte_by_byte(exported, store_folder, tmp_path):
    loaded = datasets.load_dataset(str(exported), "pictures", split="gallery", cache_dir=str(tmp_path))
    store = TrialStore(store_folder)
    assert list(loaded["image_id"]) == store.pictures[columns.IMAGE_ID].tolist()
    assert loaded[0]["image"].size == (16, 16)
    raw = loaded.cast_column("image", datasets.Image(decode=False))
    for row in raw:
        assert row["image"]["bytes"] == (store_folder / row["picture_file"]).read_bytes()


def test_the_card_has_a_config_a_subject_and_the_pictures_last(exported):
    text = (exported / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert [config["config_name"] for config in front["configs"]] == ["sub-01", "sub-02", "pictures"]
    body = text.split("---\n", 2)[2].lstrip()
    assert body.startswith("Simulated recordings")
    assert "may not be redistributed" in body


def test_the_code_of_the_card_runs_as_printed(exported, python_blocks, tmp_path, monkeypatch):
    (code,) = python_blocks(exported / "README.md")
    monkeypatch.chdir(exported)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    names = {}
    exec(code, names)
    assert names["trials"][0]["eeg_values"].shape == (4, 30)
    assert len(names["pictures"]) == 26


def test_pictures_that_may_not_be_shared_are_never_silent(store_folder, tmp_path, caplog):
    export_store(store_folder, tmp_path / "with")
    assert "may not be redistributed" in caplog.text
    caplog.clear()
    without = export_store(store_folder, tmp_path / "without", images=False)
    assert caplog.text == ""
    assert "files were left out" in (without / "README.md").read_text()
    jpegs = [path for path in without.rglob("*") if path.is_file() and b"\xff\xd8\xff" in path.read_bytes()]
    assert jpegs == []
    loaded = datasets.load_dataset(str(without), "pictures", split="gallery", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names == list(layout.PICTURE_COLUMNS)


def test_the_card_repeats_the_warnings_of_the_store(array_store):
    store = array_store()
    store.info = replace(store.info, warnings=["a session is missing."])
    assert "- note: a session is missing." in dataset_card(store, ExportInfo("", "", images=True, shards=SHARDS))


@pytest.mark.parametrize("revision", ["v1", None])
def test_the_card_of_a_branch_loads_that_branch(array_store, revision):
    card = dataset_card(array_store(), ExportInfo("", "", images=True, shards=SHARDS), "user/data", revision)
    assert card.count('revision="v1"') == (card.count("load_dataset(here") if revision else 0)
    assert ("neuroclip pull user/data --dataset --revision v1 --out" in card) == bool(revision)


@pytest.mark.parametrize(
    ("source", "data"), [("arrays", "recorded"), ("things-eeg2", "recorded"), ("things-eeg2", "simulated")]
)
def test_a_licence_is_stated_where_the_hub_and_a_reader_look(array_store, source, data):
    store, info = array_store(), ExportInfo("", "", images=True, shards=SHARDS)
    store.info = replace(store.info, source=source, data=data)
    stated = dataset_card(store, info, "user/data", licence="cc-by-4.0")
    assert DatasetCard(stated).data.license == "cc-by-4.0"
    assert "states this licence: cc-by-4.0." in stated
    assert "nobody has stated it" not in stated


def test_no_licence_is_stated_that_nobody_gave(array_store):
    store, info = array_store(), ExportInfo("", "", images=True, shards=SHARDS)
    silent = dataset_card(store, info, "user/data")
    assert DatasetCard(silent).data.license is None
    assert "nobody has stated it here" in silent


@pytest.mark.parametrize(
    ("source", "data", "said"),
    [
        ("arrays", "recorded", "nobody has stated it here: ask before you use them"),
        ("things-eeg2", "recorded", "are under CC BY 4.0: cite the paper"),
        ("god", "recorded", "The licence of its recordings is not known to neuroclip_hf: see https://"),
        ("things-eeg2", "simulated", "nobody was recorded"),
    ],
)
def test_the_card_says_whose_the_recordings_are(array_store, source, data, said):
    store = array_store()
    store.info = replace(store.info, source=source, data=data)
    card = dataset_card(store, ExportInfo("", "", images=True, shards=SHARDS))
    assert said in card
    assert ("use them for what they agreed to" in card) == (data == "recorded")


def test_the_card_says_where_the_scale_of_each_channel_stands(array_store):
    store = array_store()
    store.info = replace(store.info, scale=[1e-6, 2e-6, 1e-6])
    card = dataset_card(store, ExportInfo("", "", images=True, shards=SHARDS))
    assert "number x scale + offset, which `store/store.json` lists" in card
