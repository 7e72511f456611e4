"""Stand-ins for the NumPy objects of a pickle, used by `safe_load` only.

NumPy's own `__setstate__` methods trust their input: a data type's flags can turn bytes into pointers, an object
array is allocated before its items are counted, and a scalar of object type unpickles its bytes without any list.
The stand-ins take the state instead, check it, and make arrays from it by NumPy's public functions.
"""

import math
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

_KINDS = frozenset("biufcSUO")
_LEAVES = (str, int, float, bool, bytes, type(None), np.generic)
_MOST_DIMENSIONS = 64  # NumPy's own limit
_LONGEST = 80  # letters of a text or bytes that a message quotes
_WIDEST = 1024  # bits of a whole number: no float is larger
_UNFINISHED = object()


def shown(value: Any) -> str:
    """How a message names a value from the file: short plain values as they are, others by their type.

    The text of a container is never made: one of a few nested bytes can be longer than memory.
    """
    if value is None or type(value) in (bool, float) or (type(value) is int and value.bit_length() <= 64):
        return repr(value)
    if type(value) in (str, bytes):
        return ascii(value[:_LONGEST]) + ("..." if len(value) > _LONGEST else "")
    return f"an object of type {type(value).__name__}"


def are_lengths(value: Any) -> bool:
    """Whether `value` is a tuple of a few whole numbers that fit a shape (the product of larger ones takes hours)."""
    if type(value) is not tuple or len(value) > _MOST_DIMENSIONS:
        return False
    return all(type(length) is int and 0 <= length < 1 << 63 for length in value)


class Function:
    """A function that a pickle may call, wrapped so that the pickle can do nothing else with it.

    The interpreter calls instances of this class and nothing else.
    """

    __slots__ = ("_function", "_most_arguments")

    def __init__(self, function: Callable[..., Any], most_arguments: int = 8) -> None:
        self._function, self._most_arguments = function, most_arguments

    def __call__(self, *arguments: Any) -> Any:
        if len(arguments) > self._most_arguments:
            raise ValueError(f"a function of the pickle got {len(arguments)} arguments")
        return self._function(*arguments)


class _NDArrayName:
    """The name `numpy.ndarray`, which a pickle may pass on but not call."""

    __slots__ = ()


NDARRAY = _NDArrayName()


class Mapped:
    """Bytes that stay in the file: what a large array is made of, without a copy."""

    __slots__ = ("buffer",)

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer

    def __len__(self) -> int:
        return len(self.buffer)


class DataType:
    """A data type on its way: numbers, text, bytes or objects; no structures, no foreign flags."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        # Only codes as NumPy's own pickles have them: its parser knows far more than that.
        dtype = np.dtype(code) if type(code) is str and re.fullmatch(r"[<>|=]?[a-zA-Z][0-9]{1,10}", code) else None
        if dtype is None or dtype.kind not in _KINDS or (dtype.itemsize == 0 and dtype.kind not in "SU"):
            raise ValueError(f"data type {shown(code)} is not allowed")
        self.dtype = dtype

    def set_state(self, state: Any) -> None:
        """Take the byte order; the rest follows from the code, whatever the file says about it."""
        order = state[1] if type(state) is tuple else None
        if type(order) is not str or order not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {shown(order)} does not exist")
        self.dtype = np.dtype(order + self.dtype.str[1:]) if order in "<>" else self.dtype


class Array:
    """An array on its way; `spend` is told every byte (every item, for objects) before it is used."""

    __slots__ = ("_spend", "array")

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend
        self.array: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """Take shape, type and data, as `numpy.ndarray.__setstate__` does."""
        if type(state) is not tuple or len(state) != 5:
            raise ValueError("the state of an array is described wrongly")
        _, shape, kind, is_fortran, data = state
        dtype, count = _checked(shape, kind)
        if dtype.hasobject:
            self._set_items(shape, count, data)
            return
        if type(data) not in (bytes, Mapped) or len(data) != count * dtype.itemsize:
            raise ValueError(f"an array of shape {shape} and type {dtype} does not fit its data")
        _check_data(dtype, data)
        self._spend(len(data))
        if isinstance(data, Mapped):
            self.array = np.frombuffer(data.buffer, dtype).reshape(shape, order="F" if is_fortran else "C")
            return
        self.array = np.empty(0, np.uint8)
        # NumPy's own method uses the bytes without a copy, which keeps reading at one times the file.
        state = (1, shape, dtype, bool(is_fortran), data)
        self.array.__setstate__(state)

    def set_buffer(self, buffer: Any, kind: Any, shape: Any, order: Any, axis_order: Any) -> None:
        """Take the pieces of a protocol 5 pickle, as `numpy.core.numeric._frombuffer` does."""
        dtype, count = _checked(shape, kind)
        if type(buffer) not in (bytes, bytearray, Mapped) or dtype.hasobject or len(buffer) != count * dtype.itemsize:
            raise ValueError(f"an array of shape {shape} and type {dtype} does not fit its data")
        if type(order) is not str or order not in ("C", "F", "K"):
            raise ValueError(f"memory order {shown(order)} does not exist")
        if axis_order is not None and not are_lengths(axis_order):
            raise ValueError("an order of axes is no tuple of axes")
        _check_data(dtype, buffer)
        self._spend(len(buffer))
        flat = np.frombuffer(_plain(buffer), dtype)
        if axis_order is not None:
            self.array = flat.reshape(shape).transpose(axis_order)
        else:
            self.array = flat.reshape(shape, order="F" if order == "F" else "C")

    def _set_items(self, shape: tuple[int, ...], count: int, items: Any) -> None:
        if type(items) is not list or len(items) != count:
            raise ValueError(f"an object array of shape {shape} does not have {count} items")
        self._spend(count)
        flat = np.empty(count, dtype=object)
        for row, item in enumerate(items):  # an assignment at once would unpack items that are sequences
            flat[row] = item
        # NumPy lists the items in C order, also of an array that lies in Fortran order.
        self.array = flat.reshape(shape)


def scalar(kind: Any, data: Any) -> np.generic:
    """A NumPy scalar from its data type and bytes."""
    dtype = kind.dtype if isinstance(kind, DataType) else None
    if dtype is None or dtype.hasobject or type(data) is not bytes or len(data) != dtype.itemsize:
        raise ValueError("a scalar does not fit its data type")
    _check_data(dtype, data)
    value: np.generic = np.frombuffer(data, dtype)[0] if data else dtype.type()
    return value


def resolve(value: Any, most_items: int) -> Any:
    """Replace the stand-ins in `value` by their arrays; containers are changed in place.

    Raises:
        ValueError: if something is no data, holds itself, or has more than `most_items` items when those that are
            there several times are counted each time (a few bytes can describe more than anybody can walk through).
    """
    return _Resolver(most_items).resolve(value)


class _Resolver:
    def __init__(self, most_items: int) -> None:
        # Address -> (original, result, items); without the original its address could be given away.
        self._done: dict[int, tuple[Any, Any, int]] = {}
        self._items, self._most_items = 0, most_items

    def resolve(self, value: Any) -> Any:
        if isinstance(value, _LEAVES):
            return self._resolve_leaf(value)
        _, result, items = self._done.get(id(value), (None, None, 0))
        if result is _UNFINISHED:
            raise ValueError(f"{shown(value)} holds itself")
        if items == 0:
            self._done[id(value)] = (value, _UNFINISHED, 0)
            before = self._items
            self._count(1)
            result = self._resolve(value)
            self._done[id(value)] = (value, result, self._items - before)
        else:
            self._count(items)
        return result

    def _count(self, items: int) -> None:
        self._items += items
        if self._items > self._most_items:
            raise ValueError("the same containers are nested in each other again and again")

    def _resolve_leaf(self, value: Any) -> Any:
        if type(value) is int and value.bit_length() > _WIDEST:
            raise ValueError(f"a number of {value.bit_length()} bits is not data")
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
            raise ValueError(f"the text {value[:40]!r} holds a number that is no character")
        self._count(1 + len(value) // 64 if isinstance(value, str | bytes) else 1)
        return value

    def _resolve(self, value: Any) -> Any:
        if type(value) in (dict, OrderedDict):
            for key in value:
                value[key] = self.resolve(value[key])
        elif type(value) is list:
            for place, item in enumerate(value):
                value[place] = self.resolve(item)
        elif type(value) is tuple:
            return tuple([self.resolve(item) for item in value])
        elif isinstance(value, DataType):
            return value.dtype
        elif isinstance(value, Mapped):  # bytes that belong to no array
            return self._resolve_leaf(bytes(value.buffer))
        elif isinstance(value, Array):
            return self._resolve_array(value)
        elif type(value).__module__ != "torch":  # tensors are made by our own code and hold nothing else
            raise ValueError(f"an object of type {type(value).__name__} is not data")
        return value

    def _resolve_array(self, holder: Array) -> np.ndarray:
        if holder.array is None:
            raise ValueError("an array has no data")
        if holder.array.dtype.hasobject:
            flat = holder.array.reshape(-1)
            for row in range(len(flat)):
                flat[row] = self.resolve(flat[row])
        return holder.array


def _checked(shape: Any, kind: Any) -> tuple[np.dtype, int]:
    if not isinstance(kind, DataType):
        raise ValueError("an array has no data type")
    if not are_lengths(shape):
        raise ValueError(f"{shown(shape)} is not the shape of an array")
    count = math.prod(shape)
    if kind.dtype.itemsize == 0 and count > 1:
        raise ValueError("an array of many empty texts")
    return kind.dtype, count


def check_items(values: np.ndarray) -> None:
    """Refuse bytes that NumPy takes for truth values or characters without looking.

    Raises:
        ValueError: for a truth value that is neither 0 nor 1, or a number that is no character.
    """
    for name in values.dtype.names or ():
        check_items(values[name])
    # Compiled code counts on truth values being 0 or 1 when it makes room for what a mask selects.
    if values.dtype.kind == "b" and values.view(np.uint8).max(initial=0) > 1:
        raise ValueError("a truth value is neither 0 nor 1")
    if values.dtype.kind == "U" and values.dtype.itemsize:
        codes = values.ravel(order="K").view(f"{values.dtype.str[0]}u4")
        if codes.max(initial=0) > sys.maxunicode or ((codes >= 0xD800) & (codes < 0xE000)).any():
            raise ValueError("a text holds a number that is no character")


def _check_data(dtype: np.dtype, data: bytes | bytearray | Mapped) -> None:
    if dtype.kind in "bU" and dtype.itemsize:
        check_items(np.frombuffer(_plain(data), dtype))


def _plain(data: bytes | bytearray | Mapped) -> bytes | bytearray | memoryview:
    return data.buffer if isinstance(data, Mapped) else data
