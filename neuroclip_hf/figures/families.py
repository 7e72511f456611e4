"""Which family a concept belongs to."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from neuroclip_hf.data.simulation.concepts import COLOURS, PARTS, SHAPES, TEXTURES
from neuroclip_hf.errors import InputError

FEW = 12
"""So many concepts are families themselves (ours): their names can still be read beside a table."""
_SIMULATED = re.compile(
    rf"(?:\d+_)?(?P<colour>{'|'.join(COLOURS)})_(?:{'|'.join(TEXTURES)})_(?P<shape>{'|'.join(SHAPES)})_with_"
    rf"(?:{'|'.join(PARTS)})"
)


def concept_families(concepts: Sequence[str], given: dict[str, str] | None = None) -> dict[str, dict[str, str]]:
    """Ways of sorting concepts into families: name of the way -> concept -> family.

    What is given is one; simulated concepts have two, colour and shape, which stand in their names; a few concepts are
    families themselves. Other concepts have none.

    Args:
        concepts (sequence of `str`): all that are to be sorted.
        given (`dict` from `str` to `str`, *optional*): concept -> family, from [`read_families`].

    Raises:
        InputError: if what is given lacks a concept.
    """
    names = sorted(set(concepts))
    if given is not None:
        lacking = [name for name in names if name not in given]
        if lacking:
            raise InputError(
                f"the families name none for {len(lacking)} concepts ({', '.join(lacking[:3])}): add a line for each."
            )
        return {"family": {name: given[name] for name in names}}
    if len(names) <= FEW:
        return {"concept": {name: name for name in names}}
    parts = {name: _SIMULATED.fullmatch(name) for name in names}
    if not all(parts.values()):
        return {}
    return {kind: {name: part[kind] for name, part in parts.items() if part} for kind in ("colour", "shape")}


def read_families(path: str | Path) -> dict[str, str]:
    """Read a CSV file with the columns `concept` and `family`.

    Raises:
        InputError: if it cannot be read so.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["concept"].strip(): row["family"].strip() for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read as families ({error}): it is a CSV file with the columns concept and family."
        ) from None
