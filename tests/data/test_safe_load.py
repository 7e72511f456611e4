"""safe_load reads what the field saved and runs nothing of what an attacker saved."""

import builtins
import contextlib
import copyreg
import functools
import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroclip_hf.data.safe_load import load
from neuroclip_hf.errors import InputError

GOOD = {
    "raw_eeg_data": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">i4"),
    "ch_names": ["Oz", "stim"],
    "names": np.array(["Oz", "stim"]),
    "mixed": np.array([["a", 1], [None, np.arange(2)]], dtype=object),
    "scalar": np.float32(0.1),
    "sfreq": 1000,
    "pair": (1.5, True, None, b"\x00\xff", b""),
    "ordered": OrderedDict(a=np.arange(2)),
    "empty": np.zeros((0, 3)),
}


def assert_same(got: Any, wanted: Any) -> None:
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert list(got) == list(wanted)
        for key in wanted:
            assert_same(got[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, np.ndarray):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        if wanted.dtype.hasobject:
            assert_same(got.tolist(), wanted.tolist())
        else:
            np.testing.assert_array_equal(got, wanted)
    else:
        assert got == wanted


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("names", ["numpy.core", "numpy._core"])
def test_reads_plain_pickles_of_every_protocol(tmp_path: Path, protocol: int, names: str) -> None:
    if protocol in (0, 1) and names == "numpy.core":
        pytest.skip("one spelling is enough for the text protocols")
    data = pickle.dumps(GOOD, protocol=protocol)
    if protocol <= 3:  # without frames and length prefixes of names the other spelling can be put in by hand
        data = data.replace(b"numpy._core.", names.encode() + b".")
    (tmp_path / "a.npy").write_bytes(data)
    assert_same(load(tmp_path / "a.npy"), pickle.loads(data))


def test_reads_object_arrays_of_np_save(tmp_path: Path) -> None:
    np.save(tmp_path / "dict.npy", np.array(GOOD, dtype=object), allow_pickle=True)
    assert_same(load(tmp_path / "dict.npy"), np.load(tmp_path / "dict.npy", allow_pickle=True).item())
    table = np.empty((2, 2), dtype=object)
    table[:] = [["a", 1], [None, 2.5]]
    np.save(tmp_path / "table.npy", table, allow_pickle=True)
    assert_same(load(str(tmp_path / "table.npy")), table)


def test_maps_plain_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "numbers.npy", np.arange(6.0).reshape(2, 3))
    numbers = load(tmp_path / "numbers.npy")
    assert isinstance(numbers, np.memmap)
    assert not numbers.flags.writeable
    np.testing.assert_array_equal(numbers, np.arange(6.0).reshape(2, 3))


def test_large_arrays_are_not_copied(tmp_path: Path) -> None:
    with (tmp_path / "large.npy").open("wb") as file:
        pickle.dump({"x": np.ones((2, 1000))}, file, protocol=4)
    array = load(tmp_path / "large.npy")["x"]
    assert isinstance(array.base, bytes)
    assert array.flags.writeable


class Calls:
    """An object whose pickle calls `function(*arguments)`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class MakesFolder:
    """An object that makes a folder when its state is set, as BUILD does."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["mark"]).mkdir()


def by_hand(program: str) -> Callable[[str, int], bytes]:
    return lambda mark, protocol: program.replace("MARK", mark).encode()


def by_pickle(make: Callable[[str], Any]) -> Callable[[str, int], bytes]:
    return lambda mark, protocol: pickle.dumps(make(mark), protocol=protocol)


ATTACKS: dict[str, tuple[str, Callable[[str, int], bytes]]] = {
    "os.system": ("posix.system", by_pickle(lambda mark: Calls(os.system, f'mkdir "{mark}"'))),
    "eval": ("eval", by_pickle(lambda mark: Calls(builtins.eval, f"__import__('os').mkdir({mark!r})"))),
    "partial": ("functools.partial", by_pickle(lambda mark: Calls(functools.partial(os.mkdir, mark)))),
    "in a list": ("posix.mkdir", by_pickle(lambda mark: {"x": [np.arange(3), (Calls(os.mkdir, mark),)]})),
    "in arguments": ("list", by_pickle(lambda mark: Calls(list, Calls(os.mkdir, mark)))),
    "in an array": ("posix.mkdir", by_pickle(lambda mark: np.array([1, Calls(os.mkdir, mark)], dtype=object))),
    "as a key": ("repr", by_pickle(lambda mark: {Calls(repr, Calls(os.mkdir, mark)): 1})),
    "a class with a state": (
        "MakesFolder",
        lambda mark, protocol: pickle.dumps(MakesFolder(mark), protocol=max(protocol, 2)),
    ),
    "getattr": (
        "builtins.getattr",
        by_hand("cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'mkdir'\ntR(S'MARK'\ntR."),
    ),
    "INST": ("posix.mkdir", by_hand("(S'MARK'\niposix\nmkdir\n.")),
    "dotted name": (
        "os.path.os.mkdir",
        lambda mark, protocol: b"\x80\x04\x8c\x02os\x8c\x0dpath.os.mkdir\x93(V%s\ntR." % mark.encode(),
    ),
}


@pytest.mark.skipif(os.name != "posix", reason="the names of os functions differ elsewhere")
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "np.save"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_do_not_run(tmp_path: Path, attack: str, wrapped: bool, protocol: int) -> None:
    name, make = ATTACKS[attack]
    mark, path = tmp_path / "mark", tmp_path / "attack.npy"
    data = make(str(mark), protocol)
    path.write_bytes(HEAD + data if wrapped else data)
    with pytest.raises(InputError) as caught:
        load(path)
    assert not mark.exists()
    assert name in str(caught.value)
    assert str(path) in str(caught.value)
    _run_unsafely(data)
    assert mark.exists(), "the attack is harmless, so the test shows nothing"


HEAD = np.lib.format.magic(1, 0) + struct.pack("<H", 118)
HEAD += b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"


def _run_unsafely(data: bytes, unpickler: type[pickle.Unpickler] = pickle.Unpickler) -> None:
    with contextlib.suppress(Exception):  # many attacks end in an error, after they ran
        unpickler(io.BytesIO(data)).load()


class MakesFolderOfId(pickle.Unpickler):
    """What a reader that believes persistent ids would do."""

    def persistent_load(self, pid: Any) -> None:
        Path(pid).mkdir()


@pytest.mark.parametrize("binary", [False, True])
def test_persistent_ids_are_refused(tmp_path: Path, binary: bool) -> None:
    mark = tmp_path / "mark"
    program = f"S'{mark}'\nQ." if binary else f"P{mark}\n."
    (tmp_path / "a.npy").write_bytes(program.encode())
    with pytest.raises(InputError, match="persistent object"):
        load(tmp_path / "a.npy")
    assert not mark.exists()
    _run_unsafely(program.encode(), MakesFolderOfId)
    assert mark.exists()


def test_numpy_scalars_do_not_unpickle_their_bytes(tmp_path: Path) -> None:
    # NumPy up to 1.x ran such an inner pickle without any list; NumPy 2 refuses it by itself.
    inner = pickle.dumps(Calls(os.mkdir, str(tmp_path / "mark")), protocol=2)
    scalar = type(GOOD["scalar"]).__reduce__(GOOD["scalar"])[0]
    (tmp_path / "a.npy").write_bytes(pickle.dumps(Calls(scalar, np.dtype(object), inner), protocol=4))
    with pytest.raises(InputError, match="scalar does not fit"):
        load(tmp_path / "a.npy")
    assert not (tmp_path / "mark").exists()


def test_other_containers_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(pickle.dumps({1, 2}, protocol=4))
    with pytest.raises(InputError, match="EMPTY_SET"):
        load(tmp_path / "a.npy")


def test_extension_codes_are_refused(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "a.npy"
    program = f"\x82\x7bS'{mark}'\n\x85R.".encode("latin1")
    path.write_bytes(program)
    copyreg.add_extension("posix", "mkdir", 123)
    try:
        _run_unsafely(program)  # this also puts the function into the cache of the process
        assert mark.exists()
        mark.rmdir()
        with pytest.raises(InputError, match="extension code 123"):
            load(path)
        assert not mark.exists()
    finally:
        copyreg.remove_extension("posix", "mkdir", 123)
        copyreg.clear_extension_cache()


def test_functions_of_the_list_cannot_be_changed(tmp_path: Path) -> None:
    for state in ("(dS'_function'\nS'x'\ns", "(N(dS'_function'\nS'x'\nst"):
        (tmp_path / "a.npy").write_bytes(f"cnumpy\ndtype\n{state}b.".encode())
        with pytest.raises(InputError):
            load(tmp_path / "a.npy")
    test_reads_object_arrays_of_np_save(tmp_path)


def _with_state(shape: str, dtype: str, data: str) -> bytes:
    head = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return f"{head}(I1\n{shape}cnumpy\ndtype\n(S'{dtype}'\nI00\nI01\ntR{dtype_state(dtype)}I00\n{data}tb.".encode()


def dtype_state(dtype: str) -> str:
    return "(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb" if dtype != "O8" else "(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb"


@pytest.mark.parametrize(
    "program",
    {
        "object array larger than its items": _with_state("(I100000000\nt", "O8", "(l"),
        "object array with fewer items than places": _with_state("(I5\nt", "O8", "(l"),
        "numbers larger than their bytes": _with_state("(I1000000000000\nt", "f8", "C\x08" + "\0" * 8),
        "product that wraps around": _with_state("(I4294967296\nI4294967296\nt", "u1", "C\x00"),
        "many texts of length zero": _with_state("(I1000000000000\nt", "S0", "C\x00"),
        "negative length": _with_state("(I-1\nt", "u1", "C\x00"),
        "structure with a pointer": _with_state("(I1\nt", "V8", "C\x08" + "\x41" * 8),
        "bytes of huge length": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 33) + b".",
        "bytearray of huge length": b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b".",
        "frame of huge length": b"\x80\x04\x95" + struct.pack("<Q", 1 << 33) + b".",
        "many arrays of one text": b"(lp0\n"
        + b"X"
        + struct.pack("<I", 4000)
        + b"a" * 4000
        + b"p1\n0"
        + b"g0\nc_codecs\nencode\n(g1\nS'latin1'\ntRa0" * 400
        + b"g0\n.",
    }.items(),
    ids=lambda item: item[0],
)
def test_claims_of_size_are_checked_before_memory_is_taken(tmp_path: Path, program: tuple[str, bytes]) -> None:
    (tmp_path / "a.npy").write_bytes(program[1])
    tracemalloc.start()
    with pytest.raises(InputError):
        load(tmp_path / "a.npy")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_large_memo_index_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x80\x02Nr\xff\xff\xff\x7f.")
    assert load(tmp_path / "a.npy") is None


def test_deep_nesting_is_an_error_and_no_crash(tmp_path: Path) -> None:
    as_key = b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns."
    for program in (as_key, b"\x80\x02)" + b"\x85" * 1_000_000 + b"."):
        (tmp_path / "a.npy").write_bytes(program)
        done = subprocess.run(
            [sys.executable, "-c", f"from neuroclip_hf.data.safe_load import load; load({str(tmp_path / 'a.npy')!r})"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 1
        assert "InputError" in done.stderr


@pytest.mark.parametrize("kept", [0, 1, 5, 10, 60, 127, 128, 140, 400, -200, -1])
def test_truncated_files(tmp_path: Path, kept: int) -> None:
    np.save(tmp_path / "a.npy", np.array(GOOD, dtype=object), allow_pickle=True)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.npy"):
        load(tmp_path / "a.npy")


def test_truncated_numbers_and_missing_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(100.0))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    for name in ("a.npy", "missing.npy", "."):
        with pytest.raises(InputError):
            load(tmp_path / name)


def test_random_damage_never_escapes(tmp_path: Path) -> None:
    whole = pickle.dumps(GOOD, protocol=4)
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(len(damaged), size=3):
            damaged[place] = random.integers(256)
        (tmp_path / "a.npy").write_bytes(damaged)
        with contextlib.suppress(InputError):
            load(tmp_path / "a.npy")


def test_plain_data_imports_no_torch(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(GOOD, dtype=object), allow_pickle=True)
    program = f"import sys; from neuroclip_hf.data.safe_load import load; load({str(tmp_path / 'a.npy')!r})"
    subprocess.run(
        [sys.executable, "-c", program + "; assert 'torch' not in sys.modules"],
        check=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("name", ["a.npy", "a.pt", "a.pkl"])
def test_empty_files_are_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"{name} is empty \(0 bytes\): get it again\.$"):
        load(tmp_path / name)
