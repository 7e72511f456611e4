"""Facts of Generic Object Decoding (Horikawa and Kamitani, Nature Communications 2017), and the names in its files.

The facts say what the published dataset is; sizes are always taken from the files, so that a part of it, or a
simulation in its layout, is read by the same functions.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class GodFacts:
    """What the dataset's paper and files declare.

    Args:
        subjects (`int`): how many people.
        training_categories, training_pictures (`int`): categories, and pictures of each, shown once.
        test_categories, test_pictures (`int`): other categories, and pictures of each.
        test_repeats (`int`): showings of a test picture.
        imagery_repeats (`int`): how often each test category was imagined, from its name.
        training_runs, test_runs, imagery_runs (`int`): scans of each kind.
        trials_of_perception_run, trials_of_imagery_run (`int`): trials of a scan that shows pictures, or none.
        voxels_of_subject_1 (`int`): columns of its visual cortex.
        voxel_size (`float`): edge of a voxel, in millimetres.
        areas (`tuple` of `str`): the visual areas, from early to late; they overlap.
        regions (`tuple` of `str`): the unions of areas: lower, higher and whole visual cortex.
        voxel_columns (`str`): key of the metadata row that marks the columns which are voxels.
        trial_columns (`tuple` of `str`): keys of the columns that describe a trial.
        coordinate_rows (`tuple` of `str`): keys of the metadata rows with a voxel's place, in millimetres.
        training, perception, imagery (`int`): values of the column `DataType`.
    """

    subjects: int = 5
    training_categories: int = 150
    training_pictures: int = 8
    test_categories: int = 50
    test_pictures: int = 1
    test_repeats: int = 35
    imagery_repeats: int = 10
    training_runs: int = 24
    test_runs: int = 35
    imagery_runs: int = 20
    trials_of_perception_run: int = 50
    trials_of_imagery_run: int = 25
    voxels_of_subject_1: int = 4466
    voxel_size: float = 3.0
    areas: tuple[str, ...] = ("V1", "V2", "V3", "V4", "LOC", "FFA", "PPA")
    regions: tuple[str, ...] = ("LVC", "HVC", "VC")
    voxel_columns: str = "VoxelData"
    trial_columns: tuple[str, ...] = ("DataType", "Run", "Block", "stimulus_id", "image_index", "Label")
    coordinate_rows: tuple[str, ...] = ("voxel_x", "voxel_y", "voxel_z")
    training: int = 1
    perception: int = 2
    imagery: int = 3

    @property
    def trials(self) -> int:
        """Rows of a subject's file."""
        training = self.training_categories * self.training_pictures
        test = self.test_categories * self.test_pictures
        return training + test * (self.test_repeats + self.imagery_repeats)


FACTS = GodFacts()
IMAGES_FOLDER = "images"
PICTURE_FOLDERS = {TRAIN: f"{IMAGES_FOLDER}/training", TEST: f"{IMAGES_FOLDER}/test"}
PICTURE_TABLES = {TRAIN: f"{IMAGES_FOLDER}/image_training_id.csv", TEST: f"{IMAGES_FOLDER}/image_test_id.csv"}
"""Tables without a header: the stimulus id with six decimals, and the file name in quotation marks. The row, counted
from 1, is the `image_index`."""

CATEGORY_NAMES_FILE = "category_names.json"
"""The categories of a simulation in words, by WordNet id; for the real dataset WordNet itself has them."""

ROI_PREFIX = "ROI_"
"""Before the name of an area or region, as key of the metadata row that marks its voxels."""

_DECIMALS = 6
_LARGEST_CATEGORY = 10**8 - 1
_TOLERANCE = 0.05  # of a picture's number: a float64 with eight digits before the point is exact to 0.015 of it


def subject_path(folder: str | Path, subject: int) -> Path:
    """The file of a subject (counted from 1): "Subject1.h5"."""
    return Path(folder) / f"Subject{subject}.h5"


def roi_key(name: str) -> str:
    """The metadata row that marks the voxels of an area or region: "ROI_V1"."""
    return f"{ROI_PREFIX}{name}"


def stimulus_id(category_number: int, picture_number: int) -> float:
    """The number that stands for a picture in the files: 1443537, 22563 -> 1443537.022563.

    Args:
        category_number (`int`): the digits of its WordNet id, at most eight.
        picture_number (`int`): its number within the category, from 1, at most six digits.

    Raises:
        InputError: for numbers that do not fit.
    """
    if not 0 <= category_number <= _LARGEST_CATEGORY or not 1 <= picture_number < 10**_DECIMALS:
        raise InputError(
            f"category {category_number} and picture {picture_number} make no stimulus id: they have at most eight "
            "and six digits, and pictures are counted from 1."
        )
    return float(f"{category_number}.{picture_number:0{_DECIMALS}d}")


def category_of(stimulus: float) -> str:
    """The WordNet id of a stimulus id: 1443537.022563 -> "n01443537". An id without a picture has one too.

    Raises:
        InputError: if it is no stimulus id.
    """
    if not math.isfinite(stimulus) or not 0 <= stimulus < _LARGEST_CATEGORY + 1:
        raise InputError(f"{stimulus!r} is no stimulus id: one looks like 1443537.022563.")
    return f"n{int(stimulus):08d}"


def image_file(stimulus: float) -> str:
    """The picture of a stimulus id: 1443537.022563 -> "n01443537_22563.JPEG".

    The six decimals are the picture's number. As a float the id keeps neither a leading zero of the category nor a
    trailing one of the number, so its text misleads: 1443537.02256 is picture 22560, not 2256. Take the column as
    float64: float32 cannot tell the pictures of a category apart.

    Raises:
        InputError: if it is no stimulus id, or names a category and no picture.
    """
    category = category_of(stimulus)
    decimals = (stimulus - int(stimulus)) * 10**_DECIMALS
    number = round(decimals)
    if abs(decimals - number) > _TOLERANCE or number == 10**_DECIMALS:
        raise InputError(f"{stimulus!r} is no stimulus id: it has more than {_DECIMALS} decimals.")
    if number == 0:
        raise InputError(f"{stimulus!r} names the category {category} and no picture: decimals are missing.")
    return f"{category}_{number}.JPEG"
