"""Names that tell the results of one figure apart."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.page.reading import REPRODUCTION, Result
from neuroclip_hf.files import read_json
from neuroclip_hf.run_files import PLAN_FILE

_MOST_NAMED = 4
_NONE = "none"


def names_of(results: Sequence[Result]) -> tuple[list[str], list[str]]:
    """A name for each result, and what parts those of one recipe.

    A reproduction is called by its recipe, a run by its folder; behind a name that comes twice stands the folder.

    Args:
        results (sequence of `Result`): with reports.

    Returns:
        The names, in the order of the results, and a sentence for each recipe that is there several times.

    Raises:
        InputError: if what a folder says of its reproduction is damaged.
    """
    short = [_short_name(result) for result in results]
    counts = Counter(short)
    names = [
        f"{name} ({result.name})" if counts[name] > 1 and result.kind == REPRODUCTION else name
        for name, result in zip(short, results, strict=True)
    ]
    alike = [[one for one in results if one.kind == REPRODUCTION and _short_name(one) == name] for name in counts]
    return names, [words for group in alike if len(group) > 1 and (words := _parted_by(group))]


def _short_name(result: Result) -> str:
    return str((result.report or {})["recipe"]) if result.kind == REPRODUCTION else result.name


def _parted_by(group: Sequence[Result]) -> str:
    """The settings in which reproductions of one recipe differ, as a sentence; empty where a folder does not say."""
    if not all((result.folder / PLAN_FILE).is_file() for result in group):
        return ""
    settings = [_settings(result) for result in group]
    every = dict.fromkeys(name for one in settings for name in one)
    values = {name: [one.get(name, _NONE) for one in settings] for name in every}
    differing = [f"{name} ({_listed(found)})" for name, found in values.items() if len(set(found)) > 1]
    who = f"The {_short_name(group[0])} of {_listed([result.name for result in group])}"
    if not differing:
        return f"{who} have the same settings."
    more = len(differing) - _MOST_NAMED
    shown = differing if more <= 0 else [*differing[:_MOST_NAMED], f"{more} more settings"]
    return f"{who} differ in {_listed(shown)}."


def _settings(result: Result) -> dict[str, str]:
    plan = read_json(result.folder / PLAN_FILE)
    if not isinstance(plan, dict) or not isinstance(plan.get("recipe"), dict):
        raise InputError(f"{result.folder / PLAN_FILE} holds no recipe: restore the file, or reproduce again.")
    others = {name: value for name, value in plan.items() if name != "recipe"}
    return dict(_entries({**plan["recipe"], **others}))


def _entries(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Values of nested dictionaries by dotted names."""
    if not isinstance(value, dict) or not value:
        yield name, _NONE if value in (None, {}, []) else str(value)
        return
    for key, inner in value.items():
        yield from _entries(inner, f"{name}.{key}" if name else str(key))


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
