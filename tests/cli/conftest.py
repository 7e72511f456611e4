"""Run a verb in this process, and look at what it prints where."""

import json
from dataclasses import dataclass

import pytest

from neuroclip_hf.cli.main import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def result(self):
        """The one JSON line of stdout."""
        assert self.code == 0, self.err
        assert self.out.endswith("\n")
        (line,) = self.out.splitlines()
        return json.loads(line)


@pytest.fixture
def neuroclip(capfd):
    """Run `neuroclip ARGUMENTS`; what the process printed is in the outcome."""

    def run(*arguments):
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def refused(neuroclip):
    """Run a verb that must end with exit code 2 and one message without a traceback; returns the message."""

    def run(*arguments):
        outcome = neuroclip(*arguments)
        assert outcome.code == 2
        assert outcome.out == ""
        assert outcome.err.startswith("Error: ")
        assert "Traceback" not in outcome.err
        return outcome.err

    return run
