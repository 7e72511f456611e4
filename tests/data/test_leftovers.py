"""What killed processes leave beside a store is named, and goes where it may."""

import os
import time
from pathlib import Path

import pytest

from neuroclip_hf.data.description import describe_store
from neuroclip_hf.data.leftovers import QUIET_SECONDS, find_leftovers, sweep
from neuroclip_hf.data.parquet.export import export_store
from neuroclip_hf.data.parquet.importing import import_store
from neuroclip_hf.data.sources.resume import discard_finished
from neuroclip_hf.errors import InputError


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A store's path, with folders of killed processes beside it, and others that only look like it."""
    for name in ("store.0123abcd.tmp", "store.89abcdef.old", "store2.0123abcd.tmp", "store.0123.tmp", "store.x"):
        (tmp_path / f".{name}" / "sub-01").mkdir(parents=True)
        (tmp_path / f".{name}" / "sub-01" / "train.npy").write_bytes(b"1")
    return tmp_path / "store"


def age(folder: Path, seconds: float) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - seconds,) * 2)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_they_are_named_and_left_alone(out, caplog):
    before = names(out.parent)
    sweep(out, overwrite=False)
    assert names(out.parent) == before
    assert [record.args[0].name for record in caplog.records] == [".store.0123abcd.tmp", ".store.89abcdef.old"]
    assert "was left by a process that was killed, unless one is at work there: remove it, or pass" in caplog.text


def test_what_is_overwritten_takes_those_along_that_nobody_works_on(out, caplog):
    caplog.set_level("INFO", logger="neuroclip_hf")
    for folder in out.parent.iterdir():
        age(folder, QUIET_SECONDS + 60)
    age(out.parent / ".store.89abcdef.old" / "sub-01" / "train.npy", QUIET_SECONDS - 60)  # somebody is at work
    sweep(out, overwrite=True)
    assert names(out.parent) == [".store.0123.tmp", ".store.89abcdef.old", ".store.x", ".store2.0123abcd.tmp"]
    assert ".store.0123abcd.tmp, which a killed process had left, was removed" in caplog.text


def test_every_store_is_made_so(array_store, tmp_path, caplog):
    (tmp_path / ".arrays.0123abcd.tmp").mkdir()
    array_store()
    assert ".arrays.0123abcd.tmp was left by a process that was killed" in caplog.text


def test_an_export_and_what_is_imported_from_it_are_made_so(array_store, tmp_path, caplog):
    store = array_store()
    for name in ("dataset", "again"):
        (tmp_path / f".{name}.0123abcd.tmp").mkdir()
        age(tmp_path / f".{name}.0123abcd.tmp", QUIET_SECONDS + 60)
    export_store(store.path, tmp_path / "dataset")
    import_store(tmp_path / "dataset", tmp_path / "again")
    for name in ("dataset", "again"):
        assert f".{name}.0123abcd.tmp was left by a process that was killed" in caplog.text
    export_store(store.path, tmp_path / "dataset", overwrite=True)
    assert not (tmp_path / ".dataset.0123abcd.tmp").exists()


def test_info_tells_of_them(array_store, tmp_path):
    store = array_store()
    assert describe_store(store.path)["leftovers"] == []
    (tmp_path / ".arrays.0123abcd.tmp").mkdir()
    (tmp_path / ".arrays.unfinished" / "parts").mkdir(parents=True)
    (tmp_path / ".arrays.unfinished" / "parts" / "0000.json").touch()
    found = describe_store(store.path)["leftovers"]
    assert [(Path(one["path"]).name, one["finished_parts"]) for one in found] == [
        (".arrays.unfinished", 1),
        (".arrays.0123abcd.tmp", None),
    ]
    discard_finished(store.path)
    assert [Path(one.path).name for one in find_leftovers(store.path)] == [".arrays.0123abcd.tmp"]


def test_info_of_a_store_that_is_not_finished_says_how_far_it_is(tmp_path):
    (tmp_path / ".store.unfinished" / "parts").mkdir(parents=True)
    for number in range(3):
        (tmp_path / ".store.unfinished" / "parts" / f"000{number}.json").touch()
    message = r"store does not exist yet\. .*\.store\.unfinished: 3 finished parts; the command that began it goes on"
    with pytest.raises(InputError, match=message):
        describe_store(tmp_path / "store")
    with pytest.raises(InputError, match="is not a trial store"):
        describe_store(tmp_path / "other")
