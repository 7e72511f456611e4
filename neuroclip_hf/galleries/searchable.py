"""What a gallery of embeddings can be asked, wherever they lie: in memory, in an index or in an engine."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch.nn.functional import normalize

from neuroclip_hf.data.pictures import Target
from neuroclip_hf.errors import InputError


class SearchableGallery(ABC):
    """A gallery whose entries one model has embedded."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many entries may be chosen from."""

    @abstractmethod
    def find(self, name: str) -> Target | None:
        """What an event's name means here; `None` where it knows nothing called so."""

    @abstractmethod
    def is_right(self, entry: str, target: Target) -> bool:
        """Whether an entry is what was shown: the picture, or where only that is known the concept."""

    @abstractmethod
    def search(self, embeds: torch.Tensor, top_k: int) -> list[list[tuple[str, float]]]:
        """The entries that fit best.

        Args:
            embeds (`torch.Tensor` of shape `(queries, projection_dim)`): need not be normalised.
            top_k (`int`): entries a query; one more than the gallery has gives all.

        Returns:
            For each query ids with cosines, best first.
        """

    @abstractmethod
    def check(self, model: Any, processor: Any) -> None:
        """Refuse to be searched with embeddings of another model than embedded the gallery.

        Raises:
            InputError: naming what differs.
        """


def unit_queries(embeds: torch.Tensor, width: int) -> torch.Tensor:
    """Embedded queries `(queries, width)` at length one, in float32 on the CPU.

    Raises:
        InputError: if they are not as wide as the entries.
    """
    if embeds.ndim != 2 or embeds.shape[1] != width:
        raise InputError(
            f"queries are {tuple(embeds.shape)}: give (queries, {width}), of the model that made the index."
        )
    return normalize(embeds.detach().float().cpu(), dim=1)
