"""float16 numbers as float32, faster than NumPy converts them, with the same result to the last bit.

NumPy's own conversion is emulated number by number where it was built for all processors; shifts and a product are
not. torch has the processor's own instruction: where a program has loaded it anyway, as every training has, it
converts. `benchmarks/store_reading.py` measures what reads with it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

_SHIFT = np.int32(13)  # float32 has 23 bits of fraction, float16 has 10
_SIGN_AND_NUMBER = np.array(0x8FFFE000, dtype=np.uint32).view(np.int32)  # widening repeats the sign in between
_BIAS = np.float32(2.0**112)  # exponents count from -127 in float32, from -15 in float16


def widen(
    halves: NDArray[np.float16], out: NDArray[np.float32], scale: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Write `row x scale` of each row to `out`: the product of two float32 numbers, rounded once.

    Best called with as many rows as stay in a processor's cache.

    Args:
        halves (`numpy.ndarray`): (rows, ...), float16; finite, as a store's are (infinity and NaN come out as numbers
            where torch is not loaded).
        out (`numpy.ndarray`): of the same shape, contiguous.
        scale (`numpy.ndarray` or None): one number, or what broadcasts against a row; None for 1.

    Returns:
        `out`.
    """
    if not _torch_is_loaded():
        return _widen_by_shifts(halves, out, np.float32(1) if scale is None else scale)
    import torch

    torch.from_numpy(out).copy_(torch.from_numpy(halves))
    return out if scale is None else np.multiply(out, scale, out=out)


def _widen_by_shifts(
    halves: NDArray[np.float16], out: NDArray[np.float32], scale: NDArray[np.float32] | np.float32
) -> NDArray[np.float32]:
    bits = out.view(np.int32)
    with np.errstate(over="ignore"):
        factor = scale * _BIAS
    at_once = bool(np.isfinite(factor).all())
    np.copyto(bits, halves.view(np.int16))
    np.left_shift(bits, _SHIFT, out=bits)
    np.bitwise_and(bits, _SIGN_AND_NUMBER, out=bits)
    np.multiply(out, factor if at_once else _BIAS, out=out)
    return out if at_once else np.multiply(out, scale, out=out)


@contextmanager
def one_thread_in_each() -> Iterator[None]:
    """Let [`widen`] use no threads beside the one that calls it, which stay allowed in all others.

    For callers that share out rows among threads themselves: torch's threads wait for each other after every step,
    for as long as another program keeps one of them from a core.
    """
    if not _torch_is_loaded():
        yield
        return
    import torch

    torch.get_num_threads()  # sets the threads of a thread that was new to torch, which would undo the limit
    with _openmp().limit(limits=1):
        yield


def _torch_is_loaded() -> bool:
    return sys.modules.get("torch") is not None


@lru_cache(maxsize=1)  # looking for the libraries takes longer than a batch
def _openmp() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="openmp")
