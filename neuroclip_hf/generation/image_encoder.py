"""The CLIP vision tower whose embeddings a pipeline was trained to paint."""

from collections.abc import Iterable
from typing import Any

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from neuroclip_hf.logging import progress

BATCH = 32


class ImageEncoder:
    """Pictures to raw CLIP embeddings, as a pipeline's authors made them.

    Args:
        model (`CLIPVisionModelWithProjection`): the tower.
        processor (image processor of transformers, *optional*): by default CLIP's own of the tower's size.
    """

    def __init__(self, model: Any, processor: Any | None = None) -> None:
        self.model = model.eval()
        size = model.config.image_size
        self.processor = processor or CLIPImageProcessorPil(size=size, crop_size=size)

    @property
    def width(self) -> int:
        """Of an embedding."""
        return int(self.model.config.projection_dim)

    @torch.no_grad()
    def embed(self, pictures: Iterable[Image.Image], total: int, description: str) -> torch.Tensor:
        """Pictures, opened as they are needed, to embeddings (pictures, width), float32 on the CPU, not normalised.

        Args:
            pictures (iterable of `PIL.Image.Image`): RGB.
            total (`int`): how many they are, for the progress bar.
            description (`str`): what the bar says.
        """
        found, batch = [torch.zeros(0, self.width)], []
        for number, picture in enumerate(progress(pictures, total=total, desc=description, unit="picture"), start=1):
            batch.append(picture)
            if len(batch) == BATCH or number == total:
                pixels = self.processor(images=batch, return_tensors="pt").pixel_values
                found.append(self._embed(pixels))
                batch = []
        return torch.cat(found)

    @torch.no_grad()
    def embed_nothing(self) -> torch.Tensor:
        """The embedding (1, width) of pixels that are all zero after preprocessing: Kandinsky's negative condition."""
        size = self.model.config.image_size
        return self._embed(torch.zeros(1, 3, size, size))

    def _embed(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model(pixels.to(self.model.device, self.model.dtype)).image_embeds.float().cpu()
