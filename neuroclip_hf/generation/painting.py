"""Painting into a folder: whole pictures only, and none twice."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from neuroclip_hf.data.queries import Query
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import LOCK, new_file, read_json, write_json
from neuroclip_hf.generation.controls import GENERATED, MEAN, PAINTED, SHUFFLED, seed_of, shuffled_places
from neuroclip_hf.generation.pipelines import Painter
from neuroclip_hf.logging import progress
from neuroclip_hf.run_files import GENERATION_FILE, GENERATION_SHEET

PICTURES_FOLDER, SETTINGS_FILE = "pictures", "settings.json"
CONTENTS = (LOCK, PICTURES_FOLDER, SETTINGS_FILE, GENERATION_SHEET, GENERATION_FILE)
_NAME = 40  # letters of a picture's name that its file carries


def start_folder(out: Path, settings: dict[str, Any], overwrite: bool) -> None:
    """Make a folder ready for pictures of these settings; pictures of the same settings are kept.

    Raises:
        InputError: if it holds pictures of other settings and may not be emptied.
    """
    path = out / SETTINGS_FILE
    if overwrite:
        for name in (GENERATION_FILE, GENERATION_SHEET, SETTINGS_FILE):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / PICTURES_FOLDER, ignore_errors=True)
    if not path.is_file():
        write_json(path, settings)
        return
    before = read_json(path)
    differ = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    if differ:
        name = differ[0]
        raise InputError(
            f"{out} holds pictures that were made with other settings ({', '.join(differ)}): {name} was "
            f"{before.get(name)!r} and is {settings.get(name)!r}; name another --out, or pass --overwrite."
        )


def picture_path(out: Path, kind: str, place: int, query: Query) -> Path:
    """Where a picture of a query lies: its place among all queries, whose it is and what was shown."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{query.subject} {Path(query.image_id).stem or query.concept}")
    return out / PICTURES_FOLDER / kind / f"{place:05d}-{words.strip('-')[:_NAME]}.png"


def paint_all(
    painter: Painter,
    queries: Sequence[Query],
    conditions: torch.Tensor,
    mean: torch.Tensor,
    out: Path,
    *,
    seed: int,
    limit: int | None,
) -> None:
    """Paint what is not there yet: for each query its picture, and the two controls that are painted.

    Args:
        painter (`Painter`): paints.
        queries (sequence of `Query`): all of them.
        conditions (`torch.Tensor` of shape `(queries, width)`): what each is painted from.
        mean (`torch.Tensor` of shape `(width,)`): of the training pictures' embeddings.
        out (`Path`): the folder.
        seed (`int`): see [`seed_of`].
        limit (`int`, *optional*): so many queries are painted, the first.
    """
    others = shuffled_places(queries, seed)
    wanted = [
        (picture_path(out, kind, place, query), kind, place)
        for place, query in enumerate(queries[:limit])
        for kind in PAINTED
    ]
    missing = [one for one in wanted if not one[0].is_file()]
    for path, kind, place in progress(missing, desc="pictures", unit="picture"):
        embed = {GENERATED: conditions[place], SHUFFLED: conditions[others[place]], MEAN: mean}[kind]
        _save(painter.paint(embed, seed_of(queries[place], seed)), path)


def _save(picture: Image.Image, path: Path) -> None:
    with new_file(path) as temporary:
        picture.save(temporary, format="PNG")
