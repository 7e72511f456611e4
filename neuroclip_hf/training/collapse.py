"""Whether a trained encoder still tells recordings from each other."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from neuroclip_hf import columns

ONE_BIT = math.log(2)
"""Divergence of a code from its prior, in nats and on average, below which it counts as collapsed (ours): the code
then says less than one bit about its recording, of which the divergence is an upper bound (Hoffman and Johnson, "ELBO
surgery", NIPS workshop 2016)."""
LEAST_VARIATION = 1e-4
"""Part of the embeddings' mean square that differs between recordings, below which they count as constant (ours)."""


def find_collapse(model: Any, batches: Iterable[Mapping[str, torch.Tensor]]) -> list[str]:
    """Say what is wrong with a model whose encoder has collapsed.

    A variational encoder can find it cheapest to ignore its input: the posterior is the prior in (nearly) all numbers
    of the code, and what comes out is the same for every recording. Any other encoder can end with constant outputs
    too.

    Args:
        model (`BrainImageModel`): trained; it is looked at in eval mode, without gradient.
        batches (iterable of `Mapping`): some training recordings, by their names.

    Returns:
        A sentence for each finding; none for a sound encoder.
    """
    training = model.training
    model.eval()
    embeds, divergences = [], []
    with torch.no_grad():
        for batch in batches:
            given = {name: batch[name].to(model.device) for name in (model.main_input_name, columns.SUBJECT_INDEX)}
            brain, penalties = model.encode_recordings(**given)
            embeds.append(brain.double().cpu())
            if penalties and "kl" in penalties:
                divergences.append(penalties["kl"].double().cpu())
    model.train(training)
    found = []
    if divergences and (kl := float(torch.cat(divergences).mean())) < ONE_BIT:
        found.append(
            f"The variational encoder collapsed: its code diverges from the prior by {kl:.2g} nats a recording, and "
            f"less than {ONE_BIT:.2g} is not one bit. Lower kl_weight."
        )
    rows = torch.cat(embeds)
    variation = float(rows.var(dim=0, correction=0).sum() / rows.square().sum(dim=1).mean().clamp_min(1e-300))
    if variation < LEAST_VARIATION:
        found.append(
            f"The embeddings of different recordings are the same: only {variation:.1g} of their size differs between "
            "training recordings. Lower the encoder's penalties or weight_decay, or train longer."
        )
    return found
