"""Checks that the settings of all simulations share. Every one raises `InputError` with name, value and remedy."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from neuroclip_hf.data.simulation.concepts import NUMBER_OF_CONCEPTS
from neuroclip_hf.errors import InputError

Settings = TypeVar("Settings")


def settings_from(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Settings of a dataclass from names and values; a misspelt name is refused with the list of the right ones."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise InputError(f"{name} is no setting of a simulation: there are {', '.join(known)}.")
    return kind(**values)


def make_tuples(settings: Any, names: Iterable[str]) -> None:
    """Turn the lists among a frozen dataclass's values into tuples; for its `__post_init__`."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InputError(f"{name} are {value!r}: give a list of them.")
        object.__setattr__(settings, name, tuple(value))


def check_whole_numbers(settings: Any, limits: Iterable[tuple[str, int, int]]) -> None:
    """Refuse what is no whole number between its limits; every entry of a tuple is checked.

    Args:
        settings: a dataclass.
        limits (iterable of `tuple`): name of a value, least, most.
    """
    for name, least, most in limits:
        value = getattr(settings, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, bool) or not isinstance(one, int) or not least <= one <= most:
                raise InputError(f"{name} is {one!r}: it must be a whole number from {least} to {most}.")


def check_number(settings: Any, name: str, least: float, most: float) -> None:
    """Refuse a value that is no number between its limits."""
    value = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}: it must be a number from {least} to {most}.")


def check_no_repetition(settings: Any, names: Iterable[str]) -> None:
    """Refuse tuples that are empty or hold something twice."""
    for name in names:
        values = getattr(settings, name)
        if not values or len(set(values)) != len(values):
            raise InputError(f"{name} are {values!r}: name at least one, and none twice.")


def check_concepts(concepts: int, test_concepts: int) -> None:
    """Refuse more concepts than there are."""
    if concepts + test_concepts > NUMBER_OF_CONCEPTS:
        raise InputError(
            f"concepts is {concepts} and test_concepts {test_concepts}: there are {NUMBER_OF_CONCEPTS} in all, "
            "so ask for fewer."
        )
