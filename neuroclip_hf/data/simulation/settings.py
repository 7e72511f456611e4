"""Settings of a simulation, checked before anything is made."""

from dataclasses import asdict, dataclass
from typing import Any

from neuroclip_hf.data.simulation.checks import (
    check_concepts,
    check_no_repetition,
    check_number,
    check_whole_numbers,
    make_tuples,
)
from neuroclip_hf.data.simulation.concepts import NUMBER_OF_CONCEPTS
from neuroclip_hf.data.simulation.sensors import Sensors, eeg_sensors
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class SimulationSettings:
    """How much is simulated, and how hard it is. The real dataset's values are in `things_eeg2.FACTS`.

    Args:
        subjects (`tuple` of `int`): numbers of the subjects; a subject is the same whoever is simulated beside it.
        concepts (`int`): training concepts. More of them leave the test concepts as they are.
        test_concepts (`int`): test concepts, one picture each.
        images_per_concept (`int`): pictures of a training concept.
        train_repeats (`int`): showings of a training picture, in half the sessions (2 of 4).
        test_repeats (`int`): showings of a test picture, the same number in every session.
        sessions (`int`): of a subject; each has a training and a test recording.
        snr (`float`): root mean square of the part of the response that tells pictures apart (to codes of unit
            variance, over the occipital channels and 0.05 to 0.5 s, before adaptation) over that of a channel's 1/f
            activity (8 microvolts, before the reference is subtracted). 0 plants nothing.
        seed (`int`): equal seeds and settings give equal bytes.
        image_size (`int`): pixels a side.
        sampling_rate (`int`): in Hz. The real recordings have 1000; 250 is enough for all that is planted.
        channels (`tuple` of `str`): the channels, from the dataset's 63.
        bad_channels (`tuple` of `str`): those of `channels` that are really bad: nearly flat, very noisy and at times
            saturated, or drifting and popping. The others stay as they are, to the bit.

    Raises:
        InputError: for values that cannot be.
    """

    subjects: tuple[int, ...] = (1,)
    concepts: int = 40
    test_concepts: int = 20
    images_per_concept: int = 6
    train_repeats: int = 4
    test_repeats: int = 20
    sessions: int = 4
    snr: float = 0.3
    seed: int = 0
    image_size: int = 96
    sampling_rate: int = 1000
    channels: tuple[str, ...] = FACTS.channels
    bad_channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        make_tuples(self, ("subjects", "channels", "bad_channels"))
        check_whole_numbers(self, _LIMITS)
        check_number(self, "snr", 0, 100)
        check_concepts(self.concepts, self.test_concepts)
        self._check_lists()
        self._check_repeats()

    @property
    def sessions_of_training_picture(self) -> int:
        """In how many sessions a training picture is shown: half of them, rounded down, but at least one."""
        return max(1, self.sessions // 2)

    def sessions_of_group(self, group: int) -> tuple[int, ...]:
        """The sessions (counted from 0) that show the training pictures of a group; there is a group a session."""
        return tuple((group + 2 * step) % self.sessions for step in range(self.sessions_of_training_picture))

    @property
    def sensors(self) -> Sensors:
        """All sensors from which `channels` are chosen."""
        return eeg_sensors()

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)

    def _check_lists(self) -> None:
        check_no_repetition(self, ("subjects", "channels", *(("bad_channels",) if self.bad_channels else ())))
        self.sensors.rows(self.channels)
        for name in self.bad_channels:
            if name not in self.channels:
                raise InputError(f"bad_channels name {name!r}, which is none of the channels {_some(self.channels)}.")
        if len(self.bad_channels) == len(self.channels):
            raise InputError(f"bad_channels name all {len(self.channels)} channels: leave at least one good.")

    def _check_repeats(self) -> None:
        for name, parts in (("train_repeats", self.sessions_of_training_picture), ("test_repeats", self.sessions)):
            value = getattr(self, name)
            if value % parts:
                raise InputError(f"{name} is {value}: with {self.sessions} sessions it must be a multiple of {parts}.")
        pictures = self.concepts * self.images_per_concept
        least = next(count for count in range(1, self.sessions + 1) if self._all_sessions_show(count))
        if pictures < least:
            raise InputError(
                f"concepts is {self.concepts} and images_per_concept {self.images_per_concept}: with {self.sessions} "
                f"sessions it takes {least} training pictures or more, so that every session shows one."
            )

    def _all_sessions_show(self, pictures: int) -> bool:
        shown = {session for group in range(pictures) for session in self.sessions_of_group(group)}
        return len(shown) == self.sessions


_LIMITS = (
    ("subjects", 1, 999),
    ("concepts", 1, NUMBER_OF_CONCEPTS),
    ("test_concepts", 1, NUMBER_OF_CONCEPTS),
    ("images_per_concept", 1, 99),
    ("train_repeats", 1, 1000),
    ("test_repeats", 1, 1000),
    ("sessions", 1, 99),
    ("seed", 0, 2**63 - 1),
    ("image_size", 16, 1024),
    ("sampling_rate", 100, 5000),
)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
