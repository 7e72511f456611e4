"""safe_load spends time, memory and words on a file in proportion to its size."""

import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from neuroclip_hf.data.safe_load import load
from neuroclip_hf.errors import InputError

NESTED = "(t" + "p9\n0(g9\ng9\nt" * 23  # 2 to the power of 23 empty tuples when it is written out
RECONSTRUCT = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
DTYPE = "cnumpy\ndtype\n(S'f8'\nI00\nI01\ntR"
LONG = "a" * 100_000


@pytest.mark.parametrize(
    "program",
    {
        "data type": f"cnumpy\ndtype\n({NESTED}tR.",
        "byte order": f"{DTYPE}(I3\n{NESTED}tb.",
        "shape": f"{RECONSTRUCT}(I1\n{NESTED}{DTYPE}I00\nS''\ntb.",
        "memory order": "cnumpy.core.numeric\n_frombuffer\n"
        f"(c_codecs\nencode\n(S''\nS'latin1'\ntR{DTYPE}(I0\nt{NESTED}tR.",
        "encoding": f"c_codecs\nencode\n(S'a'\n{NESTED}tR.",
        "persistent object": f"{NESTED}Q.",
        "function": f"{NESTED}(tR.",
        "target of a state": f"{NESTED}Nb.",
        "key": f"(d{NESTED}Ns.",
        "name": f"c{LONG}\n{LONG}\n.",
        "number": f"F{LONG}\n.",
        "number of many digits": f"I1{'0' * 100_000}\n.",
        "code of a data type": f"cnumpy\ndtype\n(S'{LONG}'\nI00\nI01\ntR.",
        "number in hexadecimal": f"L0x{LONG}\n.",
    }.items(),
    ids=lambda item: item[0],
)
def test_messages_stay_short(tmp_path: Path, program: tuple[str, str]) -> None:
    (tmp_path / "a.npy").write_text(program[1])
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        load(tmp_path / "a.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(str(caught.value)) < 1000
    assert peak < 5_000_000
    assert caught.value.__cause__ is None
    assert str(caught.value).isprintable()


def test_messages_carry_no_control_characters(tmp_path: Path) -> None:
    for program in ("c\x1b[2J\nname\n.", "P\x1b[2J\n.", "F\x1b[2J\n."):
        (tmp_path / "a.npy").write_text(program)
        with pytest.raises(InputError) as caught:
            load(tmp_path / "a.npy")
        assert str(caught.value).isprintable()


def _doublings(kind: str, count: int = 40) -> bytes:
    start, again = {"tuple": (b")", b"\x86"), "list": (b"]", b"\x86"), "text": (b"X\x40\0\0\0" + b"a" * 64, b"\x86")}[
        kind
    ]
    return b"\x80\x02" + start + (b"2" + again) * count + b"."


@pytest.mark.parametrize("kind", ["tuple", "list", "text"])
def test_parts_that_are_shared_again_and_again_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.npy").write_bytes(_doublings(kind))
    with pytest.raises(InputError, match="again and again"):
        load(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(_doublings(kind, 12))
    assert len(load(tmp_path / "a.npy")) == 2


def test_parts_that_are_shared_stay_shared(tmp_path: Path) -> None:
    label, shape = ["a"], np.arange(3)
    (tmp_path / "a.npy").write_bytes(pickle.dumps([label, label, shape, shape] * 1000))
    got = load(tmp_path / "a.npy")
    assert got[0] is got[-3]
    assert got[2] is got[-1]


@pytest.mark.parametrize(
    "program",
    {
        "list": "(lp0\ng0\na.",
        "dictionary": "(dp0\nS'a'\ng0\ns.",
        "tuple": "(lp0\n(g0\ntp1\n0g0\ng1\na0g1\n.",
        "array": f"{RECONSTRUCT}p0\n(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI00\nI01\ntRI00\n(lg0\natb.",
    }.items(),
    ids=lambda item: item[0],
)
def test_what_holds_itself_is_refused(tmp_path: Path, program: tuple[str, str]) -> None:
    (tmp_path / "a.npy").write_text(program[1])
    with pytest.raises(InputError, match="holds itself"):
        load(tmp_path / "a.npy")


def _flood(entry: str, count: int = 20_000) -> str:
    modulus = (1 << 61) - 1  # of Python's hashes: all these numbers have the hash 0
    return "".join(entry.format(modulus * (row + 1)) for row in range(count))


@pytest.mark.parametrize(
    "program", ["(d" + _flood("L{}L\nNs") + ".", "N" + _flood("p{}\n") + "."], ids=["keys", "memo"]
)
def test_numbers_with_equal_hashes_take_no_time(tmp_path: Path, program: str) -> None:
    (tmp_path / "a.npy").write_text(program)
    started = time.process_time()
    with pytest.raises(InputError):
        load(tmp_path / "a.npy")
    assert time.process_time() - started < 1


def test_shapes_of_huge_numbers_take_no_time(tmp_path: Path) -> None:
    huge = f"L0x{'f' * 50_000}\np5\n"
    shape = f"({huge}" + "g5\n" * 5000 + "t"
    (tmp_path / "a.npy").write_text(f"{RECONSTRUCT}(I1\n{shape}{DTYPE}I00\nS''\ntb.")
    started = time.process_time()
    with pytest.raises(InputError, match="not the shape of an array"):
        load(tmp_path / "a.npy")
    assert time.process_time() - started < 1


def test_numbers_larger_than_any_float_are_refused(tmp_path: Path) -> None:
    for number, fits in ((10**308, True), (-(10**309), False)):
        (tmp_path / "a.npy").write_bytes(pickle.dumps({"sfreq": number}))
        if fits:
            assert load(tmp_path / "a.npy") == {"sfreq": number}
        else:
            with pytest.raises(InputError, match="bits is not data"):
                load(tmp_path / "a.npy")


def test_a_header_longer_than_the_file_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(np.lib.format.magic(2, 0) + struct.pack("<I", 3_000_000_000) + b"{}")
    tracemalloc.start()
    with pytest.raises(InputError, match="too early"):
        load(tmp_path / "a.npy")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x05\x96\x01\0\0\0\0\0\0\0aNa.",
        b"cnumpy\nndarray\n(lR.",
        b"cnumpy\ndtype\n(l(S'f8'\nlR.",
        b"N(S'f8'\ntR.",
    ],
)
def test_only_lists_grow_and_only_functions_are_called(tmp_path: Path, program: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(program)
    with pytest.raises(InputError, match=r"asks for (items appended to|a call of)"):
        load(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "name", ["NEWOBJ", "NEWOBJ_EX", "OBJ", "FROZENSET", "NEXT_BUFFER", "READONLY_BUFFER", "ADDITEMS"]
)
def test_other_instructions_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.npy").write_bytes(b"(cnumpy\ndtype\n)" + getattr(pickle, name) + b".")
    with pytest.raises(InputError, match=f"the instruction {name}"):
        load(tmp_path / "a.npy")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_truth_values_are_zero_or_one(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(np.full(9, True), protocol=protocol)
    (tmp_path / "a.npy").write_bytes(data)
    assert load(tmp_path / "a.npy").tolist() == [True] * 9
    (tmp_path / "a.npy").write_bytes(data.replace(b"\1" * 9, b"\1" * 8 + b"\2"))
    with pytest.raises(InputError, match="truth value"):
        load(tmp_path / "a.npy")


def test_deeply_nested_arrays_are_an_error_and_no_crash(tmp_path: Path) -> None:
    dtype = "cnumpy\ndtype\n(S'O8'\nI00\nI01\ntRp1\n0"
    level = "p3\n0" + RECONSTRUCT + "(I1\n(I1\ntg1\nI00\n(lg3\natb"
    (tmp_path / "a.npy").write_text(dtype + "N" + level * 50_000 + ".")
    program = f"from neuroclip_hf.data.safe_load import load; load({str(tmp_path / 'a.npy')!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 1
    assert "InputError" in done.stderr


@pytest.mark.parametrize("protocol", [None, 2, 4, 5])  # None: a plain .npy
@pytest.mark.parametrize("kind", ["<U3", ">U3"])
@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800])
def test_texts_hold_characters_only(tmp_path: Path, protocol: int | None, kind: str, code: int) -> None:
    values, path = np.array([["abc", "\U0010ffff"]], dtype=kind), tmp_path / "a.npy"
    if protocol is None:
        np.save(path, values)
    else:
        path.write_bytes(pickle.dumps(values, protocol=protocol))
    assert load(path).tolist() == values.tolist()
    whole = path.read_bytes()
    letter, wrong = (np.array([one], f"{kind[0]}u4").tobytes() for one in (ord("b"), code))
    if protocol == 2:  # which writes bytes as text
        letter, wrong = (one.decode("latin-1").encode("utf-8") for one in (letter, wrong))
    assert whole.count(letter) >= 1
    path.write_bytes(whole.replace(letter, wrong, 1))
    with pytest.raises(InputError, match=r"a\.npy"):
        load(path)


def test_truth_values_of_a_plain_array_are_zero_or_one(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for kind in (np.dtype(bool), np.dtype([("a", "f8"), ("b", "?")])):
        np.save(path, np.ones(4, dtype=kind))
        load(path)
        path.write_bytes(path.read_bytes()[:-1] + b"\2")
        with pytest.raises(InputError, match="truth value"):
            load(path)


def test_half_a_character_in_a_text_is_refused(tmp_path):
    path = tmp_path / "text.npy"
    np.save(path, np.array({"files": ["a.jpg", "b\ud800.jpg"]}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="no character"):
        load(path)
