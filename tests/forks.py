"""Programs in processes of their own that need not import the slowest libraries: each is a fork of one that has.

A program of a few lines takes seconds to import torch and what comes with it. Of the libraries that are imported here
none is Hugging Face's or ours: those read their settings when they are imported, so each program imports them itself.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

SLOW = (
    *("torch", "torch._dynamo", "torch.distributed.tensor", "torch.fx.experimental.symbolic_shapes"),
    *("scipy.linalg", "scipy.signal", "scipy.stats", "sklearn.linear_model", "sklearn.model_selection"),
    *("PIL.Image", "httpx2", "jinja2", "mne", "pandas", "psutil", "pyarrow.dataset", "pyarrow.parquet", "yaml"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "rich.console"),
)
NOT_YET = ("accelerate", "datasets", "huggingface_hub", "neuroclip_hf", "peft", "transformers")


class Forks:
    """Starts a process that imports `SLOW`, at the first program, and has it forked for every one."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def run(
        self, program: str, *arguments: object, environment: Mapping[str, str], cwd: Path, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -c PROGRAM ARGUMENTS` in a folder, without an input."""
        command = [sys.executable, "-c", program, *map(str, arguments)]
        if not hasattr(os, "fork"):
            return subprocess.run(
                command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
            )
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            asked = {"arguments": command[2:], "environment": dict(environment), "cwd": str(cwd)}
            code = self._ask({**asked, "out": str(out), "err": str(err), "timeout": timeout})
            return subprocess.CompletedProcess(command, code, out.read_text("utf-8"), err.read_text("utf-8"))

    def close(self) -> None:
        """Let the process go."""
        if self._server is not None:
            self._server.communicate(timeout=60)

    def _ask(self, asked: dict[str, Any]) -> int:
        if self._server is None:
            # The clone that is tested, whichever one is installed.
            path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
            self._server = subprocess.Popen(
                [sys.executable, __file__],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


def serve() -> None:
    """Import, and fork for every line of the input."""
    for name in SLOW:
        import_module(name)
    assert not sys.modules.keys() & set(NOT_YET), "a library of SLOW has read the settings of one of NOT_YET"
    gc.freeze()  # else every child would get a copy of all that is there by looking through it
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            code = become(asked)
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # taking the interpreter down would take a second
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def become(asked: dict[str, Any]) -> int:
    """Take over what the program was given, run it as Python runs what follows `-c`, and return its exit code."""
    signal.alarm(round(asked["timeout"]))  # ends the process
    for path, number in ((os.devnull, 0), (asked["out"], 1), (asked["err"], 2)):
        place = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY)
        os.dup2(place, number)
        os.close(place)
    sys.stdin = os.fdopen(0)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    program, *sys.argv[1:] = asked["arguments"]
    sys.argv[0], sys.path[0] = "-c", ""
    main = sys.modules["__main__"] = ModuleType("__main__")
    try:
        exec(compile(program, "<string>", "exec"), main.__dict__)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
