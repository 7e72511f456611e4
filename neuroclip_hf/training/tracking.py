"""Where a training says how it goes, epoch by epoch: JSON lines always, TensorBoard or trackio where asked for."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import write_text
from neuroclip_hf.logging import get_logger

NONE, TENSORBOARD, TRACKIO = "none", "tensorboard", "trackio"
TRACKINGS = (NONE, TENSORBOARD, TRACKIO)

History = Sequence[Mapping[str, float]]


class Tracker(Protocol):
    """What [`neuroclip_hf.training.trainer.train`] tells of its epochs."""

    def log(self, history: History) -> None:
        """Take note of all epochs so far, an entry each: epoch, loss, and what validation gave."""

    def close(self) -> None:
        """Write what is left."""


class JsonLines:
    """An entry an epoch, as a line of JSON, in a file that is whole whenever it is read.

    Args:
        path (`Path`): of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def log(self, history: History) -> None:
        """See [`Tracker`]."""
        write_text(self._path, "".join(json.dumps(dict(entry)) + "\n" for entry in history))

    def close(self) -> None:
        """See [`Tracker`]."""


class AccelerateTracker:
    """One of Accelerate's trackers, told each epoch once by each process that trains.

    A training that goes on after a stop tells the epochs before it again, at the steps where they were. What the
    tracker prints is logged instead: standard output is for results.

    Args:
        tracker (`accelerate.tracking.GeneralTracker`): already opened.
        settings (`dict`): of the training, which it shows beside the curves.
    """

    def __init__(self, tracker: Any, settings: Mapping[str, Any]) -> None:
        self._tracker, self._told = tracker, 0
        with redirect_stdout(_ToLogger()):
            tracker.store_init_configuration(dict(settings))

    def log(self, history: History) -> None:
        """See [`Tracker`]."""
        for entry in history[self._told :]:
            values = {name: value for name, value in entry.items() if name != "epoch"}
            with redirect_stdout(_ToLogger()):
                self._tracker.log(values, step=int(entry["epoch"]))
        self._told = len(history)

    def close(self) -> None:
        """See [`Tracker`]."""
        with redirect_stdout(_ToLogger()):
            self._tracker.finish()


class _ToLogger(io.TextIOBase):
    """A stream whose lines go to the package's logger, and so obey its one switch."""

    def write(self, text: str) -> int:
        for line in filter(str.strip, text.splitlines()):
            get_logger().info("%s", line)
        return len(text)


def open_tracker(kind: str, name: str, folder: Path, settings: Mapping[str, Any]) -> Tracker | None:
    """Open what a setting asks for.

    Args:
        kind (`str`): one of [`TRACKINGS`].
        name (`str`): of the run.
        folder (`Path`): where TensorBoard's files go.
        settings (`dict`): plain values, shown beside the curves.

    Raises:
        InputError: if the library is not installed.
    """
    if kind == NONE:
        return None
    flat = {key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in settings.items()}
    try:
        return AccelerateTracker(_OPENERS[kind](name, folder), flat)
    except ImportError:
        raise InputError(f"tracking={kind} needs a library that is not installed: pip install {kind}.") from None


def _tensorboard(name: str, folder: Path) -> Any:
    from accelerate.tracking import TensorBoardTracker

    return _opened(TensorBoardTracker(name, folder))


def _trackio(name: str, folder: Path) -> Any:
    import trackio  # here, since Accelerate's tracker would fail later, and in other words
    from accelerate.tracking import TrackioTracker

    class Tracker(TrackioTracker):
        def finish(self) -> None:
            trackio.finish()  # Accelerate's finishes the run alone, and trackio would do it again at exit, with words

    return _opened(Tracker(PROJECT, name=name))


PROJECT = "neuroclip"
"""Under which trackio files all runs."""


def _opened(tracker: Any) -> Any:
    with redirect_stdout(_ToLogger()):
        tracker.start()
    return tracker


_OPENERS: Mapping[str, Callable[[str, Path], Any]] = MappingProxyType({TENSORBOARD: _tensorboard, TRACKIO: _trackio})
