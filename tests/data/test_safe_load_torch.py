"""safe_load reads torch's containers and believes nothing that they say about themselves."""

import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroclip_hf.data.safe_load import load
from neuroclip_hf.errors import InputError

torch = pytest.importorskip("torch")


class MakesFolder:
    """An object whose pickle makes a folder."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (self.mark,)


def test_reads_torch_containers(tmp_path: Path) -> None:
    eeg = torch.arange(24.0).reshape(2, 3, 4)
    saved = {"eeg": eeg.half(), "view": eeg[:, 1].T, "bfloat": eeg.bfloat16(), "label": [1, 2], "empty": eeg[:0]}
    torch.save({**saved, "times": np.arange(3), "sfreq": np.float64(250)}, tmp_path / "a.pt")
    got = load(tmp_path / "a.pt")
    for name in ("eeg", "view", "bfloat", "empty"):
        assert torch.equal(got[name], saved[name])
        assert got[name].dtype == saved[name].dtype
    assert got["label"] == [1, 2]
    assert got["sfreq"] == 250
    assert got["times"].tolist() == [0, 1, 2]
    before = (tmp_path / "a.pt").read_bytes()
    got["eeg"].zero_()
    assert (tmp_path / "a.pt").read_bytes() == before


def test_the_format_before_zip_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    torch.save({"eeg": torch.arange(4.0)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(
        InputError, match=r"old\.pt was saved by torch in the format that came before .*: save it anew"
    ):
        load(path)
    torch.save(torch.load(path, weights_only=True), path)  # as the message says
    assert load(path)["eeg"].tolist() == [0, 1, 2, 3]


def _change_torch_file(source: Path, to: Path, change: Callable[[str, bytes], bytes], compression: int = 0) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(to, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))


def test_attacks_on_torch_containers(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "attack.pt"
    torch.save({"eeg": torch.zeros(4), "x": MakesFolder(str(mark))}, path)
    with pytest.raises(InputError, match="mkdir"):
        load(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"attack\.pt"):
        load(path)


def test_zip_bombs_and_forged_storages(tmp_path: Path) -> None:
    torch.save({"eeg": torch.zeros(1000, dtype=torch.uint8)}, tmp_path / "good.pt")
    path = tmp_path / "bomb.pt"
    big = bytes(200_000_000)
    _change_torch_file(tmp_path / "good.pt", path, lambda name, data: big if "data/0" in name else data, 8)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(InputError, match="never compresses"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    forged = {"storage": (b"M\xe8\x03", b"M\xe9\x03"), "stride": (b"K\x01\x85", b"K\x02\x85")}
    for was, becomes in forged.values():

        def change(name: str, data: bytes, was: bytes = was, becomes: bytes = becomes) -> bytes:
            return data.replace(was, becomes, 1) if name.endswith("data.pkl") else data

        _change_torch_file(tmp_path / "good.pt", path, change)
        with pytest.raises(InputError, match=r"bomb\.pt"):
            load(path)


def test_other_zip_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(InputError, match="zip file but not one"):
        load(tmp_path / "a.npz")


def _storage(count: int, key: str = "S'0'\n", kind: str = "Float") -> str:
    return f"(S'storage'\nctorch\n{kind}Storage\n{key}S'cpu'\nI{count}\ntQ"


def _tensor(storage: str, offset: str = "I0\n", size: str = "(I4\nt", stride: str = "(I1\nt") -> str:
    return f"ctorch._utils\n_rebuild_tensor_v2\n({storage}{offset}{size}{stride}I00\nNtR"


def _write(path: Path, program: str, storage: bytes = b"", folder: str = "x", order: bytes = b"little") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}/data.pkl", program)
        archive.writestr(f"{folder}/byteorder", order)
        archive.writestr(f"{folder}/data/0", storage)
    return path


FOUR = np.arange(4, dtype=np.float32).tobytes()
EMPTY = _tensor(_storage(0), size="(I0\nt")


def test_the_programs_written_here_are_read(tmp_path: Path) -> None:
    assert load(_write(tmp_path / "a.pt", _tensor(_storage(4)) + ".", FOUR)).tolist() == [0, 1, 2, 3]
    assert load(_write(tmp_path / "a.pt", EMPTY + ".")).shape == (0,)


def test_nothing_is_written_whatever_the_names_in_the_container(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = _write(tmp_path / "inner" / "a.pt", _tensor(_storage(4)) + ".", FOUR, folder="../../evil")
    assert load(path).tolist() == [0, 1, 2, 3]
    assert [file.name for file in tmp_path.rglob("*")] == ["inner", "a.pt"]
    _write(path, _tensor(_storage(4, "S'../0'\n")) + ".", FOUR)
    with pytest.raises(InputError):
        load(path)


@pytest.mark.parametrize(
    ("state", "name"),
    {
        "larger than memory": (f"({_storage(0)}I0\n(I2000000000\nt(I1\ntt", "Tensor"),
        "hooks": ("(d", "Tensor"),
        "slots": ("(N(dS'requires_grad'\nI01\nst", "Tensor"),
    }.values(),
)
def test_a_pickle_sets_no_state_of_tensors(tmp_path: Path, state: str, name: str) -> None:
    path = _write(tmp_path / "a.pt", f"{EMPTY}{state}b.")
    with pytest.raises(InputError, match=f"asks for a state to be set on an object of type {name}"):
        load(path)


def test_a_pickle_sets_no_state_of_storages_and_their_kinds(tmp_path: Path) -> None:
    for target in (_storage(0), "ctorch\nFloatStorage\n", "ccollections\nOrderedDict\n(tR"):
        with pytest.raises(InputError, match="asks for a state to be set on"):
            load(_write(tmp_path / "a.pt", f"{target}(N(dS'name'\nS'ByteStorage'\nstb."))


def test_tensors_are_no_arguments_of_calls(tmp_path: Path) -> None:
    program = f"ctorch._utils\n_rebuild_tensor_v2\n{_tensor(_storage(4))}R."
    with pytest.raises(InputError, match="asks for a call"):
        load(_write(tmp_path / "a.pt", program, FOUR))


@pytest.mark.parametrize(
    "tensor",
    [
        _tensor(_storage(4), offset="I-1\n", size="(I1\nt"),
        _tensor(_storage(4), stride="(I-1\nt"),
        _tensor(_storage(4), size="(I-4\nt"),
        _tensor(_storage(4), size="(I5\nt"),
        _tensor(_storage(4), size="(I5\nt", stride="(I0\nt"),
        _tensor(_storage(4), offset="I1\n"),
        _tensor(_storage(4), offset="I4000000000\n", size="(I0\nt"),
        _tensor(_storage(4), size="(I0\n" + "I9223372036854775808\nt", stride="(I1\nI1\nt"),
        _tensor(_tensor(_storage(4))),
        _tensor(_storage(5)),
        _tensor(_storage(4, kind="Double")),
        _tensor(_storage(4, key="I0\n")),
        _storage(4),
    ],
)
def test_tensors_lie_inside_their_storages(tmp_path: Path, tensor: str) -> None:
    with pytest.raises(InputError, match=r"a\.pt"):
        load(_write(tmp_path / "a.pt", tensor + ".", FOUR))


def test_truth_values_are_zero_or_one(tmp_path: Path) -> None:
    program = _tensor(_storage(4, kind="Bool")) + "."
    assert load(_write(tmp_path / "a.pt", program, b"\0\1\0\1")).tolist() == [False, True, False, True]
    with pytest.raises(InputError, match="truth value"):
        load(_write(tmp_path / "a.pt", program, b"\0\1\0\2"))


def test_views_of_one_storage_share_it(tmp_path: Path) -> None:
    values = torch.zeros(6)
    torch.save([values, values[2:]], tmp_path / "a.pt")
    whole, part = load(tmp_path / "a.pt")
    part.fill_(1)
    assert whole.tolist() == [0, 0, 1, 1, 1, 1]


@pytest.mark.skipif(os.name != "posix", reason="limits of open files are counted otherwise elsewhere")
def test_many_storages_keep_no_files_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    torch.save([torch.full((2,), float(row)) for row in range(300)], tmp_path / "a.pt")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        assert load(tmp_path / "a.pt")[299].tolist() == [299, 299]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("place", ["key", "count", "byte order"])
def test_messages_stay_short(tmp_path: Path, place: str) -> None:
    nested = "(t" + "p9\n0(g9\ng9\nt" * 23
    programs = {"key": _storage(4, key=nested), "count": _storage(0).replace("I0\n", nested), "byte order": "N"}
    order = b"x" * 100_000 if place == "byte order" else b"little"
    with pytest.raises(InputError) as caught:
        load(_write(tmp_path / "a.pt", programs[place] + ".", FOUR, order=order))
    assert len(str(caught.value)) < 1000
