"""`compute_metrics` of transformers' `Trainer`: retrieval among the pictures of the evaluation dataset."""

from typing import Any

import numpy as np
import torch

from neuroclip_hf.metrics.chance import chance_level
from neuroclip_hf.metrics.retrieval import retrieval_accuracy


def retrieval_metrics(prediction: Any) -> dict[str, float]:
    """Does each recording find its picture among all pictures of the dataset?

    `Trainer(..., compute_metrics=retrieval_metrics)`, with `label_names=["image_id"]` in the arguments: rows with
    equal ids show one picture, which then stands in the gallery once. The Trainer gives no ids without it, and then
    nobody knows which rows are the same picture, so that any score would be one among the wrong ones.

    Args:
        prediction (`transformers.EvalPrediction`): `predictions` are the brain and the image embeddings, each (rows,
            projection_dim), and after them anything else; `label_ids` the ids (rows,).

    Returns:
        `top1` and `top5` of cosine retrieval, fractions in [0, 1]; `chance` and `chance_top5`, those of a random
        ranking; and `gallery_size`. The Trainer puts `eval_` in front of each.

    Raises:
        ValueError: if there are no ids, they do not fit, or the predictions are not pairs of embeddings.
    """
    brain, image = _embeddings(prediction.predictions)
    if prediction.label_ids is None or not np.size(prediction.label_ids):  # the Trainer's own none is empty
        raise ValueError(
            f"label_ids is missing for {len(image)} rows: pass label_names=['image_id'] to TrainingArguments, so that "
            "a picture that several rows show stands in the gallery once."
        )
    ids = np.asarray(prediction.label_ids)
    if ids.shape != (len(image),):
        raise ValueError(
            f"label_ids is {ids.shape} for {len(image)} rows: label_names=['image_id'] gives one id for each."
        )
    _, first, target = np.unique(ids, return_index=True, return_inverse=True)
    gallery, right = image[torch.from_numpy(first)], torch.from_numpy(target)
    accuracy = retrieval_accuracy(brain, gallery, right)
    chance = {name: chance_level(right, len(gallery), k) for name, k in (("chance", 1), ("chance_top5", 5))}
    return {**accuracy, **chance, "gallery_size": len(gallery)}


def _embeddings(predictions: Any) -> tuple[torch.Tensor, torch.Tensor]:
    if not isinstance(predictions, (tuple, list)) or len(predictions) < 2:
        raise ValueError(
            f"predictions is a {type(predictions).__name__}: it must hold brain_embeds and image_embeds, as our "
            "models return them for batches with pictures."
        )
    brain, image = (torch.from_numpy(np.asarray(side)) for side in predictions[:2])
    if brain.ndim != 2 or brain.shape != image.shape:
        raise ValueError(
            f"the embeddings are {tuple(brain.shape)} and {tuple(image.shape)}: both must be (rows, projection_dim)."
        )
    return brain, image
