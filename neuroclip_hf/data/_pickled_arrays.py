"""Stand-ins for the NumPy objects of a pickle, used by `safe_load` only.

NumPy's own `__setstate__` methods trust their input: a data type's flags can turn bytes into pointers, an object
array is allocated before its items are counted, and a scalar of object type unpickles its bytes without any list.
The stand-ins take the state instead, check it, and make arrays from it by NumPy's public functions.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

_KINDS = frozenset("biufcSUO")
_LEAVES = (str, int, float, bool, bytes, type(None), np.generic)


class Function:
    """A function that a pickle may call, wrapped so that the pickle can do nothing else with it.

    Instances take no attributes (a pickle may set attributes of whatever is on its stack) and are no classes (a
    pickle may make instances of a class without calling it).
    """

    __slots__ = ("_function", "_most_arguments")
    _function: Callable[..., Any]
    _most_arguments: int

    def __init__(self, function: Callable[..., Any], most_arguments: int = 8) -> None:
        object.__setattr__(self, "_function", function)
        object.__setattr__(self, "_most_arguments", most_arguments)

    def __call__(self, *arguments: Any) -> Any:
        if len(arguments) > self._most_arguments:
            raise ValueError(f"a function of the pickle got {len(arguments)} arguments")
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ValueError("a pickle may not change functions")

    def __setstate__(self, state: Any) -> NoReturn:
        raise ValueError("a pickle may not change functions")


class _NDArrayName:
    """The name `numpy.ndarray`, which a pickle may pass on but not call."""

    __slots__ = ()


NDARRAY = _NDArrayName()


class DataType:
    """A data type on its way: numbers, text, bytes or objects; no structures, no foreign flags."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        dtype = np.dtype(code) if type(code) is str else None
        if dtype is None or dtype.kind not in _KINDS or (dtype.itemsize == 0 and dtype.kind not in "SU"):
            raise ValueError(f"data type {code!r} is not allowed")
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        # Only the byte order is taken; the rest follows from the code, whatever the file says about it.
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {order!r} does not exist")
        self.dtype = self.dtype.newbyteorder(order) if order in "<>" else self.dtype


class Array:
    """An array on its way; `spend` is told every byte (every item, for objects) before it is used."""

    __slots__ = ("_spend", "array")

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, data = state
        dtype, count = _checked(shape, kind)
        if dtype.hasobject:
            self._set_items(shape, count, data)
            return
        if type(data) is not bytes or len(data) != count * dtype.itemsize:
            raise ValueError(f"an array of shape {shape} and type {dtype} does not fit its data")
        self._spend(len(data))
        self.array = np.empty(0, dtype)
        # NumPy's own method uses the bytes without a copy, which keeps reading at one times the file.
        state = (1, shape, dtype, bool(is_fortran), data)
        self.array.__setstate__(state)

    def set_buffer(self, buffer: Any, kind: Any, shape: Any, order: Any, axis_order: Any) -> None:
        """Take the pieces of a protocol 5 pickle, as `numpy.core.numeric._frombuffer` does."""
        dtype, count = _checked(shape, kind)
        if type(buffer) not in (bytes, bytearray) or dtype.hasobject or len(buffer) != count * dtype.itemsize:
            raise ValueError(f"an array of shape {shape} and type {dtype} does not fit its data")
        if order not in ("C", "F", "K"):
            raise ValueError(f"memory order {order!r} does not exist")
        self._spend(len(buffer))
        flat = np.frombuffer(buffer, dtype)
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
    value: np.generic = np.frombuffer(data, dtype)[0] if data else dtype.type()
    return value


def resolve(value: Any) -> Any:
    """Replace the stand-ins in `value` by their arrays; containers are changed in place."""
    return _Resolver().resolve(value)


class _Resolver:
    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}  # the original is kept too, or its id could be given away

    def resolve(self, value: Any) -> Any:
        if isinstance(value, _LEAVES):
            return value
        if id(value) not in self._done:
            self._done[id(value)] = (value, value)
            self._done[id(value)] = (value, self._resolve(value))
        return self._done[id(value)][1]

    def _resolve(self, value: Any) -> Any:
        if type(value) in (dict, OrderedDict):
            if getattr(value, "__dict__", None):
                raise ValueError("a dictionary carries attributes")
            for key in value:
                value[key] = self.resolve(value[key])
        elif type(value) is list:
            for place, item in enumerate(value):
                value[place] = self.resolve(item)
        elif type(value) is tuple:
            return tuple([self.resolve(item) for item in value])
        elif isinstance(value, DataType):
            return value.dtype
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
    if type(shape) is not tuple or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"shape {shape!r} is not one of an array")
    count = math.prod(shape)
    if kind.dtype.itemsize == 0 and count > 1:
        raise ValueError("an array of many empty texts")
    return kind.dtype, count
