"""An index that was made before, to be searched exactly or approximately."""

import weakref
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from neuroclip_hf.data.pictures import PictureFolder, Target
from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.engines import EngineGallery, is_engine
from neuroclip_hf.galleries.fingerprints import model_fingerprints, refuse_another
from neuroclip_hf.galleries.gallery import Gallery, as_gallery
from neuroclip_hf.galleries.index.approximate import read_lists, search_lists
from neuroclip_hf.galleries.index.exact import search_exact
from neuroclip_hf.galleries.index.storing import FAISS_FILE, INDEX_FILE, Entries, IndexFacts
from neuroclip_hf.galleries.searchable import SearchableGallery, unit_queries


class GalleryIndex(SearchableGallery):
    """A gallery that [`build_index`] embedded.

    Args:
        folder (path): the index.
        approximate (`bool`): look through few lists in place of all entries; an entry may then be missed, of those
            that are found the scores are exact.
        probes (`int`, *optional*): lists that an approximate search looks through, in place of as many as the index
            says.

    Raises:
        InputError: if the folder is no index, or a part of it cannot be read.
    """

    def __init__(self, folder: str | Path, *, approximate: bool = False, probes: int | None = None) -> None:
        if probes is not None and (isinstance(probes, bool) or not isinstance(probes, int) or probes < 1):
            raise InputError(f"probes is {probes!r}: it must be a whole number, at least 1.")
        if probes is not None and not approximate:
            raise InputError(f"probes is {probes}, and an exact search looks at everything: pass approximate=True.")
        self.folder = Path(folder)
        self.facts = IndexFacts.read(self.folder)
        self.entries = Entries(self.folder, self.facts)
        self.approximate, self.probes = approximate, probes or self.facts.probes
        if approximate:
            self._lists = read_lists(self.folder / FAISS_FILE, self.facts.entries, self.facts.width)
        self._checked: weakref.ref[Any] | None = None

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.facts.entries

    @cached_property
    def gallery(self) -> Gallery:
        """Ids and what events may call them; the pictures themselves are not in an index."""
        ids = self.entries.all_ids()
        names = None if self.facts.names is None else PictureFolder(Path(self.facts.names), ids)
        return Gallery(ids, None, names=names)

    def find(self, name: str) -> Target | None:
        """What an event's name means here."""
        return self.gallery.find(name)

    def is_right(self, entry: str, target: Target) -> bool:
        """Whether an entry is what was shown."""
        return self.gallery.is_right(entry, target)

    def rows(self, embeds: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and rows of the entries that fit best, `(queries, top_k)` each, best first.

        Where an approximate search finds fewer than `top_k` entries the last rows are -1, with a score of -inf.

        Raises:
            InputError: if the queries are not as wide as the entries.
        """
        queries = unit_queries(embeds, self.facts.width)
        top_k = min(top_k, self.size)
        if self.approximate:
            return search_lists(self._lists, self.entries.blocks, queries, top_k, self.probes)
        return search_exact(self.entries.blocks, queries, top_k)

    def search(self, embeds: torch.Tensor, top_k: int) -> list[list[tuple[str, float]]]:
        """Ids with cosines of the entries that fit best, see [`SearchableGallery.search`]."""
        found = []
        for mine in _found(*self.rows(embeds, top_k)):
            names = self.entries.ids([row for row, _ in mine])
            found.append([(name, score) for name, (_, score) in zip(names, mine, strict=True)])
        return found

    def check(self, model: Any, processor: Any) -> None:
        """Refuse another model than the one that embedded it."""
        if self._checked is None or self._checked() is not model:  # a large model takes seconds to be digested
            mine = model_fingerprints(model, processor)
            refuse_another(
                str(self.folder), vars(self.facts), mine, "name the run that made it, or make an index with this one."
            )
            self._checked = weakref.ref(model)


def _found(scores: torch.Tensor, rows: torch.Tensor) -> list[list[tuple[int, float]]]:
    """Rows with scores of each query, without those that were not found."""
    return [
        [(row, score) for row, score in zip(mine, each, strict=True) if row >= 0]
        for mine, each in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def as_searchable(given: Any) -> SearchableGallery | Gallery:
    """A gallery that is embedded already as it is, or opened; anything else as [`as_gallery`] has it.

    Args:
        given: a [`SearchableGallery`]; the folder of an index, or the address of an engine that holds one; or what
            [`as_gallery`] takes.

    Raises:
        InputError: for a damaged index, an engine that is not reachable, and as [`as_gallery`].
    """
    if isinstance(given, SearchableGallery):
        return given
    if is_engine(given):
        return EngineGallery(str(given))
    if isinstance(given, str | Path) and (Path(given) / INDEX_FILE).is_file():
        return GalleryIndex(given)
    return as_gallery(given)
