"""What generated pictures are held against, and the seed of each."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.errors import InputError
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.run_files import GENERATION_KINDS

KINDS = tuple(GENERATION_KINDS)
GENERATED, SHUFFLED, MEAN, NEAREST = KINDS
CONTROLS = (SHUFFLED, MEAN, NEAREST)
PAINTED = (GENERATED, SHUFFLED, MEAN)
"""What the pipeline paints; the nearest training picture is looked up."""


def seed_of(query: Query, seed: int) -> int:
    """The seed of a query's start noise, below 2**63: of `seed`, the subject and what was shown, and nothing else.

    A query's controls share it, so that they differ from its picture by the embedding alone.
    """
    shown = query.image_id or f"{query.concept} {query.trials}"
    digest = hashlib.sha256("\0".join([str(seed), query.subject, shown]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def shuffled_places(queries: Sequence[Query], seed: int) -> list[int]:
    """For each query, the place of another of the same subject: where another concept was shown, if there is one.

    Drawn by the query's own seed, so that it does not hang on which other queries are painted.

    Raises:
        InputError: if a subject has queries of one target only.
    """
    places = []
    for query in queries:
        mine = [place for place, other in enumerate(queries) if other.subject == query.subject]
        others = [place for place in mine if queries[place].concept != query.concept]
        others = others or [place for place in mine if queries[place].image_id != query.image_id]
        if not others:
            raise InputError(
                f"{query.subject} was tested on {query.image_id or query.concept} alone: the shuffled control needs "
                "two targets."
            )
        places.append(others[np.random.default_rng([seed_of(query, seed), 1]).integers(len(others))])
    return places


def nearest_places(brain_embeds: torch.Tensor, picture_embeds: torch.Tensor) -> list[int]:
    """The training picture that each brain embedding retrieves: (queries, width) in (pictures, width), by cosine.

    What retrieval alone can do, in the run's own space: a picture that is sharp, and of something else.
    """
    return similarity(brain_embeds, picture_embeds).argmax(dim=1).tolist()
