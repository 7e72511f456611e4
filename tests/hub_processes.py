"""A running stand-in of the Hub, and processes that take it for the Hub."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_contents import READER, STRANGER, WRITER

TOKENS = {"writer": WRITER, "reader": READER, "stranger": STRANGER}
IMPATIENT = "import time\ntime.sleep = lambda seconds: None\n"
"""The libraries wait half a minute before they give a connection up; nothing is gained by that here."""
VERBS = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from neuroclip_hf.cli.main import main
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@dataclass(frozen=True)
class Done:
    """What a process left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> Any:
        """The last line that it printed, as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out.splitlines()[-1])

    @property
    def complaint(self) -> str:
        """The one message of a verb that refused."""
        assert self.code == 2, f"exit code {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err, self.err
        (message,) = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        return message


class Hub:
    """A stand-in in a process of its own, and a folder with the caches of those who talk to it.

    Args:
        folder: where the caches are.
        run: runs their programs, see `forks.py`.
    """

    def __init__(self, folder: Path, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        self.folder, self._run = folder, run
        command = [sys.executable, str(Path(__file__).with_name("hub_stand_in.py"))]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self._server.stdout.readline().strip()

    def close(self) -> None:
        self._server.communicate(timeout=60)

    def state(self, **faults: Any) -> dict[str, Any]:
        """Requests since the last change, commits and private repositories; `faults` set what goes wrong from now."""
        data = json.dumps(faults).encode() if faults else None
        with urllib.request.urlopen(f"{self.url}/_stand_in", data, timeout=60) as answer:
            return json.load(answer)

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.state(cut_uploads_after=None)

    def python(
        self, program: str, *arguments: object, who: str | None = "writer", home: str = "home", offline: bool = False
    ) -> Done:
        """Run a program.

        Args:
            program: its text.
            arguments: its `sys.argv[1:]`.
            who: whose token it has; None for nobody's.
            home: name of its caches; an empty one for a name that was not used before.
            offline: whether it may ask the Hub.
        """
        taken = ("HF_", "HUGGING", "NEUROCLIP")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
        environment |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(self.folder / home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **({"HF_TOKEN": TOKENS[who]} if who else {}),
            **({"HF_HUB_OFFLINE": "1"} if offline else {}),
        }
        done = self._run(IMPATIENT + program, *arguments, environment=environment, cwd=self.folder)
        assert not [token for token in TOKENS.values() if token in done.stdout + done.stderr], "a token was printed"
        return Done(done.returncode, done.stdout, done.stderr)

    def neuroclip(self, *arguments: object, **options: Any) -> Done:
        """Run `neuroclip ARGUMENTS`; `options` as for `python`."""
        return self.verbs(arguments, **options)[0]

    def verbs(self, *commands: Sequence[object], **options: Any) -> list[Done]:
        """Run several commands of `neuroclip`, one after the other in one process."""
        words = [list(map(str, command)) for command in commands]
        done = self.python(VERBS, json.dumps(words), **options)
        assert done.code == 0, done.err
        return [Done(*json.loads(line)) for line in done.out.splitlines()]
