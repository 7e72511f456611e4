"""What may be chosen from: a folder, a list, a dataset or a store of pictures, or texts."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import PICTURE_SUFFIXES, PictureFolder, Target, as_rgb, open_picture
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.searchable import SearchableGallery
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.models.brainclip.clip_space import why_no_texts
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import BATCH, embed_pictures, embed_prompts
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

_TEMPLATE = re.compile(r"[^{}]*\{\}[^{}]*")


@dataclass(frozen=True)
class Gallery:
    """Pictures or texts to choose from.

    Args:
        ids (`tuple[str, ...]`): of the entries, in order; no two are the same.
        open_picture (callable, *optional*): id -> `PIL.Image.Image`; `None` for texts.
        texts (`tuple[str, ...]`): of each entry, for a gallery of texts.
        names (`PictureFolder`, *optional*): understands the many ways in which an event may name a picture; without
            it an event names an entry by its id.
    """

    ids: tuple[str, ...]
    open_picture: Callable[[str], Image.Image] | None
    texts: tuple[str, ...] = ()
    names: PictureFolder | None = None

    def __post_init__(self) -> None:
        if not self.ids:
            raise InputError("The gallery is empty: give at least one picture or text to choose from.")
        name, count = Counter(self.ids).most_common(1)[0]
        if count > 1:
            raise InputError(f"The gallery has {name!r} {count} times: give every entry once, under an id of its own.")

    def find(self, name: str) -> Target | None:
        """What an event's name means in this gallery; `None` where it knows nothing called so."""
        if self.names is not None:
            return self.names.find(name)
        return Target("", name) if name in self.ids else None

    def is_right(self, entry: str, target: Target) -> bool:
        """Whether an entry is what was shown: the picture, or where only that is known the concept."""
        if target.image_id or self.names is None:
            return entry == target.image_id
        return self.names.concept(entry) == target.concept


@dataclass(frozen=True)
class EmbeddedGallery(SearchableGallery):
    """A gallery in memory with its embeddings by one model, to be searched many times.

    Args:
        gallery (`Gallery`): the entries.
        embeds (`torch.Tensor` of shape `(entries, projection_dim)`): on the CPU.
    """

    gallery: Gallery
    embeds: torch.Tensor

    @property
    def size(self) -> int:
        """How many entries there are."""
        return len(self.gallery.ids)

    def find(self, name: str) -> Target | None:
        """What an event's name means here."""
        return self.gallery.find(name)

    def is_right(self, entry: str, target: Target) -> bool:
        """Whether an entry is what was shown."""
        return self.gallery.is_right(entry, target)

    def search(self, embeds: torch.Tensor, top_k: int) -> list[list[tuple[str, float]]]:
        """Ids with cosines of the entries that fit best, see [`SearchableGallery.search`]."""
        found = torch.topk(similarity(embeds, self.embeds), min(top_k, self.size), dim=1)
        return [
            [(self.gallery.ids[place], score) for place, score in zip(places, scores, strict=True)]
            for places, scores in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def check(self, model: Any, processor: Any) -> None:
        """Whoever embedded it has the model at hand: nothing is checked."""


def as_gallery(given: Any) -> Gallery:
    """Whatever holds pictures or texts as a gallery.

    Args:
        given: a folder of pictures, or of a trial store (whose test gallery it is); a [`PictureFolder`] or
            [`TrialStore`]; a `datasets.Dataset` with a column of pictures, and perhaps `image_id`; a sequence of
            pictures, of their paths, or of texts, which are their own ids; a mapping from ids to one of these. A `str`
            in a sequence or mapping is a path if it ends as a picture does (".jpg"), and a text otherwise.

    Raises:
        InputError: for anything else, a gallery that is empty or has an id twice, or a file that is no picture.
    """
    if isinstance(given, Gallery):
        return given
    if isinstance(given, str | Path):
        path = Path(given)
        given = TrialStore(path) if (path / STORE_FILE).is_file() else _opened(path)
    if isinstance(given, PictureFolder):
        folder = given
        return Gallery(folder.image_ids, lambda entry: open_picture(folder.path(entry)), names=folder)
    if isinstance(given, TrialStore):
        ids = tuple(given.gallery(columns.TEST)[columns.IMAGE_ID])
        return Gallery(ids, given.open_picture, names=PictureFolder(given.path, ids))
    if type(given).__module__.partition(".")[0] == "datasets":
        return _of_dataset(given)
    if isinstance(given, Mapping):
        return _of_entries([str(name) for name in given], list(given.values()))
    if isinstance(given, Sequence):
        return _of_entries(None, list(given))
    raise InputError(
        f"The gallery is a {type(given).__name__}: give a folder, a dataset, or a list of pictures, paths or texts."
    )


def _opened(folder: Path) -> PictureFolder:
    """Every picture of a folder is opened, so that a damaged one is named before any work."""
    found = PictureFolder.scan(folder)
    for image_id in found.image_ids:
        open_picture(found.path(image_id))
    return found


def embed_gallery(
    model: Any,
    processor: BrainImageProcessor,
    given: Any,
    *,
    templates: Sequence[str] | None = None,
    batch_size: int = BATCH,
) -> SearchableGallery:
    """Embed a gallery.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        given: what [`as_gallery`] takes, or a [`SearchableGallery`], which is checked to be this model's.
        templates (sequence of `str`, *optional*): of texts: prompts that each is put in, {} standing for it; their
            embeddings are averaged. Without them a text is its own prompt.
        batch_size (`int`): pictures, or prompts, that are encoded at once.

    Raises:
        InputError: for texts and a model in whose space none lie, for a template that is none, and as [`as_gallery`].
    """
    if isinstance(given, SearchableGallery):
        if templates is not None:
            raise InputError("templates are for texts that are not embedded yet: leave them out.")
        given.check(model, processor)
        return given
    return embed_entries(model, processor, as_gallery(given), templates, batch_size)


def embed_entries(
    model: Any,
    processor: BrainImageProcessor,
    gallery: Gallery,
    templates: Sequence[str] | None = None,
    batch_size: int = BATCH,
) -> EmbeddedGallery:
    """Embed the entries of a gallery, see [`embed_gallery`]."""
    used = checked_templates(model, gallery, templates)
    if gallery.open_picture is None:
        embeds = embed_prompts(model, processor, gallery.texts, used, batch_size=batch_size)
        return EmbeddedGallery(gallery, embeds)
    pictures = PictureSet(gallery.open_picture, gallery.ids, processor)
    return EmbeddedGallery(gallery, embed_pictures(model, pictures, "gallery", batch_size=batch_size))


def checked_templates(model: Any, gallery: Gallery, templates: Sequence[str] | None) -> list[str]:
    """The templates that the texts of a gallery are put in, by default the text itself; none for pictures.

    Raises:
        InputError: for texts and a model in whose space none lie, for templates and pictures, and for a template that
            is none.
    """
    if gallery.open_picture is not None:
        if templates is not None:
            raise InputError("templates are for texts, and the gallery is of pictures: leave them out.")
        return []
    why = why_no_texts(model)
    if why is not None:
        raise InputError(f"The gallery is of texts, and {why}: give pictures, or train brainclip on a whole CLIP.")
    used = ["{}"] if templates is None else list(templates)
    wrong = [one for one in used if not isinstance(one, str) or not _TEMPLATE.fullmatch(one)]
    if wrong or not used:
        said = f"hold {wrong[0]!r}" if wrong else "are none"
        raise InputError(f"templates {said}: give a list of texts, each with {{}} for the name, once.")
    return used


def _of_entries(ids: list[str] | None, entries: list[Any]) -> Gallery:
    kinds = {_kind(entry) for entry in entries}
    if len(kinds) > 1:
        raise InputError(f"The gallery mixes {' and '.join(sorted(kinds))}: give entries of one kind.")
    if kinds == {"texts"}:
        return Gallery(tuple(ids or entries), None, texts=tuple(entries))
    if kinds == {"paths"}:
        names = tuple(ids or [Path(entry).as_posix() for entry in entries])
        paths = dict(zip(names, map(Path, entries), strict=True))
        return Gallery(names, lambda entry: open_picture(paths[entry]), names=PictureFolder(Path(), names))
    width = max(5, len(str(len(entries))))
    names = tuple(ids or [f"{row:0{width}d}" for row in range(len(entries))])
    pictures = dict(zip(names, entries, strict=True))
    return Gallery(names, lambda entry: as_rgb(pictures[entry]))


def _kind(entry: Any) -> str:
    if isinstance(entry, Image.Image):
        return "pictures"
    if isinstance(entry, Path) or (isinstance(entry, str) and entry.lower().endswith(PICTURE_SUFFIXES)):
        return "paths"
    if isinstance(entry, str):
        return "texts"
    raise InputError(f"The gallery holds a {type(entry).__name__}: give pictures (PIL.Image), paths or texts.")


def _of_dataset(dataset: Any) -> Gallery:
    import datasets

    if not isinstance(dataset, datasets.Dataset):
        raise InputError(f"The gallery is a {type(dataset).__name__}: name one split, as a datasets.Dataset.")
    found = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Image)]
    if len(found) != 1:
        raise InputError(
            f"The gallery's columns are {', '.join(dataset.column_names)}, and {len(found)} of them hold pictures: "
            "one must (datasets.Image)."
        )
    if columns.IMAGE_ID not in dataset.column_names:
        rows = {f"{row:05d}": row for row in range(len(dataset))}
        return Gallery(tuple(rows), lambda entry: as_rgb(dataset[rows[entry]][found[0]]))
    ids = tuple(str(name) for name in dataset[columns.IMAGE_ID])
    rows = {name: row for row, name in enumerate(ids)}
    return Gallery(ids, lambda entry: as_rgb(dataset[rows[entry]][found[0]]), names=PictureFolder(Path(), ids))
