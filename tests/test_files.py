"""Outputs appear whole or not at all, and what stood there before survives every failure."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from neuroclip_hf import files
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import is_disk_full, new_file, new_folder, read_json, write_array, write_json, write_text


def write_folder(path, text, **options):
    with new_folder(path, **options) as temporary:
        (temporary / "inside.txt").write_text(text)


def read_folder(path):
    return {file.name: file.read_text() for file in path.iterdir()}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder_appears_at_the_end_with_its_parents(tmp_path):
    target = tmp_path / "a" / "b"
    with new_folder(target) as temporary:
        (temporary / "inside.txt").write_text("new")
        assert not target.exists()
        assert temporary.parent == target.parent  # one file system, so that a rename suffices
        assert temporary.name.startswith(".b.")
    assert read_folder(target) == {"inside.txt": "new"}
    assert names_in(target.parent) == ["b"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupted_folder_leaves_nothing_and_keeps_the_old(tmp_path, failure, overwrite):
    target = tmp_path / "out"
    if overwrite:
        write_folder(target, "old")
    with pytest.raises(failure), new_folder(target, overwrite=overwrite) as temporary:
        (temporary / "half").write_text("half")
        raise failure
    assert names_in(tmp_path) == (["out"] if overwrite else [])
    assert not overwrite or read_folder(target) == {"inside.txt": "old"}


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_exists_is_refused_before_any_work(tmp_path, kind):
    target = tmp_path / "out"
    {"folder": target.mkdir, "file": target.touch, "dangling link": lambda: target.symlink_to("nowhere")}[kind]()
    for begin in (new_folder, lambda path: new_file(path, overwrite=False)):
        with pytest.raises(InputError, match=r"out already exists: pass --overwrite"), begin(target):
            pytest.fail("the block must not run")
    assert names_in(tmp_path) == ["out"]


def test_an_overwritten_folder_is_replaced_and_not_merged(tmp_path):
    target = tmp_path / "out"
    write_folder(target, "old")
    (target / "stale.txt").touch()
    write_folder(target, "new", overwrite=True)
    assert read_folder(target) == {"inside.txt": "new"}
    assert names_in(tmp_path) == ["out"]


def test_overwrite_does_not_turn_a_file_into_a_folder_or_back(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a file"), new_folder(tmp_path / "file", overwrite=True):
        pytest.fail("the block must not run")
    with pytest.raises(InputError, match="is a folder"), new_file(tmp_path / "folder"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_a_failed_last_rename_brings_the_old_folder_back(tmp_path, monkeypatch, failure):
    target = tmp_path / "out"
    write_folder(target, "old")
    rename = os.replace

    def refuse_the_new(source, destination):
        if str(source).endswith(".tmp"):
            raise failure("no")
        rename(source, destination)

    monkeypatch.setattr(files.os, "replace", refuse_the_new)
    with pytest.raises(failure):
        write_folder(target, "new", overwrite=True)
    assert read_folder(target) == {"inside.txt": "old"}
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize("make", [new_folder, lambda path: new_file(path, overwrite=False)])
def test_an_output_that_appeared_meanwhile_is_kept(tmp_path, make):
    target = tmp_path / "out"
    with pytest.raises(InputError, match="already exists"), make(target) as temporary:
        if not temporary.exists():
            temporary.write_text("mine")
        target.write_text("somebody else's")
    assert target.read_text() == "somebody else's"
    assert names_in(tmp_path) == ["out"]


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    real, link = tmp_path / "disk" / "store", tmp_path / "link"
    write_folder(real, "old")
    link.symlink_to(real)
    write_folder(link, "new", overwrite=True)
    assert link.is_symlink()
    assert read_folder(real) == {"inside.txt": "new"}
    assert names_in(tmp_path) == ["disk", "link"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for begin in (new_folder, new_file):
        with pytest.raises(InputError, match=r"out cannot be written .*folder you may write to"):
            begin(tmp_path / "file" / "out").__enter__()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_parent_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written"), new_folder(tmp_path / "out"):
            pytest.fail("the block must not run")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_results_have_the_mode_that_the_user_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        write_folder(tmp_path / "out", "new")
        write_text(tmp_path / "text", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "text").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_process_leaves_the_old_under_the_name(tmp_path):
    write_folder(tmp_path / "out", "old")
    program = (
        "import time; from neuroclip_hf.files import new_folder\n"
        f"with new_folder({str(tmp_path / 'out')!r}, overwrite=True) as folder:\n"
        "    (folder / 'half').touch(); print('ready', flush=True); time.sleep(600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait(timeout=60)
    child.stdout.close()
    assert read_folder(tmp_path / "out") == {"inside.txt": "old"}
    assert [name for name in names_in(tmp_path) if not name.startswith(".")] == ["out"]


def test_a_file_keeps_its_suffix_while_it_is_written(tmp_path):
    with new_file(tmp_path / "sheet.png") as temporary:
        assert temporary.name == "sheet.png"
        temporary.write_text("new")
        assert not (tmp_path / "sheet.png").exists()
    assert names_in(tmp_path) == ["sheet.png"]


def test_a_failed_file_keeps_the_old_one(tmp_path):
    write_text(tmp_path / "report.json", "old")
    with pytest.raises(RuntimeError), new_file(tmp_path / "report.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "report.json").read_text() == "old"
    assert names_in(tmp_path) == ["report.json"]


def test_json_goes_and_comes_back(tmp_path):
    value = {"top1": 0.1, "unit": "µV", "rows": [1, None, True]}
    write_json(tmp_path / "report.json", value)
    assert read_json(tmp_path / "report.json") == value
    assert (tmp_path / "report.json").read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {1, 2}])
def test_what_json_cannot_hold_is_refused_and_the_old_kept(tmp_path, value):
    write_json(tmp_path / "report.json", "old")
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "report.json", value)
    assert read_json(tmp_path / "report.json") == "old"


@pytest.mark.parametrize("content", [b"", b'{"top1": ', b"\xff\xfe\x00", b"[" * 100_000])
def test_broken_json_is_named(tmp_path, content):
    (tmp_path / "store.json").write_bytes(content)
    with pytest.raises(InputError, match=r"store\.json is not readable JSON"):
        read_json(tmp_path / "store.json")


def test_missing_json_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "store.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path)


def test_an_array_is_written_as_numpy_does_and_a_full_disk_is_known(tmp_path):
    values = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "numpy.npy", values)
    write_array(tmp_path / "ours.npy", values)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    resource = pytest.importorskip("resource")  # of POSIX systems
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, before[1]))
    try:
        with pytest.raises(OSError, match="large") as raised:
            write_array(tmp_path / "large.npy", values)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert is_disk_full(raised.value)
