"""How an exported store lies on disk, and which columns its Parquet files have.

```
DIR/
  README.md                                       dataset card: one config a subject, the pictures' config last
  neuroclip_export.json                           what `neuroclip import` needs to know
  data/sub-01/train-00000-of-00005.parquet        trials of a subject and split, in the order of the store's arrays
  pictures/gallery-00000-of-00001.parquet         a row a picture; its file byte by byte, unless left out
  store/store.json, trials.parquet, ...           the store's own small files, byte by byte; channels.parquet, where
                                                  there is one, is a config, too
```

Values are written as `datasets.Array2D` (channels, samples) of float16, the numbers of the store's arrays: `datasets`
makes tensors of it much faster than of nested lists of fixed length, and one flat list would lose the shape. Nothing
is compressed, since float16 EEG hardly shrinks, and the values have no statistics, which nobody asks for and which
slow writing.
"""

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_layout import PICTURE_COLUMNS, SUBJECT_NAME, TRIAL_COLUMNS, is_inside
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json

if TYPE_CHECKING:
    from datasets import Features

EXPORT_FILE = "neuroclip_export.json"
EXPORT_FORMAT = 1
TRIALS, PICTURES, STORE = "data", "pictures", "store"
"""Folders of an export."""
PICTURES_CONFIG, PICTURES_SPLIT = "pictures", "gallery"
"""Config and split that `load_dataset` finds the pictures by; the column `gallery` says which splits see them."""
CHANNELS_CONFIG, CHANNELS_SPLIT = "channels", "table"
"""Config and split that `load_dataset` finds a store's channel table by, where it has one."""
IMAGE = "image"
VALUES = {"eeg": columns.EEG_VALUES, "meg": columns.EEG_VALUES, "fmri": columns.FMRI_VALUES}
"""Modality -> column of the values, called as the models' input is."""

SHARD_BYTES = 500_000_000
"""Largest shard (ours; what `datasets` itself writes)."""
GROUP_BYTES = 2_000_000
"""Values in a row group (ours), in bytes: larger ones leave the processor's cache and are written more slowly."""
PICTURE_GROUP_BYTES = 8_000_000
"""Pictures in a row group (ours)."""


@dataclass(frozen=True)
class ExportInfo:
    """What neuroclip_export.json says.

    Args:
        fingerprint (`str`): of the store.
        digest (`str`): SHA-256 of its store.json, which vouches for everything else.
        images (`bool`): whether the pictures' files are in it.
        headers (`dict`): "sub-01/train.npy" -> the array file's first bytes as hexadecimal digits.
        shards (`dict`): "sub-01/train.npy" -> its Parquet files in order, relative to the export.
        pictures (`list[str]`): Parquet files of the pictures.
        files (`list[str]`): the store's own small files below `store/`, store.json apart.
        format (`int`): of the export; another one is refused.
    """

    fingerprint: str
    digest: str
    images: bool
    headers: dict[str, str] = field(default_factory=dict)
    shards: dict[str, list[str]] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    format: int = EXPORT_FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def read_export_info(folder: Path) -> ExportInfo:
    """Read neuroclip_export.json.

    Raises:
        InputError: if the folder is missing or no export, of another format, or names files outside itself.
    """
    if not (folder / EXPORT_FILE).is_file():
        raise InputError(f"{folder} is no exported store (it has no {EXPORT_FILE}): make one with `neuroclip export`.")
    values = read_json(folder / EXPORT_FILE)
    if not isinstance(values, dict) or values.get("format") != EXPORT_FORMAT:
        raise InputError(f"{folder / EXPORT_FILE} is not of format {EXPORT_FORMAT}: export with this version.")
    known = {one.name for one in fields(ExportInfo)}
    try:
        info = ExportInfo(**{name: value for name, value in values.items() if name in known})
        shards = [shard for parts in info.shards.values() for shard in parts]
        named = [*shards, *info.pictures, *info.files, *info.shards, *info.headers]
        outside = [name for name in named if not is_inside(name)]
    except (TypeError, AttributeError) as error:
        raise InputError(f"{folder / EXPORT_FILE} is damaged ({error}): export again.") from None
    if outside:
        raise InputError(f"{folder / EXPORT_FILE} names {outside[0]!r}, outside the export: do not use it.")
    return info


def check_subject(subject: str, where: Path) -> None:
    """Refuse a subject that cannot name a folder, or is called as the config of the pictures or channels is."""
    if not SUBJECT_NAME.fullmatch(subject) or subject in (PICTURES_CONFIG, CHANNELS_CONFIG):
        raise InputError(f"{where}: subject {subject!r} cannot name a config of a dataset: call it otherwise.")


def rows_per_group(shape: tuple[int, ...]) -> int:
    """Trials of a shape in a row group."""
    return max(1, GROUP_BYTES // (2 * math.prod(shape)))


def rows_per_shard(shape: tuple[int, ...]) -> int:
    """Trials of a shape in a shard, a whole number of row groups."""
    group = rows_per_group(shape)
    return group * max(1, SHARD_BYTES // (2 * math.prod(shape) * group))


def trial_features(info: StoreInfo, shape: tuple[int, ...], trials: pd.DataFrame) -> "Features":
    """Columns of a subject's Parquet files: the values, trials of a shape, then those of the trial table."""
    from datasets import Array2D, Features, List, Value

    values = Array2D(shape, "float16") if len(shape) == 2 else List(Value("float16"), length=shape[0])
    return Features({VALUES[info.modality]: values, **{name: _value(trials[name]) for name in TRIAL_COLUMNS}})


def picture_features(images: bool) -> "Features":
    """Columns of the pictures' Parquet files: those of the picture table, and the file itself."""
    from datasets import Features, Image, Value

    features = {name: Value("string") for name in PICTURE_COLUMNS}
    return Features({**features, IMAGE: Image()} if images else features)


def row_table(rows: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Rows of the trial table as the schema of a subject's files has them, without the values."""
    kept = [schema.field(name) for name in TRIAL_COLUMNS]
    return pa.table([pa.array(rows[one.name], type=one.type, from_pandas=True) for one in kept], pa.schema(kept))


def trial_table(values: NDArray[np.float16], rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of [`row_table`] with their values, which come first and are not copied."""
    return pa.table([_value_array(values, schema.field(0).type), *rows.columns], schema)


def values_of(batch: pa.RecordBatch, modality: str) -> NDArray[np.float16]:
    """The values of a batch, one after the other, without a copy."""
    array = batch.column(VALUES[modality])
    if isinstance(array, pa.ExtensionArray):  # where `datasets` is imported; plain lists elsewhere
        array = array.storage
    while not pa.types.is_floating(array.type):
        array = array.flatten()
    return array.to_numpy(zero_copy_only=array.null_count == 0)


def _value(column: pd.Series) -> Any:
    from datasets import Value

    if pd.api.types.is_integer_dtype(column):
        return Value("int64")
    return Value("float64" if pd.api.types.is_float_dtype(column) else "string")


def _value_array(values: NDArray[np.float16], kind: pa.DataType) -> pa.Array:
    array = pa.Array.from_buffers(pa.float16(), values.size, [None, pa.py_buffer(values)])
    if not isinstance(kind, pa.ExtensionType):
        return pa.FixedSizeListArray.from_arrays(array, values.shape[-1])
    for length in reversed(values.shape[1:]):
        array = pa.ListArray.from_arrays(np.arange(0, len(array) + 1, length, dtype=np.int32), array)
    return pa.ExtensionArray.from_storage(kind, array)
