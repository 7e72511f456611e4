"""Units that recordings are given in, and what brings one into another."""

from neuroclip_hf.errors import InputError

VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "\u00b5V": 1e-6, "\u03bcV": 1e-6, "nV": 1e-9}  # micro sign, and Greek mu
TESLAS = {"T": 1.0, "pT": 1e-12, "fT": 1e-15}
OTHERS = ("sd", "au")  # whitened, and anything else
UNITS = ("V", "mV", "uV", "nV", *TESLAS, *OTHERS)
"""Those that messages name."""

_SCALES = {"V": VOLTS, "T": TESLAS}


def factor(given: str, wanted: str) -> float | None:
    """What a value in one unit is multiplied by to be in the other.

    Args:
        given (`str`): unit of the value.
        wanted (`str`): "V", "T", "sd" or "au".

    Returns:
        The factor; `None` where the two measure different things.

    Raises:
        InputError: for a unit that is not known.
    """
    known = {**VOLTS, **TESLAS}
    if given not in known and given not in OTHERS:
        raise InputError(f"unit is {given!r}: choose one of {', '.join(UNITS)}.")
    if given == wanted:
        return 1.0
    return _SCALES.get(wanted, {}).get(given)
