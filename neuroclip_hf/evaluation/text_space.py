"""Texts in the space of a run, where that is CLIP's own."""

from collections.abc import Sequence
from typing import Any

import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.brainclip.clip_space import ClipSpaceModel
from neuroclip_hf.processing.embedding import BATCH, inference
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


def require_texts(model: Any) -> None:
    """Refuse a run in whose space no texts lie.

    Raises:
        InputError: naming what it has instead.
    """
    remedy = "say --against images, or train brainclip on a whole CLIP."
    if not isinstance(model, ClipSpaceModel):
        raise InputError(
            f"--against texts: a {model.config.model_type} run brings recordings and pictures into a space of its "
            f"own, in which no texts lie: {remedy}"
        )
    if model.text_model is None:
        raise InputError(f"--against texts: tower {model.config.tower} has no text side: {remedy}")


def embed_texts(model: Any, processor: BrainImageProcessor, texts: Sequence[str]) -> torch.Tensor:
    """Texts to `(texts, projection_dim)` on the CPU, centred as the model centres them, not normalised.

    Args:
        model (`ClipSpaceModel`): see [`require_texts`].
        processor (`BrainCLIPProcessor`): with its tokenizer.
        texts (sequence of `str`): in any number.
    """
    parts = []
    with inference(model):
        for start in range(0, len(texts), BATCH):
            tokens = processor.tokens(texts[start : start + BATCH])
            parts.append(model.get_text_features(**{k: v.to(model.device) for k, v in tokens.items()}).float().cpu())
    return torch.cat(parts)
