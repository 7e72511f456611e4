"""What is wrong with an export is named when it is imported, and nothing stays."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.importing import import_store
from neuroclip_hf.data.store_info import signed
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, sha256, write_json


@pytest.fixture
def export_copy(exported, tmp_path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "dataset"))


def change_json(path: Path, **changes) -> None:
    write_json(path, {**read_json(path), **changes})


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def rewrite(path: Path, change) -> None:
    table = change(pq.read_table(path))
    pq.write_table(table, path)


def without_a_number(table: pa.Table) -> pa.Table:
    """A trial's first number becomes null."""
    values = table["eeg_values"].to_pylist()
    values[0][0][0] = None
    return table.set_column(0, "eeg_values", pa.array(values, type=pa.list_(pa.list_(pa.float16()))))


def with_another_picture(table: pa.Table) -> pa.Table:
    """The last picture gets the bytes of the first."""
    images = table["image"].to_pylist()
    images[-1]["bytes"] = images[0]["bytes"]
    return table.set_column(table.schema.get_field_index("image"), "image", pa.array(images, table["image"].type))


def forget_a_trial(path: Path) -> None:
    """The last trial leaves the table, and all checksums are made to fit."""
    table, info = path / "store" / "trials.parquet", path / "store" / "store.json"
    rewrite(table, lambda trials: trials.slice(0, len(trials) - 1))
    said = read_json(info)
    write_json(info, signed({**said, "checksums": {**said["checksums"], "trials.parquet": sha256(table)}}))
    change_json(path / layout.EXPORT_FILE, digest=sha256(info))


TRAIN_SHARD = "data/sub-01/train-00000-of-00001.parquet"
PICTURES_SHARD = "pictures/gallery-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda path: (path / layout.EXPORT_FILE).unlink(),
            "is no exported store .* make one with `neuroclip export`",
        ),
        (lambda path: (path / layout.EXPORT_FILE).write_text("{"), "neuroclip_export.json is not readable JSON"),
        (lambda path: change_json(path / layout.EXPORT_FILE, format=2), "neuroclip_export.json is not of format 1"),
        (lambda path: change_json(path / layout.EXPORT_FILE, shards=[]), "neuroclip_export.json is damaged"),
        (lambda path: change_json(path / layout.EXPORT_FILE, files=["../x"]), "names '../x', outside the export"),
        (lambda path: change_json(path / layout.EXPORT_FILE, files=[]), "neuroclip_export.json lacks "),
        (lambda path: change_json(path / layout.EXPORT_FILE, headers={}), "lacks the header of sub-01/train.npy"),
        (lambda path: change_json(path / "store" / "store.json", unit="V"), "store.json is missing or has changed"),
        (lambda path: (path / "store" / "trials.parquet").unlink(), "store/trials.parquet is missing: export again"),
        (
            lambda path: truncate(path / "store" / "sub-01" / "covariance.npy"),
            "covariance.npy would not be .* .its checksum differs",
        ),
        (lambda path: (path / TRAIN_SHARD).unlink(), f"{TRAIN_SHARD} is missing: get it again"),
        (lambda path: truncate(path / TRAIN_SHARD), f"{TRAIN_SHARD} cannot be read .*: get it again"),
        (lambda path: rewrite(path / TRAIN_SHARD, lambda table: table.slice(1)), f"{TRAIN_SHARD}: .*checksum differs"),
        (lambda path: rewrite(path / TRAIN_SHARD, without_a_number), f"{TRAIN_SHARD}: .*checksum differs"),
        (
            lambda path: rewrite(path / TRAIN_SHARD, lambda table: table.drop_columns(["eeg_values"])),
            f"{TRAIN_SHARD} lacks the column eeg_values",
        ),
        (lambda path: rewrite(path / PICTURES_SHARD, lambda table: table.slice(1)), "pictures lacks pictures/t.*jpg"),
        (lambda path: rewrite(path / PICTURES_SHARD, with_another_picture), f"{PICTURES_SHARD}: .*checksum differs"),
        (forget_a_trial, r"test\.npy has shape .* but the trial table asks for"),
        (
            lambda path: rewrite(
                path / PICTURES_SHARD,
                lambda table: table.set_column(3, "picture_file", [["../../x"] * len(table)]),
            ),
            "names the picture '../../x', outside the store",
        ),
    ],
)
def test_damaged_exports_are_named_and_nothing_stays(export_copy, tmp_path, spoil, message):
    spoil(export_copy)
    with pytest.raises(InputError, match=message):
        import_store(export_copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]
