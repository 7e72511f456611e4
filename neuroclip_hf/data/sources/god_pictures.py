"""Pictures of Generic Object Decoding: which one an id means, where it lies, what it shows and what is said of it."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.captions import read_rows, read_texts
from neuroclip_hf.data.god import (
    CATEGORY_NAMES_FILE,
    IMAGES_FOLDER,
    PICTURE_FOLDERS,
    PICTURE_TABLES,
    category_of,
    image_file,
)
from neuroclip_hf.data.pictures import check_picture
from neuroclip_hf.data.simulated import CAPTIONS_FILE
from neuroclip_hf.data.sources.finished import ShownPicture
from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import progress

_MOST_NAMED = 20  # missing pictures in one message
HOW_TO_GET = (
    "the pictures are ImageNet's and are not shared with the recordings: ask the dataset's authors for them, and put "
    "them into the folders training and test, under the names in image_training_id.csv and image_test_id.csv, or name "
    "the folder that holds both with --images"
)


@dataclass(frozen=True)
class GodPictures:
    """What is known of the pictures before it is known which of them were shown.

    Args:
        folder (`Path`): holds the folders `training` and `test`.
        tables (`dict`): split -> the file names of the dataset's table, in its order; empty where there is no table.
        captions (`dict`): caption by image id.
        names (`dict`): category in words by WordNet id.
    """

    folder: Path
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def image_id(self, split: str, stimulus: float, index: float | None = None) -> str:
        """The picture of a perception trial: "images/training/n01443537_22563.JPEG".

        Args:
            split (`str`): "train" or "test".
            stimulus (`float`): its stimulus id; one that names only the category does where `index` is given.
            index (`float`, *optional*): its row in the dataset's table, counted from 1.

        Raises:
            InputError: for an id that is none or that the table does not have, and where id and index disagree.
        """
        table, category = self.tables.get(split, ()), category_of(stimulus)
        rows = {float(row): one for row, one in enumerate(table, start=1)}
        listed = None if index is None else rows.get(index)
        if stimulus == int(stimulus) and listed is not None and listed.startswith(f"{category}_"):
            return f"{PICTURE_FOLDERS[split]}/{listed}"
        name = image_file(stimulus)
        if table and name not in table:
            raise InputError(
                f"stimulus id {stimulus!r} is {name}, which {PICTURE_TABLES[split]} does not list: use the table of "
                "these recordings."
            )
        if table and index is not None and listed != name:
            raise InputError(
                f"stimulus id {stimulus!r} is {name}, but row {index:g} of {PICTURE_TABLES[split]} is {listed}: use "
                "the table of these recordings."
            )
        return f"{PICTURE_FOLDERS[split]}/{name}"

    def imagined(self, stimulus: float, tested: Iterable[str]) -> str:
        """The test picture of what was imagined, from its name: an id may be that of the category alone.

        Args:
            stimulus (`float`): a stimulus id.
            tested (iterable of `str`): image ids of the test trials.

        Raises:
            InputError: if it is not one test picture.
        """
        known = set(tested) | {f"{PICTURE_FOLDERS[TEST]}/{name}" for name in self.tables.get(TEST, ())}
        beginning = f"{category_of(stimulus)}_"
        if stimulus != int(stimulus):
            beginning = image_file(stimulus)
        found = [one for one in known if Path(one).name.startswith(beginning)]
        if len(found) != 1:
            raise InputError(
                f"stimulus id {stimulus!r} of an imagery trial ({beginning}) matches {len(found)} of the {len(known)} "
                "test pictures: it must be one of them."
            )
        return found[0]

    def concept(self, image_id: str) -> str:
        """The category of a picture, in words where they are known, else as WordNet id.

        Two categories of one name (crane the bird, crane the machine) get their WordNet ids behind it.
        """
        wordnet_id = category_in(image_id)
        words = self.names.get(wordnet_id, wordnet_id)
        return f"{words} ({wordnet_id})" if Counter(self.names.values())[words] > 1 else words

    def shown(self, image_ids: Iterable[str]) -> list[ShownPicture]:
        """What a store says of some pictures, sorted by split and name; every one of them is opened.

        Raises:
            InputError: naming pictures that are missing, the first that is damaged, or captions and names that are of
                other pictures.
        """
        wanted = sorted(set(image_ids), key=lambda one: (not one.startswith(PICTURE_FOLDERS[TRAIN]), one))
        self._refuse_other_captions(wanted)
        self._refuse_missing_names(wanted)
        found = [
            ShownPicture(
                one,
                self.concept(one),
                self.captions.get(one, ""),
                TRAIN if one.startswith(PICTURE_FOLDERS[TRAIN]) else TEST,
                self.folder / Path(one).relative_to(IMAGES_FOLDER),
            )
            for one in wanted
        ]
        missing = [one.path for one in found if not one.path.is_file()]
        if missing:
            some = ", ".join(path.relative_to(self.folder).as_posix() for path in missing[:_MOST_NAMED])
            more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
            raise InputError(
                f"{self.folder} lacks {len(missing)} of {len(found)} pictures: {some}{more}; {HOW_TO_GET}."
            )
        for picture in progress(found, desc="pictures", unit="picture"):
            check_picture(picture.path)
        return found

    def warnings(self, shown: Sequence[ShownPicture]) -> list[str]:
        """What models with text supervision will have to do without."""
        if not self.names:
            return [
                "The categories have no names, so concepts are WordNet ids, of which no text can be made: name a file "
                "of them with --category-names."
            ]
        without = [one.image_id for one in shown if not one.caption]
        if self.captions and without:
            return [f"{len(without)} of {len(shown)} pictures have no caption (first: {without[0]})."]
        return []

    def _refuse_other_captions(self, shown: Sequence[str]) -> None:
        of_table = {f"{PICTURE_FOLDERS[split]}/{name}" for split, names in self.tables.items() for name in names}
        known = of_table | set(shown)
        strange = [one for one in self.captions if one not in known]
        if strange:
            raise InputError(
                f"the captions are of other pictures: {strange[0]!r} ({len(strange)} in all) is none of the "
                f"{len(known)} pictures, of which the first is {min(known)!r}."
            )

    def _refuse_missing_names(self, shown: Sequence[str]) -> None:
        nameless = sorted({category_in(one) for one in shown} - set(self.names))
        if self.names and nameless:
            raise InputError(
                f"the category names lack {len(nameless)} categories (first: {nameless[0]}): add them to the file."
            )


def category_in(image_id: str) -> str:
    """The WordNet id in a picture's name: "images/test/n01443537_22563.JPEG" -> "n01443537"."""
    return Path(image_id).name.partition("_")[0]


def find_pictures(
    source: Path, images: Path | None = None, captions: Path | None = None, names: Path | None = None
) -> GodPictures:
    """Look for pictures, their tables, captions and category names in a dataset's folder, or where somebody says.

    Args:
        source (`Path`): the dataset.
        images (`Path`, *optional*): folder with `training` and `test`, and the tables; `source/images` by default.
        captions (`Path`, *optional*): JSON, text by image id or file name; `source/captions.json` where it is there.
        names (`Path`, *optional*): JSON, or CSV of two columns: words by WordNet id; `source/category_names.json`
            where it is there.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    folder = source / IMAGES_FOLDER if images is None else images
    tables = {
        split: _read_table(path)
        for split, name in PICTURE_TABLES.items()
        if (path := folder / Path(name).name).is_file()
    }
    captions = captions or (path if (path := source / CAPTIONS_FILE).is_file() else None)
    names = names or (path if (path := source / CATEGORY_NAMES_FILE).is_file() else None)
    said = {} if captions is None else _as_image_ids(read_texts(captions), tables)
    return GodPictures(folder, tables, said, {} if names is None else read_texts(names))


def _read_table(path: Path) -> tuple[str, ...]:
    """File names of a table of the dataset, whose ids must be theirs."""
    names = []
    for number, row in enumerate(read_rows(path), start=1):
        try:
            stimulus, name = float(row[0]), row[1]
        except (ValueError, IndexError):
            stimulus, name = math.nan, ""
        if not math.isfinite(stimulus) or image_file(stimulus) != name:
            raise InputError(
                f"{path}, line {number}: {','.join(row)!r} is no stimulus id with the name of its picture, as in "
                '1443537.022563,"n01443537_22563.JPEG".'
            )
        names.append(name)
    if len(set(names)) != len(names) or not names:
        raise InputError(f"{path} is empty, or lists a picture twice: get the dataset's own table.")
    return tuple(names)


def _as_image_ids(captions: dict[str, str], tables: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Captions by image id, where they are given by file name, with or without its suffix."""
    ids = {name: f"{PICTURE_FOLDERS[split]}/{name}" for split, names in tables.items() for name in names}
    stems = {Path(name).stem: image_id for name, image_id in ids.items()}
    return {ids.get(name, stems.get(name, name)): text for name, text in captions.items()}
