"""Whether a trained encoder still tells recordings from each other."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from neuroclip_hf import columns
from neuroclip_hf.logging import get_logger

ONE_BIT = math.log(2)
"""Divergence of a code from its prior, in nats and on average, below which it counts as collapsed (ours): the code
then says less than one bit about its recording, of which the divergence is an upper bound (Hoffman and Johnson, "ELBO
surgery", NIPS workshop 2016)."""
LEAST_VARIATION = 1e-4
"""Part of the embeddings' mean square that differs between recordings, below which they count as constant (ours)."""


_ITEMS, _BATCH = 512, 64


def find_collapse(model: Any, dataset: Any, collator: Callable[[Any], dict[str, torch.Tensor]]) -> list[str]:
    """Say, and warn of, what is wrong with a model whose encoder has collapsed.

    A variational encoder can find it cheapest to ignore its input: the posterior is the prior in (nearly) all numbers
    of the code, and what comes out is the same for every recording. Any other encoder can end with constant outputs
    too.

    Args:
        model (`BrainImageModel`): trained; it is looked at in eval mode, without gradient.
        dataset (`torch.utils.data.Dataset`): what it was trained on; up to 512 items, evenly spread, are read (ours).
        collator (callable): items -> batch.

    Returns:
        A sentence for each finding; none for a sound encoder.
    """
    embeds, divergences = _encode(model, dataset, collator)
    found = []
    if len(divergences) and (kl := float(divergences.mean())) < ONE_BIT:
        found.append(
            f"The variational encoder collapsed: its code diverges from the prior by {kl:.2g} nats a recording, and "
            f"less than {ONE_BIT:.2g} is not one bit. Lower kl_weight."
        )
    variation = float(embeds.var(dim=0, correction=0).sum() / embeds.square().sum(dim=1).mean().clamp_min(1e-300))
    if variation < LEAST_VARIATION:
        found.append(
            f"The embeddings of different recordings are the same: only {variation:.1g} of their size differs between "
            "training recordings. Lower the encoder's penalties or weight_decay, or train longer."
        )
    for sentence in found:
        get_logger().warning("%s", sentence)
    return found


def _encode(
    model: Any, dataset: Any, collator: Callable[[Any], dict[str, torch.Tensor]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings (items, projection_dim), and divergences (items,) of a variational encoder; none of another."""
    items = np.unique(np.linspace(0, len(dataset) - 1, min(_ITEMS, len(dataset))).astype(int)).tolist()
    training, embeds, divergences = model.training, [], [torch.zeros(0, dtype=torch.float64)]
    model.eval()
    with torch.no_grad():
        for start in range(0, len(items), _BATCH):
            batch = collator([dataset[item] for item in items[start : start + _BATCH]])
            given = {name: batch[name].to(model.device) for name in (model.main_input_name, columns.SUBJECT_INDEX)}
            brain, penalties = model.encode_recordings(**given)
            embeds.append(brain.double().cpu())
            if "kl" in (penalties or {}):
                divergences.append(penalties["kl"].double().cpu())
    model.train(training)
    return torch.cat(embeds), torch.cat(divergences)
