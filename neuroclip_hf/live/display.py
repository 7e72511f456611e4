"""What a session finds, for eyes and for machines."""

import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import PurePath
from types import TracebackType
from typing import Any, Protocol, Self

from PIL import Image
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.gallery import EmbeddedGallery, Gallery
from neuroclip_hf.galleries.retrieving import Match, Retrieved
from neuroclip_hf.live.decoding import Answer, RunningDecoder
from neuroclip_hf.live.session import Notice
from neuroclip_hf.live.thumbnails import side_by_side, thumbnail

EVENTS_SHOWN, NOTICES_SHOWN = 8, 4
"""Lines of a terminal for the latest events and notices (ours)."""
PICTURES_SHOWN = 5
"""Thumbnails side by side (ours): so many fit into eighty columns."""


class Display(Protocol):
    """Shows answers and notices as they come; a context, which is left when the stream ends."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End."""

    def show(self, item: Answer | Notice) -> None:
        """One more."""


class _Plain:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        return None


class JsonLines(_Plain):
    """One line of JSON for each answer and notice, on stdout: `{"kind": "answer", ...}`, `{"kind": "notice", ...}`."""

    def show(self, item: Answer | Notice) -> None:
        """Print it."""
        print_line(as_plain(item))


class TextLines(_Plain):
    """One line of text for each, where stdout is no terminal."""

    def show(self, item: Answer | Notice) -> None:
        """Print it."""
        if isinstance(item, Notice):
            text = item.text
        else:
            best = ", ".join(f"{_short(one.image_id)} {one.score:.3f}" for one in item.mean.matches)
            text = f"{item.mean.name} (mean of {item.mean.trials}){_mark(item.mean)}: {best}"
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class Screen:
    """A table that changes in place: the best pictures of the latest event, the means so far, and notices.

    Args:
        decoder (`RunningDecoder`): whose gallery and means are shown.
        pictures (`Gallery`, *optional*): where the pictures of an index lie, which holds none itself.
        console (`rich.console.Console`, *optional*): by default of stdout.
    """

    def __init__(
        self, decoder: RunningDecoder, pictures: Gallery | None = None, console: Console | None = None
    ) -> None:
        # Names come from streams and files: [brackets] and :colons: in them are neither styles nor emoji.
        console = console or Console(file=sys.stdout, markup=False, emoji=False)
        self._decoder = decoder
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._latest: Answer | None = None
        self._notices: deque[str] = deque(maxlen=NOTICES_SHOWN)
        self._pictures: dict[str, Text] = {}
        embedded = decoder.embedded
        self._open_picture: Callable[[str], Image.Image] | None = None
        if pictures is not None:
            self._open_picture = pictures.open_picture
        elif isinstance(embedded, EmbeddedGallery):
            self._open_picture = embedded.gallery.open_picture

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Leave the last state on the terminal."""
        self._live.__exit__(kind, error, where)

    def show(self, item: Answer | Notice) -> None:
        """Draw it."""
        if isinstance(item, Notice):
            self._notices.append(item.text)
        else:
            self._latest = item
        self._live.update(self.render(), refresh=True)

    def render(self) -> RenderableType:
        """What is on the terminal now."""
        parts: list[RenderableType] = []
        if self._latest is not None:
            mean = self._latest.mean
            parts.append(Text(f"{mean.name}: mean of {mean.trials}, {1e3 * self._latest.latency:.1f} ms"))
            if self._open_picture is not None:
                parts.append(
                    side_by_side(
                        [(self._picture(one.image_id), _caption(one)) for one in mean.matches[:PICTURES_SHOWN]]
                    )
                )
            parts.append(self._table())
            right, known = self._decoder.right_so_far()
            if known:
                parts.append(Text(f"best is right for {right} of {known} events, {len(self._decoder.latest)} in all"))
        parts += [Text(text, style="yellow") for text in self._notices]
        return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("event", "repeats", "best", "cosine", ""):
            table.add_column(name, justify="right" if name in ("repeats", "cosine") else "left")
        latest = list(self._decoder.latest.values())
        for one in latest[-EVENTS_SHOWN:]:
            best = one.matches[0]
            table.add_row(
                Text(_short(one.name)), str(one.trials), Text(_short(best.image_id)), f"{best.score:.3f}", _mark(one)
            )
        return table

    def _picture(self, image_id: str) -> Text:
        if image_id not in self._pictures and self._open_picture is not None:
            try:
                self._pictures[image_id] = thumbnail(self._open_picture(image_id))
            except InputError:  # the folder may have lost it since the index was made
                self._pictures[image_id] = Text("no picture", style="yellow")
        return self._pictures[image_id]


def as_plain(item: Answer | Notice) -> dict[str, Any]:
    """An answer or a notice, as JSON can hold it."""
    if isinstance(item, Notice):
        return {"kind": "notice", "text": item.text}
    return {
        "kind": "answer",
        "event": item.mean.name,
        "repeats": item.mean.trials,
        "target": None if item.mean.target is None else asdict(item.mean.target),
        "mean": [asdict(one) for one in item.mean.matches],
        "single": [asdict(one) for one in item.single.matches],
        "latency_ms": round(1e3 * item.latency, 3),
    }


def print_line(line: dict[str, Any]) -> None:
    """One line of JSON, which a reader has at once."""
    sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")
    sys.stdout.flush()


def _short(name: str) -> str:
    return PurePath(name).stem or name


def _caption(match: Match) -> str:
    return f"{match.score:.3f} {'right ' if match.right else ''}{_short(match.image_id)}"


def _mark(found: Retrieved) -> str:
    right = found.matches[0].right
    return "" if right is None else " right" if right else " wrong"
