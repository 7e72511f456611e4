"""Settings of a simulated Generic Object Decoding, checked before anything is made."""

from dataclasses import asdict, dataclass
from typing import Any

from neuroclip_hf.data.god import FACTS
from neuroclip_hf.data.simulation import checks
from neuroclip_hf.data.simulation.concepts import NUMBER_OF_CONCEPTS


@dataclass(frozen=True)
class GodSettings:
    """How much is simulated, and how hard it is.

    Numbers of pictures and trials are the dataset's own; those of subjects and voxels and the pictures' size are ours.

    Args:
        subjects (`tuple` of `int`): numbers of the subjects; a subject is the same whoever is simulated beside it.
        concepts (`int`): training concepts. More of them leave the test trials as they are.
        test_concepts (`int`): test concepts, one picture each.
        images_per_concept (`int`): pictures of a training concept, each shown once.
        test_repeats (`int`): showings of a test picture, one in every test run.
        imagery_repeats (`int`): how often a test concept is imagined, once in every two imagery runs. 0 leaves
            imagery out.
        voxels (`int`): of the visual cortex. The areas' parts of them are fixed, see `cortex.AREAS`.
        snr (`float`): root mean square over all voxels of the part of the response that tells pictures apart (to codes
            of unit variance) over that of the noise of a single perception trial. Drifts and differences between runs
            are not counted as noise. 0 plants nothing.
        seed (`int`): equal seeds and settings give equal bytes.
        image_size (`int`): pixels a side.

    Raises:
        InputError: for values that cannot be.
    """

    subjects: tuple[int, ...] = (1,)
    concepts: int = FACTS.training_categories
    test_concepts: int = FACTS.test_categories
    images_per_concept: int = FACTS.training_pictures
    test_repeats: int = FACTS.test_repeats
    imagery_repeats: int = FACTS.imagery_repeats
    voxels: int = 4500
    snr: float = 0.12
    seed: int = 0
    image_size: int = 96

    def __post_init__(self) -> None:
        checks.make_tuples(self, ["subjects"])
        checks.check_whole_numbers(self, _LIMITS)
        checks.check_number(self, "snr", 0, 100)
        checks.check_no_repetition(self, ["subjects"])
        checks.check_concepts(self.concepts, self.test_concepts)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)


_LIMITS = (
    ("subjects", 1, 999),
    ("concepts", 1, NUMBER_OF_CONCEPTS),
    ("test_concepts", 1, NUMBER_OF_CONCEPTS),
    ("images_per_concept", 1, 99),
    ("test_repeats", 1, 1000),
    ("imagery_repeats", 0, 1000),
    ("voxels", 100, 30_000),
    ("seed", 0, 2**63 - 1),
    ("image_size", 16, 1024),
)
