"""One logger, one verbosity switch and one progress bar for the package. All of it goes to stderr."""

import logging
import os
import sys
from collections.abc import Iterable
from typing import Any

from neuroclip_hf.errors import InputError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_progress_bars = True


def get_logger() -> logging.Logger:
    """The package's logger; it prints nothing below warnings until [`set_verbosity`] is called."""
    return logging.getLogger("neuroclip_hf")


class _StderrHandler(logging.StreamHandler[Any]):
    """Looks `sys.stderr` up whenever it prints, so that a redirected one is respected."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def set_verbosity(level: str) -> None:
    """Choose what is printed: "debug", "info", "warning" or "error" (which also hides progress bars).

    Raises:
        InputError: for another level.
    """
    global _progress_bars
    if level not in LEVELS:
        raise InputError(f"verbosity is {level!r}: choose one of {', '.join(LEVELS)}.")
    logger = get_logger()
    if not logger.handlers:
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(LEVELS[level])
    _progress_bars = level != "error"


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> Any:
    """A `tqdm` bar on stderr; shown only on a terminal, or always with NEUROCLIP_PROGRESS=1."""
    from tqdm.auto import tqdm

    shown = _progress_bars and (sys.stderr.isatty() or os.environ.get("NEUROCLIP_PROGRESS") == "1")
    return tqdm(iterable, disable=not shown, file=sys.stderr, dynamic_ncols=True, leave=False, **options)
