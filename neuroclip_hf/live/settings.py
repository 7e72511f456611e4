"""How a stream is read."""

from dataclasses import dataclass, field

import numpy as np

from neuroclip_hf.data.readers import fits_any, is_mark
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class LiveSettings:
    """How a stream is read.

    Args:
        unit (`str`, *optional*): of the samples, where the stream says none or a wrong one.
        interpolate (`bool`): interpolate electrodes that are missing or cannot be used, as MNE does.
        ignore (`tuple[str, ...]`): markers to leave out: names or patterns.
        rename (`dict[str, str]`): marker -> what it means.
        marker_delay (`float`): seconds from a marker to its picture's onset, as a photodiode measures them.
        jitter (`float`): seconds that the times of samples may stray from a steady rate (ours); beyond it samples
            were lost, or the rate is not the announced one.
        silence (`float`): seconds without a sample after which the stream is taken to have stopped (ours).
        wait (`float`): seconds to look for a stream, at the beginning and after it was lost.
    """

    unit: str | None = None
    interpolate: bool = False
    ignore: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    marker_delay: float = 0.0
    jitter: float = 0.02
    silence: float = 2.0
    wait: float = 30.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.marker_delay):
            raise InputError(f"marker_delay is {self.marker_delay}: give seconds.")
        for name in ("jitter", "silence", "wait"):
            value = getattr(self, name)
            if not 0 < value < np.inf:
                raise InputError(f"{name} is {value}: give seconds, more than none.")

    def meaning(self, marker: str) -> str | None:
        """What a marker means; None for one that is left out, as those are that name no picture in any recording."""
        left_out = is_mark(marker) or fits_any(marker, self.ignore)
        return None if left_out else self.rename.get(marker, marker)
