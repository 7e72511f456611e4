"""What a stream is, wherever it comes from: what it says of itself, and blocks of samples and markers."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class StreamLost(Exception):
    """A stream cannot be found, or has ended; the text says which, and of what."""


@dataclass(frozen=True)
class StreamForm:
    """What a stream says of its samples.

    Args:
        name (`str`): of the stream, for messages.
        channel_names (`tuple[str, ...]`): in the order of the samples.
        kinds (`tuple[str, ...]`): of each channel as MNE names it ("eeg", "mag", "stim"); "" where that is not said.
        units (`tuple[str, ...]`): of each channel, "V", "uV", "T", ...; "" where that is not said, or not understood.
        sampling_rate (`float`): announced, in Hz.
        markers (`str`): name of the stream of markers that comes with it; "" where there is none.
    """

    name: str
    channel_names: tuple[str, ...]
    kinds: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate: float
    markers: str = ""


@dataclass(frozen=True)
class Marker:
    """An event: its name, and when it was, in seconds of the clock of the samples' times."""

    name: str
    time: float


@dataclass(frozen=True)
class Block:
    """What arrived at once.

    Args:
        values (`numpy.ndarray` of shape `(samples, channels)`): in the units of the stream; perhaps no sample.
        times (`numpy.ndarray` of shape `(samples,)`): when each was taken, in seconds.
        arrived (`float`): when the block was there, in seconds of `time.perf_counter`.
        markers (`list[Marker]`): that arrived, too.
    """

    values: NDArray[np.floating]
    times: NDArray[np.float64]
    arrived: float
    markers: list[Marker] = field(default_factory=list)


class StreamSource(Protocol):
    """Where blocks come from. Connecting again after a loss is up to who reads."""

    def connect(self, timeout: float) -> StreamForm:
        """Find the stream, within `timeout` seconds.

        Raises:
            StreamLost: if there is none.
            InputError: if there are several and nothing says which is meant, or it can never be read.
        """

    def read(self, timeout: float) -> Block:
        """What has arrived; waits up to `timeout` seconds for the first sample.

        Raises:
            StreamLost: if the stream has ended.
        """

    def close(self) -> None:
        """Let go of the stream; nothing happens where there is none."""
