"""Made-up recordings of drawn pictures, in the real on-disk layouts; everything follows from a seed.

Names are loaded when they are first used, so that the command line's help need not wait for signal processing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuroclip_hf.data.simulation.god import simulate_god
    from neuroclip_hf.data.simulation.god_settings import GodSettings
    from neuroclip_hf.data.simulation.meg import simulate_meg
    from neuroclip_hf.data.simulation.meg_settings import MegSettings
    from neuroclip_hf.data.simulation.settings import SimulationSettings
    from neuroclip_hf.data.simulation.things_eeg2 import planted_codes, simulate_things_eeg2

__all__ = [
    "GodSettings",
    "MegSettings",
    "SimulationSettings",
    "planted_codes",
    "simulate_god",
    "simulate_meg",
    "simulate_things_eeg2",
]
_HOMES = {
    "GodSettings": "god_settings",
    "MegSettings": "meg_settings",
    "SimulationSettings": "settings",
    "planted_codes": "things_eeg2",
    "simulate_god": "god",
    "simulate_meg": "meg",
    "simulate_things_eeg2": "things_eeg2",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
