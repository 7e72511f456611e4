"""Reads the field's pickled containers without running what is inside.

A pickle is a small program that may name any function of any installed package and call it. The files that
THINGS-EEG2 and its descendants pass around are pickles, and they come from strangers. [`load`] executes them on an
interpreter that knows a short list of instructions, answers only to the names that arrays and plain containers need,
and gives even those to stand-ins of its own: no object of NumPy or torch meets a value from the file before it was
checked. Sizes are checked against the size of the file, so that a small file cannot ask for a large allocation.
"""

import codecs
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from neuroclip_hf.data import _pickled_arrays as arrays
from neuroclip_hf.errors import InputError

_REMEDY = "nothing of the file was run; get it again from its source, or save it as plain arrays"
_DAMAGED = "the file is truncated, damaged or no plain data: get it again"
_ALLOWED_OPCODES = {
    "framing": "PROTO FRAME STOP POP POP_MARK DUP MARK MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET",
    "numbers": "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT",
    "text": "STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8",
    "bytes": "SHORT_BINBYTES BINBYTES BINBYTES8",
    "containers": "EMPTY_DICT EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3",
    "names": "GLOBAL STACK_GLOBAL INST REDUCE BUILD EXT1 EXT2 EXT4 PERSID BINPERSID",
}
_OPCODES = " ".join(_ALLOWED_OPCODES.values()).split()
_CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_NAMES = {code: name for name, code in _CODES.items()}
_KEYS = (str, int, float, bool, bytes, type(None), np.generic)


def load(path: str | Path) -> Any:
    """Read one container file; what is in it decides how, not its name.

    - `.npy` with an object array (`np.save` of a dictionary or a list): the array, or for a 0-d one the object in it.
    - a plain `pickle.dump`, whatever the file is called: the object.
    - `.npy` with numbers: a read-only memory map, since such files reach tens of gigabytes.
    - torch's zip container (`torch.save`): the object, its tensors mapped from the file (writing to one changes
      memory, never the file). torch is imported only here.

    Allowed inside: NumPy arrays and scalars of numbers, text and bytes, or of allowed objects; `dict` (with plain
    keys), `list`, `tuple`, `str`, `int`, `float`, `bool`, `bytes`, `None`, `collections.OrderedDict`; tensors in a
    torch container. The file is read once; an array of a protocol 3 or newer pickle uses the bytes as they were read,
    without a copy.

    Args:
        path (`str` or `Path`): the file.

    Returns:
        What was saved.

    Raises:
        InputError: if the file is missing, truncated or damaged, asks for a name that is not allowed (the message
            says which), or claims sizes that it does not have.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _load_open(path, file, path.stat().st_size)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): check the path and its rights."
        ) from None
    except _Forbidden as error:
        raise InputError(f"{path} asks for {error}, which is not on the list for data: {_REMEDY}.") from None
    except MemoryError:
        raise InputError(f"{path} asks for more memory than there is: {_DAMAGED}.") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply: {_REMEDY}.") from None
    except Exception as error:  # a damaged pickle can raise nearly anything inside the interpreter
        raise InputError(f"{path} cannot be read ({type(error).__name__}: {error}): {_DAMAGED}.") from error


def _load_open(path: Path, file: BinaryIO, size: int) -> Any:
    start = file.read(6)
    file.seek(0)
    if start == b"\x93NUMPY":
        return _load_npy(path, file, size)
    if start[:4] == b"PK\x03\x04":
        return _load_torch(path, file, size)
    return RestrictedUnpickler(path, BoundedReader(path, file, size)).load_object()


def _load_npy(path: Path, file: BinaryIO, size: int) -> Any:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype != np.dtype(object):
        if dtype.hasobject:
            raise InputError(f"{path} has the data type {dtype}: {_REMEDY}.")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    value = RestrictedUnpickler(path, BoundedReader(path, file, size)).load_object()
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
        raise InputError(f"{path} declares an object array of shape {shape} and holds something else: {_DAMAGED}.")
    return value.item() if value.ndim == 0 else value


def _load_torch(path: Path, file: BinaryIO, size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        declared = sum(entry.file_size for entry in entries)
        if declared > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise InputError(
                f"{path} would unpack to {declared:,} bytes from {size:,}, and torch never compresses: {_REMEDY}."
            )
        programs = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(programs) != 1:
            raise InputError(f"{path} is a zip file but not one of torch.save: name a .npy or a .pt file.")
        from neuroclip_hf.data._torch_container import TorchStorages

        storages = TorchStorages(path, archive, programs[0].filename.removesuffix("data.pkl"))
        with archive.open(programs[0]) as program:
            reader = BoundedReader(path, program, programs[0].file_size)
            return RestrictedUnpickler(path, reader, storages.names(), storages.find).load_object()


class _Forbidden(Exception):
    """A pickle asked for something that is not on the list; the message names it."""


class BoundedReader:
    """A binary stream that refuses to read past its end, before anything is allocated for it."""

    def __init__(self, path: Path, file: Any, size: int) -> None:
        self._path, self._file, self.size = path, file, size
        self._left = size - file.tell()

    def require(self, count: int) -> None:
        """Raise [`InputError`] unless `count` more bytes are there."""
        if not 0 <= count <= self._left:
            raise InputError(f"{self._path} ends {count - self._left:,} bytes too early: {_DAMAGED}.")

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        self.require(count)
        self._left -= count
        data: bytes = self._file.read(count)
        if len(data) != count:
            raise InputError(f"{self._path} ends too early: {_DAMAGED}.")
        return data

    def readline(self) -> bytes:
        """The bytes up to and with the next line end."""
        line: bytes = self._file.readline()
        self._left -= len(line)
        return line


class RestrictedUnpickler(pickle._Unpickler):
    """The pickle interpreter of the standard library with most of it taken away.

    It builds on the Python implementation, not the faster one in C: that one allocates its memo table to the largest
    index that the file names (64 GB from ten bytes) and cannot be told which instructions to know. Files of the field
    hold few, large objects, so the difference is not felt.

    Args:
        path (`Path`): the file's name for messages.
        reader ([`BoundedReader`]): where the pickle starts.
        extra_names (`dict`, *optional*): further allowed names, `(module, name) -> stand-in`.
        find_persistent (callable, *optional*): what answers persistent ids; without it every one is refused.
    """

    read: Callable[[int], bytes]  # these four are set by the base class when loading starts
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self,
        path: Path,
        reader: BoundedReader,
        extra_names: dict[tuple[str, str], Any] | None = None,
        find_persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(reader)
        self._path, self._reader, self._find_persistent = path, reader, find_persistent
        self._unspent = 2 * reader.size  # protocol 2 spells bytes as text: they are counted as bytes and as an array
        self._allowed = {**self._names(), **(extra_names or {})}

    def load_object(self) -> Any:
        """Run the pickle and return its object, stand-ins replaced by what they stand for."""
        return arrays.resolve(self.load())

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for an allowed name; every other name is refused."""
        try:
            return self._allowed[module, name]
        except KeyError:
            self._refuse(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        """What a persistent id stands for: a storage in a torch container, otherwise nothing is allowed."""
        if self._find_persistent is None:
            self._refuse(f"the persistent object {str(pid)[:80]!r}")
        return self._find_persistent(pid)

    def get_extension(self, code: int) -> NoReturn:
        """Refuse: extension codes would bypass the list of names through a cache of the process."""
        self._refuse(f"the extension code {code}")

    def spend(self, count: int) -> None:
        """Count memory that an object takes; all of it together is bounded by the size of the file."""
        self._unspent -= count
        if self._unspent < 0:
            raise InputError(f"{self._path} describes arrays larger than the file itself: {_DAMAGED}.")

    def _refuse(self, name: str) -> NoReturn:
        raise _Forbidden(name)

    def _names(self) -> dict[tuple[str, str], Any]:
        allowed = {
            ("numpy", "dtype"): arrays.Function(arrays.DataType),
            ("numpy", "ndarray"): arrays.NDARRAY,
            ("collections", "OrderedDict"): arrays.Function(OrderedDict, most_arguments=0),
            ("_codecs", "encode"): arrays.Function(self._encode),
            ("__builtin__", "bytes"): arrays.Function(bytes, most_arguments=0),
            ("builtins", "bytes"): arrays.Function(bytes, most_arguments=0),
        }
        for package in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
            allowed[f"{package}.multiarray", "_reconstruct"] = arrays.Function(self._reconstruct)
            allowed[f"{package}.multiarray", "scalar"] = arrays.Function(arrays.scalar)
            allowed[f"{package}.numeric", "_frombuffer"] = arrays.Function(self._from_buffer)
        return allowed

    def _encode(self, text: str, encoding: str) -> bytes:
        if type(text) is not str or encoding != "latin1":
            self._refuse(f"_codecs.encode({type(text).__name__}, {encoding!r})")
        self.spend(len(text))
        return codecs.encode(text, "latin1")

    def _reconstruct(self, subtype: Any, shape: Any, kind: Any) -> "arrays.Array":
        if subtype is not arrays.NDARRAY:
            self._refuse("an array of another class than numpy.ndarray")
        return arrays.Array(self.spend)

    def _from_buffer(self, buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> "arrays.Array":
        array = arrays.Array(self.spend)
        array.set_buffer(buffer, dtype, shape, order, axis_order)
        return array

    def _load_bytearray(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        if size > self._reader.size:
            raise InputError(f"{self._path} declares {size:,} bytes in one piece, more than it has: {_DAMAGED}.")
        buffer = memoryview(bytearray(size))
        for start in range(0, size, 1 << 24):  # in pieces: a second copy of a large array would double the memory
            piece = buffer[start : start + (1 << 24)]
            piece[:] = self.read(len(piece))
        self.append(buffer.obj)

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set_items(items)

    def _load_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def _load_items(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            self._refuse("items set on something else than a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):  # hashing deeply nested tuples would overflow the C stack
                self._refuse("a dictionary key that is not plain")
            target[key] = value


class _Dispatch(dict[int, Any]):
    def __missing__(self, code: int) -> NoReturn:
        if code not in _NAMES:
            raise pickle.UnpicklingError(f"there is no instruction {code}")
        raise _Forbidden(f"the instruction {_NAMES[code]}")


RestrictedUnpickler.dispatch = _Dispatch(
    {_CODES[name]: pickle._Unpickler.dispatch[_CODES[name]] for name in _OPCODES}
    | {
        _CODES["BYTEARRAY8"]: RestrictedUnpickler._load_bytearray,
        _CODES["DICT"]: RestrictedUnpickler._load_dict,
        _CODES["SETITEM"]: RestrictedUnpickler._load_item,
        _CODES["SETITEMS"]: RestrictedUnpickler._load_items,
    }
)
