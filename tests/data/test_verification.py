"""What `check` finds in a store that something happened to."""

import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.parquet.export import export_store
from neuroclip_hf.data.parquet.importing import import_store
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import signed
from neuroclip_hf.data.verification import check_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, sha256, write_json


@pytest.fixture
def copy(store_folder, tmp_path) -> Path:
    return Path(shutil.copytree(store_folder, tmp_path / "store"))


def vouch(path: Path, *names: str, **changes) -> None:
    """Make store.json agree with the files, so that only what they hold can be wrong."""
    info = read_json(path / "store.json")
    info["checksums"].update({name: sha256(path / name) for name in names})
    write_json(path / "store.json", signed({**info, **changes}))


def change_array(path: Path, name: str, change) -> None:
    values = np.load(path / name)
    change(values)
    np.save(path / name, values)
    vouch(path, name)


def change_table(path: Path, name: str, change) -> None:
    table = pd.read_parquet(path / name)
    change(table)
    table.to_parquet(path / name, index=False)
    vouch(path, name)


def first_picture(path: Path) -> str:
    return TrialStore(path).pictures[columns.PICTURE_FILE][0]


def test_a_sound_store_has_no_problems(store_folder):
    found = check_store(store_folder)
    assert found.problems == []
    assert (found.trials, found.pictures) == (128, 26)
    assert found.files == len([path for path in store_folder.rglob("*") if path.is_file()]) - 1
    assert found.to_dict()["sound"] is True
    found.refuse()


def test_a_store_without_its_pictures_is_sound(store_folder, tmp_path):
    bare = import_store(export_store(store_folder, tmp_path / "dataset", images=False), tmp_path / "bare")
    assert check_store(bare).problems == []
    shutil.copytree(store_folder / "pictures", bare / "pictures")
    assert check_store(bare).problems == []
    (bare / "sub-01" / "covariance.npy").unlink()
    assert [one.file for one in check_store(bare).problems] == ["sub-01/covariance.npy"]
    shutil.copyfile(store_folder / "sub-01" / "covariance.npy", bare / "sub-01" / "covariance.npy")
    (bare / first_picture(bare)).write_bytes(b"another")
    assert [one.file for one in check_store(bare).problems] == [first_picture(bare)]


def set_values(row: int, value: float):
    def change(values: np.ndarray) -> None:
        values[row] = value

    return change


def swap_trials(values: np.ndarray) -> None:
    values[[3, 4]] = values[[4, 3]]


def flip_byte(path: Path, name: str) -> None:
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    (path / name).write_bytes(content)


def share_concept(table: pd.DataFrame) -> None:
    test = table[columns.SPLIT] == "test"
    table.loc[test, columns.CONCEPT] = table[columns.CONCEPT][~test].iloc[0]


def spoil_picture(path: Path) -> None:
    (path / first_picture(path)).write_bytes(b"no picture")
    vouch(path, first_picture(path))


def share_picture(path: Path) -> None:
    files = TrialStore(path).pictures[columns.PICTURE_FILE].tolist()
    shutil.copyfile(path / files[0], path / files[-1])
    vouch(path, files[-1])


@pytest.mark.parametrize(
    ("spoil", "file", "message"),
    [
        (lambda path: flip_byte(path, "sub-01/train.npy"), "sub-01/train.npy", "its checksum differs"),
        (lambda path: flip_byte(path, "sub-02/covariance.npy"), "sub-02/covariance.npy", "its checksum differs"),
        (lambda path: (path / "sub-02" / "covariance.npy").unlink(), "sub-02/covariance.npy", "it is missing"),
        (lambda path: (path / "sub-02" / "test.npy").unlink(), "sub-02/test.npy", "it is missing"),
        (lambda path: (path / first_picture(path)).unlink(), "pictures/", "it is missing"),
        (
            lambda path: change_array(path, "sub-01/test.npy", set_values(5, np.nan)),
            "sub-01/test.npy",
            "trial 5 holds",
        ),
        (lambda path: change_array(path, "sub-01/test.npy", swap_trials), "sub-01/test.npy", "trial 3 is not the one"),
        (
            lambda path: (
                np.save(path / "sub-01" / "test.npy", np.zeros((24, 4, 29), np.float16))
                or vouch(path, "sub-01/test.npy")
            ),
            "sub-01/test.npy",
            "has shape .24, 4, 29.*trial table asks for .24, 4, 30.",
        ),
        (
            lambda path: (
                np.save(path / "sub-01" / "covariance.npy", np.zeros((2, 3, 3)))
                or vouch(path, "sub-01/covariance.npy")
            ),
            "sub-01/covariance.npy",
            r"shape \(2, 3, 3\) instead of \(sessions, 4, 4\)",
        ),
        (lambda path: change_table(path, "trials.parquet", share_concept), "trials.parquet", "protocol new-concepts"),
        (spoil_picture, "pictures/", "cannot be read as a picture"),
        (share_picture, "pictures.parquet", "are the same file in two galleries"),
        (lambda path: vouch(path, scale=[1.0]), "store.json", "scale has 1 entries for 4 channels"),
        (lambda path: vouch(path, data="real"), "store.json", "data is 'real', which is none of recorded, simulated"),
        (lambda path: vouch(path, checksums={}), "store.json", "it has no checksum of pictures.parquet"),
        (lambda path: vouch(path, checksums={"../x": "0"}), "store.json", "it names '../x', outside the store"),
    ],
)
def test_what_is_wrong_is_named(copy, spoil, file, message):
    spoil(copy)
    found = check_store(copy)
    assert found.problems[0].file.startswith(file)
    assert found.to_dict()["sound"] is False
    with pytest.raises(InputError, match=rf"(?s){file}.*{message}.*: .*(again|store)"):
        found.refuse()


def test_one_problem_does_not_hide_another(copy):
    flip_byte(copy, "sub-01/train.npy")
    spoil_picture(copy)
    change_array(copy, "sub-02/train.npy", set_values(0, np.inf))
    files = [one.file for one in check_store(copy).problems]
    assert files == ["sub-01/train.npy", "sub-02/train.npy", first_picture(copy)]
    with pytest.raises(InputError, match=r"2 more problems in .*store\."):
        check_store(copy).refuse()


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": ["O1", "P7", "Oz", "O2"]},
        {"scale": [2.0, 1.0, 1.0, 1.0]},
        {"offset": [1.0, 0.0, 0.0, 0.0]},
        {"sampling_rate": 100.0},
        {"window_start": 0.1},
        {"times": [0.0]},
        {"unit": "V"},
        {"protocol": "new-trials"},
        {"whitening_fit": None},
        {"sources": {}},
        {"digest": "0"},
    ],
)
def test_store_json_vouches_for_itself(copy, changes):
    write_json(copy / "store.json", {**read_json(copy / "store.json"), **changes})
    found = check_store(copy)
    assert [(one.file, one.problem) for one in found.problems] == [
        ("store.json", "has changed since it was written (it does not agree with its digest)")
    ]
    with pytest.raises(InputError, match=r"store.json has changed since it was written .*: restore it, or make"):
        TrialStore(copy)


def test_a_file_that_is_not_of_the_store_is_named(copy):
    (copy / "sub-01" / "validation.npy").write_bytes(b"0")
    assert [(one.file, one.problem) for one in check_store(copy).problems] == [
        ("sub-01/validation.npy", "it is none of the store's files")
    ]


def rewrite_info(path: Path, change) -> None:
    text = (path / "store.json").read_text("utf-8")
    (path / "store.json").write_text(change(text), "utf-8", newline="\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + " ",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: json.dumps(json.loads(text)),
        lambda text: text.replace('"format"', '"form\\u0061t"'),
    ],
)
def test_other_bytes_that_say_the_same_are_named(copy, change):
    rewrite_info(copy, change)
    (problem,) = check_store(copy).problems
    assert (problem.file, problem.problem.partition(",")[0]) == ("store.json", "it says what it said")
    TrialStore(copy)  # what it says has not changed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes in folders")
@pytest.mark.parametrize("where", ["", "pictures/", "sub-01/"])
def test_what_is_neither_file_nor_folder_is_named(copy, where, monkeypatch):
    os.mkfifo(copy / f"{where}pipe")
    (copy / f"{where}link").symlink_to("nowhere")
    monkeypatch.chdir(copy)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"{where}socket")
        found = check_store(copy).problems
    assert [one.file for one in found] == [f"{where}{name}" for name in ("link", "pipe", "socket")]
    assert {one.problem for one in found} == {"it is none of the store's files"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes in folders")
@pytest.mark.parametrize("name", ["trials.parquet", "sub-01/train.npy", "sub-01/covariance.npy", "PICTURE"])
def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(store_folder, tmp_path, name):
    bare = import_store(export_store(store_folder, tmp_path / "dataset", images=False), tmp_path / "bare")
    file = bare / name.replace("PICTURE", first_picture(bare))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    (problem,) = check_store(bare).problems
    assert (bare / problem.file, problem.problem.partition(" (")[0]) == (file, "it is no file")


def test_an_empty_folder_is_named(copy):
    (copy / "sub-09" / "inner").mkdir(parents=True)
    assert [(one.file, one.problem) for one in check_store(copy).problems] == [
        ("sub-09/inner", "it is none of the store's folders, and empty")
    ]


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a trial store"):
        check_store(tmp_path)
    write_json(tmp_path / "store.json", {"format": 0})
    with pytest.raises(InputError, match=r"store.json is not of format 1"):
        check_store(tmp_path)
