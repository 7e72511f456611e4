"""float16 numbers as float32, faster than NumPy converts them, with the same result to the last bit.

NumPy's own conversion is emulated number by number where it was built for all processors; shifts and a product are
not. `benchmarks/store_reading.py` measures what reads with it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_NUMBERS = 1 << 17
"""Numbers worked on at once (ours): half a megabyte, which stays in a processor's cache between the steps."""
_SHIFT = np.int32(1 << 13)  # float32 has 23 bits of fraction, float16 has 10
_SIGN_AND_NUMBER = np.array(0x8FFFE000, dtype=np.uint32).view(np.int32)  # widening repeats the sign in between
_BIAS = np.float32(2.0**112)  # exponents count from -127 in float32, from -15 in float16


def widen(
    rows: Sequence[NDArray[np.float16]], out: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Write `row x scale` of each row to `out`, in float32.

    Args:
        rows (sequence of arrays): float16, each of the shape of a row of `out`; finite, as a store's are
            (infinity and NaN come out as numbers).
        out (`numpy.ndarray`): (rows, ...), contiguous.
        scale (`numpy.ndarray`): one number, or what broadcasts against a row.

    Returns:
        `out`.
    """
    bits = out.view(np.int32)
    with np.errstate(over="ignore"):
        factor = scale * _BIAS
    at_once = bool(np.isfinite(factor).all())
    step = max(1, BLOCK_NUMBERS // max(1, out[:1].size))
    copied = np.empty((min(step, len(rows)), *out.shape[1:]), dtype=np.int16)
    for start in range(0, len(rows), step):
        block, values = bits[start : start + step], out[start : start + step]
        halves = copied[: len(block)]
        np.stack([row.view(np.int16) for row in rows[start : start + step]], out=halves)
        np.multiply(halves, _SHIFT, out=block, dtype=np.int32)
        np.bitwise_and(block, _SIGN_AND_NUMBER, out=block)
        np.multiply(values, factor if at_once else _BIAS, out=values)
        if not at_once:
            np.multiply(values, scale, out=values)
    return out
