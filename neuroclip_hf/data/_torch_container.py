"""Tensors of torch's zip container, for `safe_load` only; the one file of `data` that meets torch.

`torch.load(weights_only=True)` is not used: it believes the element count that the pickle gives for a storage, also
where the file holds fewer bytes, and it refuses the NumPy arrays and scalars that the field's containers mix in.
"""

import struct
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroclip_hf.data._pickled_arrays import Function
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
        order = archive.read(f"{prefix}byteorder").decode() if f"{prefix}byteorder" in names else "little"
        if order != sys.byteorder:
            raise InputError(f"{path} was saved on a {order}-endian machine: save it again on one like this.")

    def names(self) -> dict[tuple[str, str], Any]:
        """What the container's pickle may name beside the names of plain data."""
        names: dict[tuple[str, str], Any] = {("torch", name): StorageKind(name) for name in _STORAGES}
        names["torch._utils", "_rebuild_tensor_v2"] = Function(self._rebuild_tensor)
        return names

    def find(self, pid: Any) -> "torch.Tensor":
        """The storage of a persistent id, as a flat tensor."""
        import torch

        if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], StorageKind):
            raise InputError(f"{self._path} asks for a persistent object that is no storage: get the file again.")
        _, kind, key, _, count = pid
        name, width = _STORAGES[kind.name]
        entry = self._archive.getinfo(f"{self._prefix}data/{key}")
        if type(count) is not int or count < 0 or count * width != entry.file_size:
            raise InputError(
                f"{self._path} declares {count} elements of {name} where it holds {entry.file_size:,} bytes: "
                "the file is damaged; get it again."
            )
        if count == 0:
            return torch.empty(0, dtype=getattr(torch, name))
        raw = np.memmap(self._path, np.uint8, mode="c", offset=self._offset(entry), shape=(entry.file_size,))
        return torch.from_numpy(raw).view(getattr(torch, name))

    def _offset(self, entry: zipfile.ZipInfo) -> int:
        with self._path.open("rb") as file:
            file.seek(entry.header_offset)
            header = file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            raise InputError(f"{self._path} is damaged at {entry.filename}: get it again.")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        return int(entry.header_offset + 30 + name_length + extra_length)

    def _rebuild_tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
    ) -> "torch.Tensor":
        import torch

        numbers = (offset, *size, *stride) if type(size) is tuple and type(stride) is tuple else (None,)
        if not isinstance(storage, torch.Tensor) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError("a tensor is described wrongly")
        if len(size) != len(stride):
            raise ValueError(f"a tensor has {len(size)} sizes and {len(stride)} strides")
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        elements = int(np.prod(size, dtype=object))
        if elements and (last >= len(storage) or elements > len(storage)):
            raise ValueError(f"a tensor of size {size} reaches past its storage of {len(storage)} elements")
        return storage.as_strided(size, stride, offset)
