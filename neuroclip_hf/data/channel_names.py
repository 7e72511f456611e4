"""Which electrode a channel's name means, whatever a recorder wrote around it."""

import re
from collections.abc import Sequence

from neuroclip_hf.errors import InputError

_MODALITY = re.compile(r"^eeg[\s:_-]+")
_REFERENCE = re.compile(r"[\s_-]+(ref|le|avg|av|ar|car|a1|a2|m1|m2)$")
_OLD_NAMES = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
"""Four electrodes of the 10-20 system, which the 10-10 system names anew."""


def plain_name(name: str) -> str:
    """A channel's name as it is compared: in small letters, without what a recorder puts around it.

    "EEG Fp1-REF", "FP1", "Fp1." and "fp1" are one electrode, as are "T3" and "T7". What stands behind a hyphen is
    taken off only if it is a common reference (ours: an ear, a mastoid, an average): "Fp1-F7" is another signal.
    """
    plain = re.sub(r"\s+", " ", name.strip().lower()).rstrip(".")
    plain = _REFERENCE.sub("", _MODALITY.sub("", plain)).rstrip(".").replace(" ", "")
    return _OLD_NAMES.get(plain, plain)


def match_channels(wanted: Sequence[str], found: Sequence[str], what: str) -> dict[str, str]:
    """Find channels by name, or where a name is spelt otherwise, by what it means ([`plain_name`]).

    Args:
        wanted (sequence of `str`): names to find.
        found (sequence of `str`): names that there are.
        what (`str`): whose they are, for messages.

    Returns:
        Wanted name -> the name it is found under; without those that are not there.

    Raises:
        InputError: if a wanted name is there twice, or several names mean it.
    """
    there, asked = set(found), set(wanted)
    spelt: dict[str, list[str]] = {}
    for name in found:
        if name not in asked:
            spelt.setdefault(plain_name(name), []).append(name)
    matched: dict[str, str] = {}
    used: set[str] = set()
    for name in wanted:
        candidates = [name] * list(found).count(name) if name in there else spelt.get(plain_name(name), [])
        if len(candidates) > 1:
            raise InputError(
                f"{what}: channel {name} could be any of {', '.join(candidates)}: leave one of them, or "
                "rename the others."
            )
        if candidates and candidates[0] not in used:
            matched[name] = candidates[0]
            used.add(candidates[0])
    return matched
