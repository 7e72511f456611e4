"""Export and import: the same store comes back, `load_dataset` reads what lies between, and damage is named."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.builders.trial_store import TrialStoreBuilder
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.export import export_store, picture_tables
from neuroclip_hf.data.parquet.importing import import_store
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import WITHOUT_PICTURES, StoreInfo, signed
from neuroclip_hf.data.store_writer import new_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, sha256, write_json

pytestmark = pytest.mark.usefixtures("without_bars")


@pytest.fixture
def small_parts(monkeypatch):
    """Several shards and row groups from a few trials and pictures."""
    monkeypatch.setattr(layout, "GROUP_BYTES", 2 * 4 * 30 * 4)
    monkeypatch.setattr(layout, "SHARD_BYTES", 2 * 4 * 30 * 18)  # four groups and a half
    monkeypatch.setattr(layout, "PICTURE_GROUP_BYTES", 1500)


@pytest.fixture
def train_shard(exported) -> Path:
    (shard,) = (exported / "data" / "sub-01").glob("train-*.parquet")
    return shard


def test_the_same_store_comes_back(exported, store_folder, tmp_path, snapshot):
    back = import_store(exported, tmp_path / "back")
    assert snapshot(back) == snapshot(store_folder)
    assert TrialStore(back).info.fingerprint == TrialStore(store_folder).info.fingerprint


def test_the_same_store_comes_back_from_many_shards(small_parts, store_folder, tmp_path, snapshot):
    made = export_store(store_folder, tmp_path / "dataset")
    names = sorted(path.name for path in (made / "data" / "sub-01").iterdir())
    assert names == [
        *("test-00000-of-00002.parquet", "test-00001-of-00002.parquet"),
        *(f"train-0000{number}-of-00003.parquet" for number in range(3)),
    ]
    assert [pq.ParquetFile(made / "data" / "sub-01" / name).num_row_groups for name in names] == [4, 2, 4, 4, 2]
    assert len(list((made / "pictures").iterdir())) > 1
    rows = [pq.read_table(made / "data" / "sub-01" / name, columns=["row"])["row"].to_pylist() for name in names]
    assert rows == [list(range(16)), list(range(16, 24)), list(range(16)), list(range(16, 32)), list(range(32, 40))]
    assert snapshot(import_store(made, tmp_path / "back")) == snapshot(store_folder)


def test_values_are_neither_compressed_nor_counted(train_shard):
    group = pq.ParquetFile(train_shard).metadata.row_group(0)
    columns_by_name = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    for name, found in columns_by_name.items():
        values = name.startswith("eeg_values")
        assert found.compression == "UNCOMPRESSED"
        assert (found.statistics is None) == values
        assert ("RLE_DICTIONARY" in found.encodings) == (not values)


def test_values_are_lists_of_channels_for_readers_other_than_datasets(train_shard, store_folder):
    found = pq.read_table(train_shard)["eeg_values"].chunk(0)
    rows = (found.storage if isinstance(found, pa.ExtensionArray) else found).to_pylist()
    np.testing.assert_array_equal(rows, np.load(store_folder / "sub-01" / "train.npy")[: len(rows)])


def test_pictures_are_written_a_few_at_a_time(small_parts, store_folder, tmp_path):
    made = export_store(store_folder, tmp_path / "dataset")
    tables = list(picture_tables(TrialStore(store_folder), range(26), layout.picture_features(True)))
    assert len(tables) > 2
    sizes = [sum(len(image["bytes"]) for image in table["image"].to_pylist()) for table in tables]
    assert max(sizes) < 2 * layout.PICTURE_GROUP_BYTES
    assert sum(len(table) for table in tables) == 26
    loaded = datasets.load_dataset(str(made), "pictures", split="gallery", cache_dir=str(tmp_path / "cache"))
    assert list(loaded["image_id"]) == [name for table in tables for name in table["image_id"].to_pylist()]


def test_trials_come_in_the_order_of_the_arrays_whatever_that_of_the_table(store_folder, tmp_path, snapshot):
    path = Path(shutil.copytree(store_folder, tmp_path / "store"))
    table = TrialStore(path).trials.iloc[::-1]
    table.to_parquet(path / "trials.parquet", index=False)
    said = read_json(path / "store.json")
    said["checksums"]["trials.parquet"] = sha256(path / "trials.parquet")
    write_json(path / "store.json", signed(said))
    made = export_store(path, tmp_path / "dataset")
    builder = TrialStoreBuilder(config_name="sub-01", data_dir=str(path), cache_dir=str(tmp_path / "cache"))
    rows = list(builder.as_streaming_dataset("train"))
    loaded = datasets.load_dataset(str(made), "sub-01", split="train", cache_dir=str(tmp_path / "cache"))
    for found in (list(loaded), rows):
        assert [row["row"] for row in found] == list(range(40))
        np.testing.assert_array_equal([row["eeg_values"] for row in found], np.load(path / "sub-01" / "train.npy"))
    assert [row["sample"] for row in rows] == loaded["sample"][:]
    assert snapshot(import_store(made, tmp_path / "back")) == snapshot(path)


def test_equal_stores_give_equal_bytes(exported, store_folder, tmp_path, snapshot):
    again = export_store(store_folder, tmp_path / "deeper" / "again")
    assert snapshot(again) == snapshot(exported)
    assert str(store_folder.parent) not in (exported / "README.md").read_text()


def test_without_pictures_the_store_is_another_that_says_so(store_folder, tmp_path, snapshot):
    without = export_store(store_folder, tmp_path / "without", images=False)
    store = TrialStore(import_store(without, tmp_path / "bare"))
    assert WITHOUT_PICTURES in store.info.warnings
    assert store.info.fingerprint != TrialStore(store_folder).info.fingerprint
    assert store.read([0]).shape == (1, 4, 30)
    with pytest.raises(InputError, match="does not exist"):
        store.open_picture(store.pictures[columns.IMAGE_ID][0])
    with pytest.raises(InputError, match="came without its pictures: export it with --without-pictures"):
        export_store(store.path, tmp_path / "again")
    again = export_store(store.path, tmp_path / "again", images=False)
    for number, made in enumerate((without, again)):
        whole = import_store(made, tmp_path / f"whole-{number}", pictures=store_folder / "pictures")
        assert snapshot(whole) == snapshot(store_folder)


def test_other_pictures_are_not_taken(store_folder, tmp_path):
    without = export_store(store_folder, tmp_path / "without", images=False)
    with pytest.raises(InputError, match=r"--pictures .*nowhere: there is no such folder"):
        import_store(without, tmp_path / "out", pictures=tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"is missing: --pictures must have every picture"):
        import_store(without, tmp_path / "out", pictures=tmp_path)
    other = tmp_path / "other"
    for name in TrialStore(store_folder).pictures[columns.PICTURE_FILE]:
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes(b"another")
    with pytest.raises(InputError, match="is not the picture of the store"):
        import_store(without, tmp_path / "out", pictures=other / "pictures")
    assert not (tmp_path / "out").exists()


def test_patterns_and_concepts(tmp_path, snapshot):
    info = StoreInfo(
        modality="fmri",
        channels=[f"v{number}" for number in range(7)],
        unit="au",
        scale=[2.0] * 7,
        offset=list(range(7)),
        sampling_rate=None,
        window_start=0.0,
        num_timesteps=None,
        protocol=columns.NEW_TRIALS,
        target=columns.CONCEPT_TARGET,
        data=columns.RECORDED,
        source="arrays",
        settings={},
        redistribute_pictures=True,
    )
    with new_store(tmp_path / "store", info) as writer:
        own = {columns.IMAGE_ID: "", columns.CONCEPT: "cat", columns.SESSION: 1, columns.RUN: 1, columns.FILE: "a"}
        for split, count in (("test", 1), ("train", 5), ("validation", 2)):
            rows = [{**own, columns.SAMPLE: 10 * len(split) + number} for number in range(count)]
            writer.add_trials("01", split, np.random.default_rng(count).standard_normal((count, 7)), rows, "a")
        for split in ("train", "test"):
            writer.add_picture(f"{split}.png", "cat", split, Image.new("RGB", (4, 4)), "a cat")
    made = export_store(tmp_path / "store", tmp_path / "dataset")
    loaded = datasets.load_dataset(str(made), "01", cache_dir=str(tmp_path / "cache")).with_format("numpy")
    assert list(loaded) == ["train", "validation", "test"]
    np.testing.assert_array_equal(loaded["train"]["fmri_values"][:], np.load(tmp_path / "store" / "01" / "train.npy"))
    assert "may be redistributed, by the word" in (made / "README.md").read_text()
    assert snapshot(import_store(made, tmp_path / "back")) == snapshot(tmp_path / "store")


def spoil_bytes(path: Path) -> None:
    if path.suffix == ".parquet":  # as readable as before
        pq.write_table(pq.read_table(path), path, compression="gzip")
        return
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["sub-01/train.npy", "sub-02/covariance.npy", "trials.parquet", "picture"])
def test_a_store_that_has_changed_is_not_exported(store_folder, tmp_path, name):
    path = Path(shutil.copytree(store_folder, tmp_path / "store"))
    store = TrialStore(path)
    spoil_bytes(path / (store.pictures[columns.PICTURE_FILE][3] if name == "picture" else name))
    with pytest.raises(InputError, match=r"has changed since the store was made .*: make the store again"):
        export_store(store.path, tmp_path / "dataset")
    assert [one.name for one in tmp_path.iterdir()] == ["store"]


def test_existing_outputs_are_left_alone(exported, store_folder, tmp_path, snapshot):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    for action in (export_store, import_store):
        source = store_folder if action is export_store else exported
        with pytest.raises(InputError, match="already exists: pass --overwrite"):
            action(source, tmp_path / "mine")
        with pytest.raises(InputError, match="holds other files"):
            action(source, tmp_path / "mine", overwrite=True)
    assert snapshot(tmp_path) == before


def test_missing_stores_and_pictures_are_named(store_folder, tmp_path):
    with pytest.raises(InputError, match="is not a trial store"):
        export_store(tmp_path / "nothing", tmp_path / "dataset")
    path = Path(shutil.copytree(store_folder, tmp_path / "store"))
    gone = path / TrialStore(path).pictures[columns.PICTURE_FILE][0]
    gone.unlink()
    with pytest.raises(InputError, match=rf"{gone.name} is missing: put the picture there, or export with --without"):
        export_store(path, tmp_path / "dataset")
    assert [one.name for one in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("module", ["export", "importing"])
def test_a_full_disk_is_named_and_nothing_stays(exported, store_folder, tmp_path, monkeypatch, module):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    if module == "export":
        monkeypatch.setattr("neuroclip_hf.data.parquet.export.new_parquet", full)
    else:
        monkeypatch.setattr("neuroclip_hf.data.parquet.importing.layout.values_of", full)
    action, source = (export_store, store_folder) if module == "export" else (import_store, exported)
    with pytest.raises(InputError, match="out cannot be written: the disk is full; free some space"):
        action(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_subject_called_as_the_pictures_config_is_refused(store_folder, tmp_path):
    with pytest.raises(InputError, match="subject 'pictures' cannot name a config of a dataset"):
        layout.check_subject("pictures", tmp_path)
    layout.check_subject("sub-01", tmp_path)


def test_nothing_of_this_loads_torch_and_help_does_not_load_datasets(store_folder, tmp_path):
    out, back = str(tmp_path / "dataset"), str(tmp_path / "back")
    code = (
        "import sys, json; from neuroclip_hf.cli.main import main\n"
        "main(['export', '--help']); lazy = 'datasets' not in sys.modules\n"
        f"main(['export', {str(store_folder)!r}, '--to', {out!r}]); main(['import', {out!r}, '--out', {back!r}])\n"
        "from neuroclip_hf.data.builders import things_eeg2\n"
        "print(json.dumps([lazy, 'datasets' in sys.modules, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [True, True, False]
