"""Every finite float16 number becomes the float32 number that NumPy makes of it, to the last bit."""

import numpy as np
import pytest

from neuroclip_hf.data import halves
from neuroclip_hf.data.halves import widen

ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = ALL[np.isfinite(ALL)]


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-15, 3.7, -2.5, 65536.0, 1e6])
def test_every_finite_number(scale):
    scale = np.array(scale, np.float32)
    made = widen([FINITE], np.empty((1, FINITE.size), np.float32), scale)
    expected = FINITE.astype(np.float32) * scale
    np.testing.assert_array_equal(made[0], expected)
    np.testing.assert_array_equal(np.signbit(made[0]), np.signbit(expected))  # of zeros, too


@pytest.mark.parametrize("numbers", [1, 7, 20, 1 << 17])
def test_a_scale_a_channel_and_blocks_of_any_size(monkeypatch, numbers):
    monkeypatch.setattr(halves, "BLOCK_NUMBERS", numbers)
    rows = np.random.default_rng(0).standard_normal((7, 2, 5)).astype(np.float16)
    scale = np.array([[1e-6], [1e5]], np.float32)
    made = widen(list(rows[::-1]), np.empty((7, 2, 5), np.float32), scale)
    np.testing.assert_array_equal(made, rows[::-1].astype(np.float32) * scale)


def test_rows_need_not_lie_in_one_piece():
    rows = np.random.default_rng(0).standard_normal((3, 5, 2)).astype(np.float16).transpose(0, 2, 1)
    made = widen(list(rows), np.empty((3, 2, 5), np.float32), np.array(2, np.float32))
    np.testing.assert_array_equal(made, rows.astype(np.float32) * 2)
