"""Docstrings in the form that Hugging Face's libraries use, made readable for griffe, which knows Google's.

[`Name`] links to where the site documents that name; "name (`type`, *optional*):" and "`type`: what is returned" lose
their marks; an example becomes code.
"""

import re
from pathlib import Path
from typing import Any

import griffe

DOCS = Path(__file__).resolve().parents[1]
_NAMED = re.compile(r"\[`([\w.]+)(?:\(\))?`\](?![\[(])")
_TYPED = re.compile(r"^(\s+\**\w[\w, *]* )\(([^\n]*?)\):", re.MULTILINE)
_RETURNED = re.compile(r"(Returns:\n\s+)`([^`\n]+)`(?=:)")
_EXAMPLE = re.compile(r"^(\s*)Example:$", re.MULTILINE)
_DOCUMENTED = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
_MARKS = str.maketrans("", "", "`*")


def documented() -> dict[str, str]:
    """The last part of every name that a page of the API documents, and the name in full."""
    pages = sorted(DOCS.rglob("*.md"))
    names = [name for page in pages for name in _DOCUMENTED.findall(page.read_text(encoding="utf-8"))]
    return {name.rpartition(".")[2]: name for name in names}


class References(griffe.Extension):
    """Rewrites the docstring of every object; a name that no page documents stays plain code."""

    def __init__(self) -> None:
        super().__init__()
        self.homes = documented()

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring; griffe calls this for each."""
        if obj.docstring is not None:
            plain = _TYPED.sub(lambda found: f"{found[1]}({found[2].translate(_MARKS)}):", obj.docstring.value)
            plain = _EXAMPLE.sub(r"\1Examples:", _RETURNED.sub(r"\1\2", plain))
            obj.docstring.value = _NAMED.sub(self._linked, plain)

    def _linked(self, found: re.Match[str]) -> str:
        home = self.homes.get(found[1].rpartition(".")[2])
        return f"`{found[1]}`" if home is None else f"[`{found[1]}`][{home}]"
