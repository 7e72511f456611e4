"""How datasets that count their subjects name them."""

import re


def subject_folder(subject: int) -> str:
    """The folder name of a subject: "sub-01"."""
    return f"sub-{subject:02d}"


def subject_number(name: str) -> int | None:
    """The number of a subject that is called "sub-01" or "1"; None for other names."""
    found = re.fullmatch(r"(?:sub-)?(\d+)", name)
    return int(found.group(1)) if found else None
