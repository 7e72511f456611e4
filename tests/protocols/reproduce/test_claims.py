"""A claim is held by one, named while it is held, and free again when its holder is gone."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.protocols.reproduce import claims
from neuroclip_hf.protocols.reproduce.claims import at_work, claim, holder_of, refuse_while_at_work

HOLDS = """
import sys, time
from pathlib import Path
from neuroclip_hf.protocols.reproduce.claims import claim
with claim(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path/a/.locks/x.y`."""
    path = tmp_path / "a" / ".locks" / "x.y"
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    yield path, process
    process.kill()
    process.wait()


def test_a_claim_is_held_by_one_process_and_named(holder):
    path, process = holder
    with claim(path) as mine:
        assert not mine
    assert holder_of(path) == f"process {process.pid} on {socket.gethostname()}"
    with claim(path.with_name("x.z")) as mine:
        assert mine
        assert holder_of(path.with_name("x.z")) == f"process {os.getpid()} on {socket.gethostname()}"
    assert holder_of(path.with_name("x.z")) is None


def test_a_killed_process_holds_nothing(holder):
    path, process = holder
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert path.with_name("x.y.holder").exists()  # its note is still there
    assert holder_of(path) is None
    with claim(path) as mine:
        assert mine


def test_a_folder_is_not_removed_under_somebody(holder, tmp_path):
    _, process = holder
    with pytest.raises(InputError, match=f"being worked in by process {process.pid} on"):
        refuse_while_at_work(tmp_path)
    process.kill()
    process.wait()
    refuse_while_at_work(tmp_path)
    with at_work(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()}"):
        refuse_while_at_work(tmp_path)
    refuse_while_at_work(tmp_path)
    assert not list((tmp_path / ".locks").iterdir())


def test_a_disk_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(self, timeout):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(claims.FileLock, "acquire", refuse)
    with pytest.raises(InputError, match=r"cannot be locked \(No locks available\)"), claim(tmp_path / "x"):
        pass
