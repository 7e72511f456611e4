"""Large arrays of a pickle stay in the file."""

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from neuroclip_hf.data import safe_load
from neuroclip_hf.errors import InputError

LARGE = 2_000_000  # bytes, beyond what is mapped


def traced_load(path: Path) -> tuple[object, int]:
    tracemalloc.start()
    try:
        content = safe_load.load(path)
        return content, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def save(path: Path, content: object, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f4", "?"])
def test_large_arrays_take_no_memory_and_keep_their_numbers(tmp_path: Path, protocol: int, order: str, kind: str):
    values = np.random.default_rng(0).standard_normal((4, LARGE // 4)).astype(kind)
    array = np.asarray(values, order=order)
    path = save(tmp_path / "large.pkl", {"before": [1, "a"], "data": array, "after": array[:, :3]}, protocol)
    content, peak = traced_load(path)
    assert peak < LARGE
    assert isinstance(content, dict)
    np.testing.assert_array_equal(content["data"], values)
    np.testing.assert_array_equal(content["after"], values[:, :3])
    assert (content["data"].dtype, content["before"]) == (np.dtype(kind), [1, "a"])


def test_writing_changes_memory_and_not_the_file(tmp_path: Path):
    path = tmp_path / "raw.npy"
    np.save(path, {"data": np.zeros(LARGE)}, allow_pickle=True)
    before = path.read_bytes()
    content = safe_load.load(path)
    content["data"][:] = 1.0
    assert content["data"].sum() == LARGE
    assert path.read_bytes() == before
    assert safe_load.load(path)["data"].sum() == 0.0


def test_large_bytes_that_are_no_array_are_bytes_once(tmp_path: Path):
    text = bytes(LARGE)
    path = save(tmp_path / "bytes.pkl", [text] * 50, 4)
    content, peak = traced_load(path)
    assert content == [text] * 50
    assert peak < 2 * LARGE


def test_bytes_beyond_the_end_and_wrong_sizes_are_refused(tmp_path: Path):
    whole = pickle.dumps(np.zeros(LARGE), protocol=4)
    path = tmp_path / "cut.pkl"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="bytes too early"):
        safe_load.load(path)
    path.write_bytes(whole.replace(LARGE.to_bytes(4, "little"), (LARGE - 1).to_bytes(4, "little")))
    with pytest.raises(InputError, match="does not fit its data"):
        safe_load.load(path)


def test_large_bytes_inside_of_a_frame_are_read_from_it(tmp_path: Path):
    inner = b"\x8e" + LARGE.to_bytes(8, "little") + bytes(range(250)) * (LARGE // 250) + b"."
    path = tmp_path / "framed.pkl"
    path.write_bytes(b"\x80\x04\x95" + len(inner).to_bytes(8, "little") + inner)
    assert safe_load.load(path) == bytes(range(250)) * (LARGE // 250)
