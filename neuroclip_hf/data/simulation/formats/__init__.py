"""The formats in which a simulated THINGS-EEG2 can be written, so that every reader has something to read."""

from neuroclip_hf.data.simulation.formats.base import Format, Simulation
from neuroclip_hf.data.simulation.formats.brainvision import BrainVision
from neuroclip_hf.data.simulation.formats.containers import NeuroBridge, Nice, Release, Ubp
from neuroclip_hf.data.simulation.formats.raw import Raw
from neuroclip_hf.errors import InputError

__all__ = ["DEFAULT_FORMAT", "FORMATS", "Format", "Simulation", "choose_format"]

FORMATS: dict[str, Format] = {
    form.name: form for form in (Raw(), BrainVision(), Release(), Nice(), Ubp(), NeuroBridge())
}
"""All formats by name."""
DEFAULT_FORMAT = Raw.name


def choose_format(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: with the list, for a name that is none.
    """
    if name not in FORMATS:
        raise InputError(f"format is {name!r}: choose one of {', '.join(FORMATS)}.")
    return FORMATS[name]
