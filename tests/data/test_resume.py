"""A preparation that is killed and started again goes on where it was, and ends with the same bytes."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulated import CAPTIONS_FILE
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.sources import resume
from neuroclip_hf.data.sources.layouts import LAYOUTS
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_writer import StoreWriter
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json

SMALL = {
    "channels": ("P7", "Oz", "O2"),
    "subjects": (1, 2),
    "concepts": 4,
    "test_concepts": 2,
    "images_per_concept": 2,
    "train_repeats": 2,
    "test_repeats": 4,
    "sessions": 2,
    "image_size": 16,
    "sampling_rate": 250,
}
SESSIONS = ["sub-01/ses-01", "sub-01/ses-02", "sub-02/ses-01", "sub-02/ses-02"]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed in a fork of this one")


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sources")
    for name in ("raw", "nice"):
        simulate_things_eeg2(root / name, format=name, **SMALL)
    return {name: root / name for name in ("raw", "nice")}


def prepare(source: Path, out: Path, **options) -> Path:
    return prepare_things_eeg2(source, out, **{"channels": ["all"], **options})


def beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir() if path.name.startswith((".store", "store")))


def logged(out: Path) -> list[str]:
    """What the log beside a store says, without times."""
    lines = out.with_name("store.log").read_text().splitlines()
    return [line.split("UTC  ")[1].split(":")[0] for line in lines]


def killed(work, owner, name: str, count: int, before: bool) -> None:
    """Do `work` in another process, which dies by SIGKILL before or after the `count`-th call of `owner.name`."""
    child = os.fork()
    if child == 0:
        real, calls = getattr(owner, name), []

        def dying(*arguments, **options):
            calls.append(1)
            if before and len(calls) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **options)
            if len(calls) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, dying)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{name} was not called {count} times"


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the recordings and containers that were opened."""
    names = []
    for kind in {type(layout) for layout in LAYOUTS.values()}:
        real = kind.open

        def counting(self, what, *rest, real=real):
            names.append(str(getattr(what, "path", what)))
            return real(self, what, *rest)

        monkeypatch.setattr(kind, "open", counting)
    return names


POINTS = [
    (StoreWriter, "add_trials", 1, True, 8),
    (StoreWriter, "add_trials", 2, False, 8),  # all of the first session, without its record
    (StoreWriter, "add_trials", 4, False, 6),  # all of the second, likewise
    (StoreWriter, "add_trials", 6, False, 4),  # in the middle of the third session
    (resume, "write_json", 1, True, 8),  # after job.json, before the first record
    (resume, "write_json", 2, False, 4),  # after the second
    (StoreWriter, "add_covariances", 2, True, 0),
    (StoreWriter, "add_picture", 5, False, 0),
    (StoreWriter, "finish", 1, True, 0),
    (StoreWriter, "finish", 1, False, 0),
    (Path, "rename", 1, True, 0),
]


@needs_fork
@pytest.mark.parametrize(("owner", "name", "count", "before", "left"), POINTS)
def test_killed_and_started_again(sources, tmp_path, snapshot, opened, owner, name, count, before, left):
    whole = prepare(sources["raw"], tmp_path / "whole" / "store")
    out = tmp_path / "killed" / "store"
    killed(lambda: prepare(sources["raw"], out), owner, name, count, before)
    assert not out.exists()
    opened.clear()
    prepare(sources["raw"], out)
    assert snapshot(out) == snapshot(whole)
    assert len(opened) == left + 1  # one is looked at for its channels
    assert beside(out) == ["store", "store.log"]


@needs_fork
def test_killed_when_all_was_done(sources, tmp_path, snapshot, caplog):
    out = tmp_path / "killed" / "store"
    killed(lambda: prepare(sources["raw"], out), Path, "rename", 1, False)
    whole = snapshot(out)
    assert TrialStore(out).subjects == ["sub-01", "sub-02"]
    assert beside(out) == [".store.unfinished", "store", "store.log"]
    with pytest.raises(InputError, match="store already exists"):
        prepare(sources["raw"], out, subjects=[1])
    assert beside(out) == [".store.unfinished", "store", "store.log"]
    caplog.set_level("INFO", logger="neuroclip_hf")
    prepare(sources["raw"], out)
    assert "store is complete: it was made with the same settings from the same files" in caplog.text
    assert beside(out) == ["store", "store.log"]
    prepare(sources["raw"], out, overwrite=True)
    assert snapshot(out) == whole


@pytest.mark.parametrize("name", ["raw", "nice"])
def test_the_same_command_again_touches_nothing(sources, tmp_path, opened, name):
    out = prepare(sources[name], tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    opened.clear()
    assert prepare(sources[name], out) == out
    assert len(opened) == 1  # it is looked at for its channels
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def change_picture(data: Path) -> None:
    one, other = sorted((data / "training_images").rglob("*.jpg"))[:2]
    shutil.copy(other, one)


def change_captions(data: Path) -> None:
    write_json(data / CAPTIONS_FILE, {})


def swap_sessions(data: Path) -> None:
    shutil.copy(things_eeg2.raw_path(data, 1, 1, "test"), things_eeg2.raw_path(data, 1, 2, "test"))


@pytest.mark.parametrize(
    ("change", "options", "differs"),
    [
        (None, {"channels": ["P7"]}, "its channels are other than what is asked for"),
        (None, {"whitening": "none"}, "its unit is other than what is asked for"),
        (None, {"subjects": [1]}, "it was made from other files"),
        (None, {"epochs": EpochSettings(sampling_rate=50.0)}, "its sampling_rate is other"),
        (swap_sessions, {}, r"raw_eeg_test\.npy has changed since"),
        (change_picture, {}, r"\.jpg has changed since"),
        (change_captions, {}, r"captions\.json has changed since"),
    ],
)
def test_another_store_is_not_taken_for_the_one_asked_for(sources, tmp_path, snapshot, change, options, differs):
    data = Path(shutil.copytree(sources["raw"], tmp_path / "data"))
    out = prepare(data, tmp_path / "store")
    whole = snapshot(out)
    if change is not None:
        change(data)
    with pytest.raises(InputError, match=rf"store already exists: pass --overwrite .*{differs}"):
        prepare(data, out, **options)
    assert snapshot(out) == whole
    assert beside(out) == ["store", "store.log"]


def test_a_store_of_another_version_is_not_taken_either(sources, tmp_path, monkeypatch):
    out = prepare(sources["nice"], tmp_path / "store")
    monkeypatch.setattr("neuroclip_hf.data.sources.finished.library_versions", lambda: {"numpy": "0"})
    with pytest.raises(InputError, match="it was made by other versions of the libraries"):
        prepare(sources["nice"], out)


@needs_fork
@pytest.mark.parametrize(
    ("name", "options", "count"), [("nice", {}, 3), ("raw", {"whitening": "training-subjects"}, 5)]
)
def test_other_preparations_go_on_too(sources, tmp_path, snapshot, opened, name, options, count):
    whole = prepare(sources[name], tmp_path / "whole" / "store", **options)
    out = tmp_path / "killed" / "store"
    killed(lambda: prepare(sources[name], out, **options), resume, "write_json", count, False)
    opened.clear()
    prepare(sources[name], out, **options)
    assert snapshot(out) == snapshot(whole)
    assert len(opened) == (1 + 1 if name == "nice" else 3 * 2 + 1)


@needs_fork
def test_killed_again_and_again(sources, tmp_path, snapshot):
    whole = prepare(sources["raw"], tmp_path / "whole" / "store")
    out = tmp_path / "killed" / "store"
    for place in (2, 2, 1, 2):  # a record a time, but for the third
        killed(lambda: prepare(sources["raw"], out), StoreWriter, "add_trials", 2 * place, False)
    prepare(sources["raw"], out)
    assert snapshot(out) == snapshot(whole)


def test_a_killed_command_goes_on(sources, tmp_path, snapshot):
    whole = prepare(sources["raw"], tmp_path / "whole" / "store")
    out = tmp_path / "killed" / "store"
    words = ["prepare", "things-eeg2", "--source", sources["raw"], "--channels", "all", "--out", out]
    command = [sys.executable, "-m", "neuroclip_hf.cli.main", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    parts = out.parent / ".store.unfinished" / "parts"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline and not list(parts.glob("0001.json")):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    quicker = out.exists()  # than this process
    finished = len(list(parts.glob("*.json"))) if parts.is_dir() else 0
    assert quicker or finished >= 2
    prepare(sources["raw"], out, overwrite=quicker)
    assert snapshot(out) == snapshot(whole)
    if not quicker:
        assert logged(out)[-1 - len(SESSIONS) + finished :] == [*SESSIONS[finished:], "finished"]
        assert logged(out)[-2 - len(SESSIONS) + finished] == f"went on after {SESSIONS[finished - 1]}"


@needs_fork
def test_another_command_starts_anew(sources, tmp_path, snapshot, caplog):
    out = tmp_path / "killed" / "store"
    for options in ({"channels": ["P7", "Oz", "O2"]}, {"subjects": [1]}, {"whitening": "none"}, {}):
        whole = prepare(sources["raw"], tmp_path / str(len(options)) / "store", overwrite=True, **options)
        killed(lambda: prepare(sources["raw"], out), resume, "write_json", 3, False)
        caplog.clear()
        prepare(sources["raw"], out, **options)
        assert ("was left by a preparation with other settings" in caplog.text) == ("whitening" in options)
        assert snapshot(out) == snapshot(whole)
        shutil.rmtree(out)


@needs_fork
def test_a_part_is_done_again_when_its_source_changed(sources, tmp_path, snapshot, opened):
    data = Path(shutil.copytree(sources["raw"], tmp_path / "data"))
    out = tmp_path / "killed" / "store"
    killed(lambda: prepare(data, out), StoreWriter, "finish", 1, False)
    other = things_eeg2.raw_path(sources["raw"], 2, 2, "test")
    shutil.copy(other, things_eeg2.raw_path(data, 2, 1, "test"))
    opened.clear()
    prepare(data, out)
    assert len(opened) == 1 + 2 * 2  # both sessions of the second subject
    assert snapshot(out) == snapshot(prepare(data, tmp_path / "whole" / "store"))


def test_what_was_finished_is_kept_after_an_error(sources, tmp_path, snapshot, opened, caplog):
    whole = prepare(sources["raw"], tmp_path / "whole" / "store")
    data = Path(shutil.copytree(sources["raw"], tmp_path / "data"))
    out = tmp_path / "out" / "store"
    path = things_eeg2.raw_path(data, 2, 2, "train")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"sub-02/ses-02/raw_eeg_training\.npy"):
        prepare(data, out)
    assert "keeps the 3 parts that were finished: the same command goes on" in caplog.text
    shutil.copy(things_eeg2.raw_path(sources["raw"], 2, 2, "train"), path)
    opened.clear()
    prepare(data, out)
    assert len(opened) == 1 + 2
    assert snapshot(out) == snapshot(whole)


def test_a_full_disk_is_named_and_gone_on_from(sources, tmp_path, snapshot, monkeypatch):
    out = tmp_path / "store"
    real, calls = StoreWriter.sync, []

    def full(self):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self)

    monkeypatch.setattr(StoreWriter, "sync", full)
    with pytest.raises(InputError, match=r"the disk is full; free some space, and start again: .*\.store\.unfinished"):
        prepare(sources["raw"], out)
    assert not out.exists()
    assert len(list((tmp_path / ".store.unfinished" / "parts").glob("*.json"))) == 2
    prepare(sources["raw"], out)
    assert len(calls) == 5
    assert beside(out) == ["store", "store.log"]


@needs_fork  # and with it the limit
@pytest.mark.parametrize("largest", [1_000, 30_000])
def test_a_disk_that_fills_under_an_array_is_named(sources, tmp_path, largest):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        with pytest.raises(InputError, match=r"the disk is full; free some space, and start again\.$"):
            prepare(sources["raw"], tmp_path / "store")
        assert not (tmp_path / ".store.unfinished").exists()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_two_processes_do_not_meet(sources, tmp_path, monkeypatch):
    out = tmp_path / "store"
    real = StoreWriter.add_picture

    def meeting(self, *arguments):
        with pytest.raises(InputError, match="store is being made by another process: wait for it"):
            prepare(sources["raw"], out)
        return real(self, *arguments)

    monkeypatch.setattr(StoreWriter, "add_picture", meeting)
    prepare(sources["raw"], out)
    assert TrialStore(out).subjects == ["sub-01", "sub-02"]


def test_a_folder_that_is_not_ours_is_left_alone(sources, tmp_path):
    (tmp_path / ".store.unfinished").mkdir()
    (tmp_path / ".store.unfinished" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"\.store\.unfinished holds mine\.txt, which no preparation leaves there"):
        prepare(sources["raw"], tmp_path / "store")
    assert [path.name for path in tmp_path.rglob("*")] == [".store.unfinished", "mine.txt"]


def test_the_log_lies_beside_the_store_and_has_the_times(sources, tmp_path):
    out = prepare(sources["raw"], tmp_path / "store")
    assert logged(out) == [*SESSIONS, "finished"]
    assert not list(out.rglob("*.log"))


@needs_fork
def test_a_damaged_leftover_is_named_and_goes_where_it_may(sources, tmp_path, opened, snapshot, caplog):
    out = tmp_path / "killed" / "store"
    killed(lambda: prepare(sources["raw"], out), resume, "write_json", 2, False)
    array = out.parent / ".store.unfinished" / "store" / "sub-01" / "train.npy"
    array.write_bytes(array.read_bytes()[:-1000])
    message = r"\.store\.unfinished is damaged .*train.npy holds fewer than \d+ rows.*: remove it, or pass --overwrite"
    with pytest.raises(InputError, match=message):
        prepare(sources["raw"], out)
    opened.clear()
    prepare(sources["raw"], out, overwrite=True)
    assert "is damaged" in caplog.text
    assert len(opened) == 1 + 8
    assert snapshot(out) == snapshot(prepare(sources["raw"], tmp_path / "whole" / "store"))


def test_records_are_plain(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(StoreWriter, "finish", lambda self: (_ for _ in ()).throw(InputError("stop")))
    with pytest.raises(InputError, match="stop"):
        prepare(sources["raw"], tmp_path / "store")
    record = read_json(tmp_path / ".store.unfinished" / "parts" / "0001.json")
    assert (record["name"], record["group"]) == ("sub-01/ses-02", "sub-01")
    assert record["rows"] == {"sub-01/train.npy": 16, "sub-01/test.npy": 8}
    assert len(record["sources"]) == 2
    assert np.load(tmp_path / ".store.unfinished" / "parts" / "0001.npy", allow_pickle=False).shape == (3, 3)
