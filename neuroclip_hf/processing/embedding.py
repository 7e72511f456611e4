"""Embeddings of queries and galleries by a given model; no gradient, nothing trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from neuroclip_hf.data.queries import Query
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

BATCH = 64


@contextmanager
def inference(model: torch.nn.Module) -> Iterator[None]:
    """No gradient and evaluation mode inside, the mode of before afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def embed_queries(
    model: Any, processor: BrainImageProcessor, store: TrialStore, queries: Sequence[Query]
) -> torch.Tensor:
    """Average each query's trials, then encode.

    Args:
        model (`BrainImageModel`): the encoder.
        processor (`BrainImageProcessor`): standardises the means.
        store (`TrialStore`): holds the trials.
        queries (sequence of `Query`): which trials to average.

    Returns:
        `torch.Tensor` of shape `(queries, projection_dim)` on the CPU, not normalised.
    """
    parts = []
    for start in range(0, len(queries), BATCH):  # means of all queries of a large store would fill the memory
        some = queries[start : start + BATCH]
        means = store.read_means([query.trials for query in some])
        subjects = [query.subject for query in some]
        parts.append(encode_trials(model, processor, means, channel_names=store.info.channels, subjects=subjects))
    return torch.cat(parts)


def encode_trials(
    model: Any,
    processor: BrainImageProcessor,
    values: np.ndarray,
    *,
    channel_names: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    batch_size: int = BATCH,
) -> torch.Tensor:
    """Encode trials, a batch of them at a time.

    Args:
        model (`BrainImageModel`): the encoder.
        processor (`BrainImageProcessor`): standardises the trials.
        values (`numpy.ndarray`): (batch, channels, samples), or (batch, voxels), in the checkpoint's unit.
        channel_names (sequence of `str`, *optional*): of `values`; without them they are in the checkpoint's order.
        subjects (sequence of `str`, *optional*): whose trial each is; without them all are of an unknown subject.
        batch_size (`int`): how many at once.

    Returns:
        `torch.Tensor` of shape `(batch, projection_dim)` on the CPU, not normalised.
    """
    trials = processor.feature_extractor
    places = None if subjects is None else torch.tensor(trials.subject_index(subjects), device=model.device)
    parts = []
    with inference(model):
        for start in range(0, len(values), batch_size):
            some = slice(start, start + batch_size)
            brain_values = trials(values[some], channel_names=channel_names)[trials.input_name].to(model.device)
            found = model.get_brain_features(brain_values, None if places is None else places[some])
            parts.append(found.float().cpu())
    return torch.cat(parts)


def embed_pictures(
    model: Any, pictures: PictureSet, description: str = "pictures", batch_size: int = BATCH
) -> torch.Tensor:
    """Embed pictures through the prompted tower: `(pictures, projection_dim)` on the CPU, not normalised."""
    with inference(model):
        batches = pictures.batches(batch_size, description)
        return torch.cat([model.get_image_features(batch.to(model.device)).float().cpu() for batch in batches])


def embed_pictures_frozen(model: Any, pictures: PictureSet, cache: ImageFeatureCache | None = None) -> torch.Tensor:
    """Read pictures off the tower without adapters.

    Args:
        model (`BrainImageModel`): whose tower it is.
        pictures (`PictureSet`): each is encoded once.
        cache (`ImageFeatureCache`, *optional*): where pictures that were encoded before are looked up.

    Returns:
        `torch.Tensor` of shape `(pictures, num_layers, width)` on the CPU, float32.
    """

    def encode(part: PictureSet) -> torch.Tensor:
        with inference(model):
            batches = part.batches(BATCH, "frozen features")
            read = [model.get_frozen_image_features(batch.to(model.device)).float().cpu() for batch in batches]
        return torch.cat(read)

    if cache is None:
        return encode(pictures)
    tower = {
        "tower": model.tower_fingerprint(),
        "layers": model.config.feature_layers,
        "token": model.config.vision_feature_token,
    }
    return cache.features(pictures, tower, encode)


def embed_texts(
    model: Any, processor: BrainImageProcessor, texts: Sequence[str], batch_size: int = BATCH
) -> torch.Tensor:
    """Texts to `(texts, projection_dim)` on the CPU, centred as the model centres them, not normalised.

    Args:
        model (`ClipSpaceModel`): with a text side.
        processor (`BrainCLIPProcessor`): with its tokenizer.
        texts (sequence of `str`): in any number.
        batch_size (`int`): how many at once.
    """
    parts = []
    with inference(model):
        for start in range(0, len(texts), batch_size):
            tokens = processor.tokens(texts[start : start + batch_size])
            parts.append(model.get_text_features(**{k: v.to(model.device) for k, v in tokens.items()}).float().cpu())
    return torch.cat(parts)


def embed_prompts(
    model: Any,
    processor: BrainImageProcessor,
    names: Sequence[str],
    templates: Sequence[str],
    batch_size: int = BATCH,
) -> torch.Tensor:
    """Names in prompts of several templates, averaged as CLIP's authors do: each of length one, then their mean.

    Args:
        model (`ClipSpaceModel`): with a text side.
        processor (`BrainCLIPProcessor`): with its tokenizer.
        names (sequence of `str`): what stands in place of the {} of a template.
        templates (sequence of `str`): of the prompts.
        batch_size (`int`): prompts at once.

    Returns:
        `torch.Tensor` of shape `(names, projection_dim)`, of length one.
    """
    prompts = [template.format(name) for name in names for template in templates]
    embeds = normalize(embed_texts(model, processor, prompts, batch_size), dim=1)
    return normalize(embeds.view(len(names), len(templates), -1).mean(dim=1), dim=1)
