"""What a page is made of, before it is HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PageFigure:
    """A figure with what is said of it.

    Args:
        name (`str`): a short name, in letters and hyphens.
        title (`str`): what it is.
        caption (`str`): what is seen, of what, and against which chance.
        png (`bytes`): the picture.
        wide (`bool`): too wide for a telephone; scrolls inside its box there.
    """

    name: str
    title: str
    caption: str
    png: bytes
    wide: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table; columns of words are aligned left, those of numbers right.

    Args:
        title (`str`): what it is.
        header (sequence of `str`): names of the columns; empty for a table of names and values.
        rows (sequence of sequences of `str`): its cells.
        caption (`str`): what must be said beside it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass
class Section:
    """What one result gives.

    Args:
        title (`str`): of the result.
        lead (`str`): the first line: simulated or recorded, and the main numbers.
        simulated (`bool`): whether the recordings are.
        flags (`list[str]`): what a reader must know.
        tables (`list[PageTable]`): numbers.
        figures (`list[PageFigure]`): pictures.
        left_out (`list[str]`): figures that there are not, and why.
    """

    title: str
    lead: str
    simulated: bool
    flags: list[str] = field(default_factory=list)
    tables: list[PageTable] = field(default_factory=list)
    figures: list[PageFigure] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """All that a page says and shows.

    Args:
        title (`str`): of the page.
        lead (`str`): its first line.
        notes (sequence of `str`): what must be said of the whole page.
        overview (sequence of `PageFigure`): figures of several sections together.
        sections (sequence of `Section`): one a result.
    """

    title: str
    lead: str
    notes: Sequence[str]
    overview: Sequence[PageFigure]
    sections: Sequence[Section]

    @property
    def figures(self) -> list[PageFigure]:
        """Every figure, in the order of the page."""
        return [*self.overview, *(figure for section in self.sections for figure in section.figures)]

    @property
    def left_out(self) -> list[str]:
        """Figures that there are not, and why."""
        return [words for section in self.sections for words in section.left_out]
