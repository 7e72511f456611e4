"""Sections of the repository's documents, as they stand on a page of the site."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

_HEADING = re.compile(r"^(#{1,6}) (.+)$")
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
TOP = "(top)"
# Where the site has what a document links to; other files of the repository are named without a link.
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md", "README.md": "index.md"}


def section(path: Path, heading: str, page: str) -> str:
    """What stands below a heading and above the first subheading or the next heading of its level.

    Args:
        path (`Path`): a document of the repository.
        heading (`str`): without its number signs; "(top)" for what stands above the first section.
        page (`str`): path below `docs` of the page that takes it in.

    Raises:
        ValueError: if the document has no such heading.
    """
    found = [text for title, text in _parts(path.read_text(encoding="utf-8")) if title == heading]
    if not found:
        raise ValueError(f"{page}: {path.name} has no heading {heading!r}.")
    return _relink(found[0], page)


def document(path: Path, page: str) -> str:
    """A whole document but its title, its links as the page needs them."""
    _, _, text = path.read_text(encoding="utf-8").partition("\n")
    return _relink(text.strip(), page)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Each heading with what stands directly below it; the title's comes first, under "(top)"."""
    title, lines, fenced = TOP, [], False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading is None:
            lines.append(line)
        elif len(heading[1]) > 1:
            yield title, "\n".join(lines).strip()
            title, lines = heading[2], []
    yield title, "\n".join(lines).strip()


def _relink(text: str, page: str) -> str:
    here = posixpath.dirname(page) or "."

    def linked(found: re.Match[str]) -> str:
        name, hash_sign, anchor = found[1].partition("#")
        target = PAGES.get(name) or (name.removeprefix("docs/") if name.startswith("docs/") else None)
        if target is None:
            raise ValueError(f"{page}: the site has no page for the link to {found[1]}.")
        return f"]({posixpath.relpath(target, here)}{hash_sign}{anchor})"

    return _LINK.sub(linked, text)
