"""Units: factors known by hand, and those that do not lead to each other."""

import pytest

from neuroclip_hf.data.units import factor
from neuroclip_hf.errors import InputError


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ("V", "V", 1.0),
        ("mV", "V", 1e-3),
        ("uV", "V", 1e-6),
        ("\u00b5V", "V", 1e-6),
        ("\u03bcV", "V", 1e-6),
        ("nV", "V", 1e-9),
        ("pT", "T", 1e-12),
        ("fT", "T", 1e-15),
        ("sd", "sd", 1.0),
        ("au", "au", 1.0),
        ("uV", "T", None),
        ("sd", "V", None),
        ("V", "sd", None),
        ("V", "au", None),
    ],
)
def test_factors(given, wanted, expected):
    assert factor(given, wanted) == expected


def test_an_unknown_unit_is_named():
    with pytest.raises(InputError, match="unit is 'volt': choose one of V, mV, uV"):
        factor("volt", "V")
