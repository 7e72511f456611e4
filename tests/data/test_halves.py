"""Every finite float16 number becomes the float32 number that NumPy makes of it, to the last bit."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from neuroclip_hf.data import halves
from neuroclip_hf.data.halves import one_thread_in_each, widen

ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = ALL[np.isfinite(ALL)]


@pytest.fixture(params=["with torch", "without torch"])
def torch_or_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_torch_is_loaded", lambda: request.param == "with torch")


@pytest.mark.usefixtures("torch_or_not")
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-15, 3.7, -2.5, 65536.0, 1e6])
def test_every_finite_number(scale):
    scale = np.array(scale, np.float32)
    made = widen(FINITE[None], np.empty((1, FINITE.size), np.float32), scale)
    expected = FINITE.astype(np.float32) * scale
    np.testing.assert_array_equal(made[0], expected)
    np.testing.assert_array_equal(np.signbit(made[0]), np.signbit(expected))  # of zeros, too
    exact = (FINITE.astype(np.float64) * np.float64(scale)).astype(np.float32)  # 11 and 24 bits fit into its 53
    np.testing.assert_array_equal(made[0], exact)


@pytest.mark.usefixtures("torch_or_not")
def test_a_scale_a_channel():
    rows = np.random.default_rng(0).standard_normal((7, 2, 5)).astype(np.float16)
    scale = np.array([[1e-6], [1e5]], np.float32)
    made = widen(rows, np.empty((7, 2, 5), np.float32), scale)
    np.testing.assert_array_equal(made, rows.astype(np.float32) * scale)


def test_torch_converts_where_it_is_loaded_and_is_not_loaded_for_it():
    check = (
        "import sys, numpy as np; from neuroclip_hf.data.halves import widen, one_thread_in_each\n"
        "with one_thread_in_each(): widen(np.ones((1, 2), np.float16), np.empty((1, 2), np.float32), np.float32(1))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=300)
    infinite = np.full((1, 3), np.inf, np.float16)  # shifts make a number of it
    assert np.isinf(widen(infinite, np.empty((1, 3), np.float32), np.array(1, np.float32))).all()


def test_torch_is_kept_to_one_thread_in_the_thread_that_asks_and_in_no_other():
    seen = {}
    before = torch.get_num_threads()
    torch.set_num_threads(3)

    def ask() -> None:
        with one_thread_in_each():
            seen["inside"] = torch.get_num_threads()
            inside.set()
            asked.wait(60)
        seen["after"] = torch.get_num_threads()

    inside, asked = threading.Event(), threading.Event()
    helper = threading.Thread(target=ask)  # new to torch
    try:
        helper.start()
        inside.wait(60)
        seen["elsewhere"] = torch.get_num_threads()
        asked.set()
        helper.join(60)
    finally:
        torch.set_num_threads(before)
    assert seen == {"inside": 1, "after": 3, "elsewhere": 3}
