"""Settings of simulated MEG, checked before anything is made."""

from dataclasses import dataclass

from neuroclip_hf.data.simulation.sensors import Sensors, meg_sensors
from neuroclip_hf.data.simulation.settings import SimulationSettings


@dataclass(frozen=True)
class MegSettings(SimulationSettings):
    """How much MEG is simulated, and how hard it is: the settings of [`SimulationSettings`], for a helmet of sensors.

    What the sensors see, and their number, is ours; pictures are shown as in THINGS-EEG2. (THINGS-MEG has 272
    gradiometers, 12 sessions, and a picture every 1.5 s.) A channel's 1/f activity, to which `snr` refers, is 160
    femtotesla.
    """

    channels: tuple[str, ...] = meg_sensors().names

    @property
    def sensors(self) -> Sensors:
        """All sensors from which `channels` are chosen."""
        return meg_sensors()
