"""The page of recipes, from the recipes themselves."""

from pathlib import Path

import yaml


def recipe_pages(folder: Path) -> str:
    """An overview of all recipes, and each file as it is, with its comments."""
    files = sorted(folder.glob("*.yaml"))
    rows = ["| recipe | kind | encoder | tower |", "|---|---|---|---|", *map(_row, files)]
    return "\n".join(rows) + "\n\n" + "\n\n".join(map(_whole, files))


def _row(path: Path) -> str:
    model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
    tower = f"`{model['tower']}`"
    return f"| [{path.stem}](#{path.stem}) | {model.get('kind', 'neuroclip')} | `{model['encoder']}` | {tower} |"


def _whole(path: Path) -> str:
    """The head comment as prose, then the settings with their own comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    said = " ".join(line.removeprefix("#").strip() for line in lines[:first])
    settings = "\n".join(lines[first:])
    return f"## {path.stem}\n\n{_escape(said)}\n\n```yaml\n{settings}\n```"


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("_", "\\_").replace("*", "\\*")
