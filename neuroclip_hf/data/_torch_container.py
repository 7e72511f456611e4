"""Tensors of torch's zip container, for `safe_load` and simulations only; the one file of `data` that loads torch.

`torch.load(weights_only=True)` is not used: it believes the element count that the pickle gives for a storage, also
where the file holds fewer bytes, and it refuses the NumPy arrays and scalars that the field's containers mix in.
"""

import math
import struct
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroclip_hf.data._pickled_arrays import Function, are_lengths, shown
from neuroclip_hf.errors import InputError

if TYPE_CHECKING:
    import torch

_STORAGES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}


class StorageKind:
    """The name of a storage class, which a pickle may pass on but not call."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Storage:
    """A flat tensor that the pickle may make tensors of, and do nothing else with."""

    __slots__ = ("values",)

    def __init__(self, values: "torch.Tensor") -> None:
        self.values = values


class TorchStorages:
    """The storages of an open container, mapped from the file when a tensor asks for one.

    Args:
        path (`Path`): the file.
        archive (`zipfile.ZipFile`): the same file, open; all entries are stored without compression.
        prefix (`str`): the folder inside the archive.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, prefix: str) -> None:
        self._path, self._archive, self._prefix = path, archive, prefix
        names = archive.namelist()
        order = archive.read(f"{prefix}byteorder") if f"{prefix}byteorder" in names else b"little"
        if order != sys.byteorder.encode():
            raise InputError(
                f"{path} was saved with the byte order {shown(order)}: save it again on a machine like this."
            )
        self._bytes: dict[str, np.ndarray] = {}
        self._mapped: np.ndarray | None = None

    def names(self) -> dict[tuple[str, str], Any]:
        """What the container's pickle may name beside the names of plain data."""
        names: dict[tuple[str, str], Any] = {("torch", name): StorageKind(name) for name in _STORAGES}
        names["torch._utils", "_rebuild_tensor_v2"] = Function(self._rebuild_tensor)
        return names

    def find(self, pid: Any) -> Storage:
        """The storage of a persistent id."""
        import torch

        if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], StorageKind):
            raise InputError(f"{self._path} asks for a persistent object that is no storage: get the file again.")
        _, kind, key, _, count = pid
        name, width = _STORAGES[kind.name]
        if type(key) is not str:
            raise InputError(f"{self._path} names a storage {shown(key)} instead of by a text: get the file again.")
        entry = self._archive.getinfo(f"{self._prefix}data/{key}")
        if type(count) is not int or count < 0 or count * width != entry.file_size:
            raise InputError(
                f"{self._path} declares {shown(count)} elements of {name} where it holds {entry.file_size:,} bytes: "
                "the file is damaged; get it again."
            )
        if count == 0:
            return Storage(torch.empty(0, dtype=getattr(torch, name)))
        if key not in self._bytes:
            self._bytes[key] = self._map(entry)
        if name == "bool" and self._bytes[key].max() > 1:  # torch's masks count on it, see `_check_truths`
            raise InputError(f"{self._path} holds a truth value that is neither 0 nor 1: get the file again.")
        return Storage(torch.from_numpy(self._bytes[key]).view(getattr(torch, name)))

    def _map(self, entry: zipfile.ZipInfo) -> np.ndarray:
        if self._mapped is None:  # one map for all storages: each map keeps a file open
            self._mapped = np.memmap(self._path, np.uint8, mode="c")
        start = self._offset(entry)
        content = self._mapped[start : start + entry.file_size]
        if len(content) != entry.file_size:
            raise InputError(f"{self._path} ends before {shown(entry.filename)} does: get it again.")
        return content.copy() if start % 8 else content  # torch aligns storages, other writers of zip files do not

    def _offset(self, entry: zipfile.ZipInfo) -> int:
        with self._path.open("rb") as file:
            file.seek(entry.header_offset)
            header = file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            raise InputError(f"{self._path} is damaged at {shown(entry.filename)}: get it again.")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        return int(entry.header_offset + 30 + name_length + extra_length)

    def _rebuild_tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
    ) -> "torch.Tensor":
        if not isinstance(storage, Storage) or not all(map(are_lengths, ((offset,), size, stride))):
            raise ValueError("a tensor is described wrongly")
        if len(size) != len(stride):
            raise ValueError(f"a tensor has {len(size)} sizes and {len(stride)} strides")
        length_of_storage = len(storage.values)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        elements = math.prod(size)
        if offset > length_of_storage or (elements and (last >= length_of_storage or elements > length_of_storage)):
            raise ValueError(f"a tensor of size {size} reaches past its storage of {length_of_storage} elements")
        return storage.values.as_strided(size, stride, offset)


def save_torch(path: Path, content: dict[str, Any]) -> None:
    """Write a dictionary with `torch.save`, in pickle protocol 5: the older ones copy NumPy arrays several times.

    Equal content under an equal file name gives equal bytes; the name of the file is part of them.
    """
    import torch

    torch.save(content, path, pickle_protocol=5)
