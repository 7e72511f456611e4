"""Texts by name, as captions of pictures and words of categories are given."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json


def read_texts(path: Path) -> dict[str, str]:
    """Texts by name, from JSON or a CSV of two columns (tabs where the name ends in .tsv).

    Raises:
        InputError: for anything else, an empty text, or a name that comes twice.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        pairs: list[tuple[Any, Any]] = []
        for number, row in enumerate(read_rows(path), start=1):
            if len(row) != 2:
                raise InputError(f"{path}, line {number}: {len(row)} columns, not 2 (name and text).")
            pairs.append((row[0].strip(), row[1].strip()))
        twice, count = Counter(name for name, _ in pairs).most_common(1)[0] if pairs else ("", 0)
        if count > 1:
            raise InputError(f"{path}: {twice!r} comes twice: give each one text.")
        found = dict(pairs)
    else:
        found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(text, str) and text for text in found.values()):
        raise InputError(f"{path} must hold one text by name, none of them empty.")
    return found


def read_rows(path: Path) -> list[list[str]]:
    """Rows of a CSV that are not empty (tabs where the name ends in .tsv).

    Raises:
        InputError: if the file cannot be read as one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [row for row in csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",") if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table ({error}): correct it.") from None
