"""What a page of the site takes from elsewhere, put in where the page says so.

A line `{{ section FILE: Heading }}` becomes that section of a document of the repository, `{{ document FILE }}` a
whole document without its title, `{{ docstring NAME }}` what a docstring says, `{{ recipes }}` every recipe and
`{{ verbs }}` every verb of the command line: what stands there is written in one place, and the site cannot lag
behind it.
"""

import re
from pathlib import Path
from typing import Any

from recipes import recipe_pages
from sections import document, section
from verbs import verb_pages

ROOT = Path(__file__).resolve().parents[2]
_SAID = """::: {name}
    options:
      show_root_heading: false
      show_root_toc_entry: false
      show_signature: false"""
_WANTED = re.compile(
    r"^\{\{ (section|document|docstring|recipes|verbs)(?: ([^:}]+?)(?:: (.+?))?)? \}\}$", re.MULTILINE
)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in a page; MkDocs calls this before it renders one."""
    return fill(markdown, page.file.src_uri)


def fill(markdown: str, page: str) -> str:
    """A page's markdown with all that it asks for in its place.

    Args:
        markdown (`str`): of the page.
        page (`str`): its path below `docs`, from which links are counted.
    """
    return _WANTED.sub(lambda wanted: _filled(page, *wanted.groups()), markdown)


def _filled(page: str, what: str, name: str | None, heading: str | None) -> str:
    if what == "recipes":
        return recipe_pages(ROOT / "neuroclip_hf" / "recipes")
    if what == "verbs":
        return verb_pages()
    if name is None:
        raise ValueError(f"{page}: {what} of which document?")
    if what == "docstring":
        return _SAID.format(name=name)
    if what == "document":
        return document(ROOT / name, page)
    if heading is None:
        raise ValueError(f"{page}: which section of {name}?")
    return section(ROOT / name, heading, page)
