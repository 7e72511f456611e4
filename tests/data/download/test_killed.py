"""A download that is killed outright goes on with the same command."""

import os
import signal
import subprocess
import sys
import time

import pytest

# The real files need more room than a machine that runs tests may have.
PROGRAM = """
import shutil, sys
from types import SimpleNamespace
from neuroclip_hf.cli.main import main
shutil.disk_usage = lambda path: SimpleNamespace(free=10**12)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_while_downloading_the_same_command_goes_on(server, zipped, tmp_path):
    name = "sub-01/ses-01/raw_eeg_training.npy"
    recorded = os.urandom(3_000_000)
    whole = server.files["sub-01.zip"] = zipped({name: recorded})
    server.script = ["stall 2000000"]
    words = ["download", "things-eeg2", "--what", "raw", "--to", str(tmp_path / "to"), "--mirror", server.address]
    command = [sys.executable, "-c", PROGRAM, *words]
    part = tmp_path / "to" / ".downloads" / "sub-01.zip.part"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 300
        while not (part.is_file() and part.stat().st_size) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    left = part.stat().st_size
    assert 0 < left <= 2_000_000
    assert part.read_bytes() == whole[:left]
    assert not (tmp_path / "to" / "sub-01").exists()

    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [request[1] for request in server.requests] == [None, f"bytes={left}-"]
    assert "resumed" in done.stdout
    assert (tmp_path / "to" / name).read_bytes() == recorded
