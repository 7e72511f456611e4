"""What is at hand between loading and reporting: a run's queries with their embeddings, and where pictures lie."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.data.queries import Query
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.generation.controls import GENERATED, NEAREST, nearest_places
from neuroclip_hf.generation.embeddings import Asked, Embeddings
from neuroclip_hf.generation.painting import picture_path
from neuroclip_hf.generation.pipelines import Painter
from neuroclip_hf.generation.settings import GenerationSettings
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


@dataclass(frozen=True)
class GenerationInputs:
    """What is at hand once everything is embedded.

    Args:
        out (`Path`): the folder of the generation.
        store (`TrialStore`): as the run reads it.
        model, processor: of the run.
        painter (`Painter`): of the pipeline.
        asked (`Asked`): all queries.
        embeddings (`Embeddings`): of all queries.
        settings (`GenerationSettings`): how it is done.
    """

    out: Path
    store: TrialStore
    model: Any
    processor: BrainImageProcessor
    painter: Painter
    asked: Asked
    embeddings: Embeddings
    settings: GenerationSettings

    @property
    def places(self) -> range:
        """Of the queries that are painted, among all."""
        return range(len(self.asked.queries))[: self.settings.limit]

    @property
    def queries(self) -> list[Query]:
        """Those that are painted."""
        return [self.asked.queries[place] for place in self.places]

    @property
    def shown(self) -> list[str | None]:
        """The picture of each, where it is known."""
        return [self.asked.shown(place) for place in self.places]

    @cached_property
    def nearest(self) -> list[str]:
        """The training picture that each retrieves."""
        found = nearest_places(self.embeddings.brain[list(self.places)], self.embeddings.run_pictures)
        return [self.embeddings.image_ids[place] for place in found]

    def files(self, kind: str) -> list[Path]:
        """Pictures of a painted kind, one a query."""
        return [picture_path(self.out, kind, place, self.asked.queries[place]) for place in self.places]

    def pictures(self, kind: str) -> list[Image.Image]:
        """Pictures of any kind, one a query, all as large as what is painted, since SSIM hangs on the size."""
        if kind != NEAREST:
            return [open_picture(path) for path in self.files(kind)]
        sizes = [picture.size for picture in self.pictures(GENERATED)]
        return [
            ImageOps.fit(self.store.open_picture(name), size, Image.Resampling.BICUBIC)
            for name, size in zip(self.nearest, sizes, strict=True)
        ]
