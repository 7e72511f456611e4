"""The pickle interpreter of `safe_load`: a short list of instructions and names, and a budget of memory."""

import codecs
import io
import mmap
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from neuroclip_hf.data import _pickled_arrays as arrays
from neuroclip_hf.errors import InputError

DAMAGED = "the file is truncated, damaged or no plain data: get it again"
_ALLOWED_OPCODES = {
    "framing": "PROTO FRAME STOP POP POP_MARK DUP MARK MEMOIZE BINPUT LONG_BINPUT GET BINGET LONG_BINGET",
    "numbers": "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT",
    "text": "STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8",
    "bytes": "SHORT_BINBYTES",
    "containers": "EMPTY_DICT EMPTY_LIST LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3",
    "names": "GLOBAL STACK_GLOBAL EXT1 EXT2 EXT4 PERSID BINPERSID",
}
_OPCODES = " ".join(_ALLOWED_OPCODES.values()).split()
_CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_NAMES = {code: name for name, code in _CODES.items()}
_KEYS = (str, int, float, bool, bytes, type(None), np.integer, np.floating, np.bool_)
_LARGEST_KEY = (1 << 61) - 2  # hashes repeat above it: dictionaries full of such keys would take hours to fill
_SHARED_ITEMS = 1_000_000
_MAPPED = 1 << 20  # bytes of an array that is worth a place in the address space


class Forbidden(Exception):
    """A pickle asked for something that is not on the list; the message names it."""


class BoundedReader:
    """A binary stream that refuses to read past its end, before anything is allocated for it."""

    def __init__(self, path: Path, file: Any, size: int) -> None:
        self._path, self._file, self.size = path, file, size
        self._left = size - file.tell()

    def require(self, count: int) -> None:
        """Raise [`InputError`] unless `count` more bytes are there."""
        if not 0 <= count <= self._left:
            raise InputError(f"{self._path} ends {count - self._left:,} bytes too early: {DAMAGED}.")

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        self.require(count)
        self._left -= count
        data: bytes = self._file.read(count)
        if len(data) != count:
            raise InputError(f"{self._path} ends too early: {DAMAGED}.")
        return data

    def map(self, count: int) -> memoryview | None:
        """The next `count` bytes where they lie in the file, or None where it is no file of its own.

        Writing to them changes memory, never the file.
        """
        if not isinstance(self._file, io.BufferedReader):
            return None
        self.require(count)
        self._left -= count
        start = self._file.tell()
        self._file.seek(count, io.SEEK_CUR)
        whole = mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_COPY)
        return memoryview(whole)[start : start + count]

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

    read: Callable[[int], bytes]  # these are set by the base class when loading starts
    readline: Callable[[], bytes]
    memo: dict[int, Any]
    stack: list[Any]
    _unframer: Any
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
        return arrays.resolve(self.load(), most_items=_SHARED_ITEMS + self._reader.size)

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for an allowed name; every other name is refused."""
        try:
            return self._allowed[module, name]
        except KeyError:
            self._refuse(arrays.shown(f"{module}.{name}"))

    def persistent_load(self, pid: Any) -> Any:
        """What a persistent id stands for: a storage in a torch container, otherwise nothing is allowed."""
        if self._find_persistent is None:
            self._refuse(f"the persistent object {arrays.shown(pid)}")
        return self._find_persistent(pid)

    def get_extension(self, code: int) -> NoReturn:
        """Refuse: extension codes would bypass the list of names through a cache of the process."""
        self._refuse(f"the extension code {code}")

    def spend(self, count: int) -> None:
        """Count memory that an object takes; all of it together is bounded by the size of the file."""
        self._unspent -= count
        if self._unspent < 0:
            raise InputError(f"{self._path} describes arrays larger than the file itself: {DAMAGED}.")

    def _refuse(self, name: str) -> NoReturn:
        raise Forbidden(name)

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
        if type(text) is not str or type(encoding) is not str or encoding != "latin1":
            self._refuse(f"_codecs.encode({type(text).__name__}, {arrays.shown(encoding)})")
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

    def _load_bytes(self) -> None:
        (size,) = struct.unpack("<I", self.read(4))
        self.append(self._map(size) or self.read(size))

    def _load_bytes8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self._map(size) or self.read(size))

    def _map(self, size: int) -> "arrays.Mapped | None":
        """Large bytes where they lie in the file; None for small ones, and inside of a frame, which was read whole."""
        frame = self._unframer.current_frame
        if size < _MAPPED or (frame is not None and frame.tell() < frame.getbuffer().nbytes):
            return None
        self._unframer.current_frame = None
        mapped = self._reader.map(size)
        return None if mapped is None else arrays.Mapped(mapped)

    def _load_bytearray(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        mapped = self._map(size)
        if mapped is not None:
            self.append(mapped)
            return
        if size > self._reader.size:
            raise InputError(f"{self._path} declares {size:,} bytes in one piece, more than it has: {DAMAGED}.")
        buffer = memoryview(bytearray(size))
        for start in range(0, size, 1 << 24):  # in pieces: a second copy of a large array would double the memory
            piece = buffer[start : start + (1 << 24)]
            piece[:] = self.read(len(piece))
        self.append(buffer.obj)

    def _load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def _load_inst(self) -> None:
        module, name = self.readline()[:-1].decode(), self.readline()[:-1].decode()
        function = self.find_class(module, name)
        self.append(self._call(function, tuple(self.pop_mark())))

    def _call(self, function: Any, arguments: Any) -> Any:
        if type(function) is not arrays.Function or type(arguments) is not tuple:  # a tensor would become millions
            self._refuse(f"a call of {arrays.shown(function)} with {arrays.shown(arguments)}")
        return function(*arguments)

    def _load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) not in (arrays.DataType, arrays.Array):  # tensors and others have a __setstate__ of their own
            self._refuse(f"a state to be set on {arrays.shown(target)}")
        target.set_state(state)

    def _load_append(self) -> None:
        self._extend([self.stack.pop()])

    def _load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            self._refuse(f"items appended to {arrays.shown(self.stack[-1])}")
        self.stack[-1].extend(items)

    def _load_put(self) -> None:
        index = int(self.readline()[:-1])
        if not 0 <= index < 1 << 32:  # as in the binary instructions; the hashes of larger ones repeat
            raise pickle.UnpicklingError("a memo index is out of range")
        self.memo[index] = self.stack[-1]

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
            if isinstance(key, int) and abs(key) > _LARGEST_KEY:
                self._refuse("a dictionary key of more than 60 bits")
            target[key] = value


class _Dispatch(dict[int, Any]):
    def __missing__(self, code: int) -> NoReturn:
        if code not in _NAMES:
            raise pickle.UnpicklingError(f"there is no instruction {code}")
        raise Forbidden(f"the instruction {_NAMES[code]}")


RestrictedUnpickler.dispatch = _Dispatch(
    {_CODES[name]: pickle._Unpickler.dispatch[_CODES[name]] for name in _OPCODES}
    | {
        _CODES["BINBYTES"]: RestrictedUnpickler._load_bytes,
        _CODES["BINBYTES8"]: RestrictedUnpickler._load_bytes8,
        _CODES["BYTEARRAY8"]: RestrictedUnpickler._load_bytearray,
        _CODES["REDUCE"]: RestrictedUnpickler._load_reduce,
        _CODES["INST"]: RestrictedUnpickler._load_inst,
        _CODES["BUILD"]: RestrictedUnpickler._load_build,
        _CODES["APPEND"]: RestrictedUnpickler._load_append,
        _CODES["APPENDS"]: RestrictedUnpickler._load_appends,
        _CODES["PUT"]: RestrictedUnpickler._load_put,
        _CODES["DICT"]: RestrictedUnpickler._load_dict,
        _CODES["SETITEM"]: RestrictedUnpickler._load_item,
        _CODES["SETITEMS"]: RestrictedUnpickler._load_items,
    }
)
