"""Settings of a simulation, checked before anything is made."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from neuroclip_hf.data.simulation.concepts import NUMBER_OF_CONCEPTS
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
        sessions (`int`): recordings of a subject.
        snr (`float`): root mean square of the part of the response that tells pictures apart (occipital channels,
            0.05 to 0.5 s) over that of the background activity. 0 plants nothing.
        seed (`int`): equal seeds and settings give equal bytes.
        image_size (`int`): pixels a side.
        sampling_rate (`int`): in Hz. The real recordings have 1000; 250 is enough for all that is planted.
        channels (`tuple` of `str`): the EEG channels, from the dataset's 63.

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
    snr: float = 0.25
    seed: int = 0
    image_size: int = 96
    sampling_rate: int = 1000
    channels: tuple[str, ...] = FACTS.channels

    def __post_init__(self) -> None:
        for name in ("subjects", "channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, least, most in _LIMITS:
            for value in _as_tuple(getattr(self, name)):
                if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                    raise InputError(f"{name} is {value!r}: it must be a whole number from {least} to {most}.")
        if isinstance(self.snr, bool) or not isinstance(self.snr, int | float) or not 0 <= self.snr <= 100:
            raise InputError(f"snr is {self.snr!r}: it must be a number from 0 to 100.")
        if self.concepts + self.test_concepts > NUMBER_OF_CONCEPTS:
            raise InputError(
                f"{self.concepts} training and {self.test_concepts} test concepts were asked for: "
                f"there are {NUMBER_OF_CONCEPTS} in all."
            )
        self._check_lists()
        self._check_repeats()

    @property
    def sessions_of_training_picture(self) -> int:
        """In how many sessions a training picture is shown: half of them, rounded down, but at least one."""
        return max(1, self.sessions // 2)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)

    def _check_lists(self) -> None:
        for name in ("subjects", "channels"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise InputError(f"{name} are {values!r}: name at least one, and none twice.")
        unknown = [name for name in self.channels if name not in FACTS.channels]
        if unknown:
            raise InputError(
                f"channels {', '.join(map(str, unknown))} do not exist: there are {', '.join(FACTS.channels)}."
            )

    def _check_repeats(self) -> None:
        for name, parts in (("train_repeats", self.sessions_of_training_picture), ("test_repeats", self.sessions)):
            value = getattr(self, name)
            if value % parts:
                raise InputError(f"{name} is {value}: with {self.sessions} sessions it must be a multiple of {parts}.")


def make_settings(**values: Any) -> SimulationSettings:
    """Settings from names and values; a misspelt name is refused with the list of the right ones."""
    known = [field.name for field in fields(SimulationSettings)]
    for name in values:
        if name not in known:
            raise InputError(f"{name} is no setting of a simulation: there are {', '.join(known)}.")
    return SimulationSettings(**values)


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


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
