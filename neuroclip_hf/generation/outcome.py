"""What was painted, scored beside its controls."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.generation.controls import GENERATED, KINDS, NEAREST, PAINTED, seed_of, shuffled_places
from neuroclip_hf.generation.inputs import GenerationInputs
from neuroclip_hf.generation.painting import picture_path
from neuroclip_hf.generation.report import GenerationReport, summarise
from neuroclip_hf.generation.scores import (
    CHANCE,
    IDENTIFICATION_BY_PIPELINE,
    IDENTIFICATION_BY_RUN,
    LEFT_OUT,
    PICTURE_SCORES,
    by_score,
    identification,
    picture_scores,
)
from neuroclip_hf.generation.settings import BY_QUERIES
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures_frozen


def report_of(
    inputs: GenerationInputs, decisive: dict[str, Any], protocol: str, flags: Sequence[str]
) -> GenerationReport:
    """Score what was painted.

    Args:
        inputs (`GenerationInputs`): all pictures are painted.
        decisive (`dict`): the settings that decide a picture's bytes.
        protocol (`str`): what training and test share.
        flags (sequence of `str`): of the run and the store.
    """
    values, left_out = _values(inputs)
    queries = inputs.queries
    scores, differences = summarise(values, [query.subject for query in queries])
    space, info = inputs.embeddings.space, inputs.store.info
    own = f"the pipeline's image encoder ({decisive['image_encoder']}), which it also paints from"
    return GenerationReport(
        scores=scores,
        differences=differences,
        chance=dict(CHANCE),
        num_queries=len(queries),
        gallery_size=len(inputs.asked.gallery),
        num_training_embeddings=len(inputs.embeddings.pictures),
        num_recordings=inputs.embeddings.recordings,
        space={
            "kind": space.kind,
            "likeness": space.likeness,
            "alpha": space.alpha,
            "explained": space.explained,
        },
        settings=decisive,
        samples=_samples(inputs, values),
        protocol=protocol,
        trials=inputs.settings.trials,
        tier="transductive" if inputs.settings.moments == BY_QUERIES else "inductive",
        data=info.data,
        tower=inputs.model.config.tower,
        features={
            IDENTIFICATION_BY_PIPELINE: own,
            IDENTIFICATION_BY_RUN: f"the run's tower without adapters ({inputs.model.config.tower})",
        },
        left_out=[*left_out, LEFT_OUT],
        flags=[*flags, *_own_flags(inputs, protocol)],
        redistribute_pictures=info.redistribute_pictures,
    )


def _values(inputs: GenerationInputs) -> tuple[dict[str, dict[str, list[float]]], list[str]]:
    """Kind -> score -> one number a query; and what could not be computed, in words."""
    shown = inputs.shown
    features = _features(inputs)
    mask = inputs.asked.mask[list(inputs.places)]
    values: dict[str, dict[str, list[float]]] = {}
    for kind in KINDS:
        values[kind] = {}
        if None not in shown:
            pairs = zip(shown, inputs.pictures(kind), strict=True)
            values[kind] = by_score([picture_scores(inputs.store.open_picture(str(own)), one) for own, one in pairs])
        for name, found in features.items():
            values[kind][name] = identification(found[kind], found["gallery"], mask)
    # A small training picture is as large as it is: a score that one kind lacks is left out of all.
    common = [name for name in values[GENERATED] if all(name in each for each in values.values())]
    lacking = [name for name in PICTURE_SCORES if name not in common]
    why = "it is not known which picture was shown" if None in shown else "pictures are smaller than its window"
    left_out = [f"{', '.join(lacking)}: {why}"] if lacking else []
    return {kind: {name: each[name] for name in common} for kind, each in values.items()}, left_out


def _features(inputs: GenerationInputs) -> dict[str, dict[str, torch.Tensor]]:
    """Score -> kind, or "gallery" -> features (pictures, width)."""
    encoder, gallery = inputs.painter.encoder, inputs.asked.gallery
    sources: dict[str, list[str]] = {kind: [str(path) for path in inputs.files(kind)] for kind in PAINTED}
    sources |= {NEAREST: inputs.nearest, "gallery": gallery}
    found: dict[str, dict[str, torch.Tensor]] = {IDENTIFICATION_BY_PIPELINE: {}, IDENTIFICATION_BY_RUN: {}}
    for name, ids in sources.items():
        opened = (lambda path: open_picture(Path(path))) if name in PAINTED else inputs.store.open_picture
        found[IDENTIFICATION_BY_PIPELINE][name] = encoder.embed(map(opened, ids), len(ids), name)
        frozen = embed_pictures_frozen(inputs.model, PictureSet(opened, ids, inputs.processor))
        found[IDENTIFICATION_BY_RUN][name] = frozen.flatten(start_dim=1)
    return found


def _samples(inputs: GenerationInputs, values: Mapping[str, Mapping[str, Sequence[float]]]) -> list[dict[str, Any]]:
    queries = inputs.asked.queries
    others = shuffled_places(queries, inputs.settings.seed)
    return [
        {
            columns.SUBJECT: queries[place].subject,
            columns.IMAGE_ID: queries[place].image_id,
            columns.CONCEPT: queries[place].concept,
            "trials": len(queries[place].trials),
            "seed": seed_of(queries[place], inputs.settings.seed),
            "file": picture_path(inputs.out, GENERATED, place, queries[place]).name,
            "shuffled_from": queries[others[place]].image_id or queries[others[place]].concept,
            "nearest": inputs.nearest[place],
            "scores": {kind: {name: found[place] for name, found in each.items()} for kind, each in values.items()},
        }
        for place in inputs.places
    ]


def _own_flags(inputs: GenerationInputs, protocol: str) -> list[str]:
    flags, space = [], inputs.embeddings.space
    black = [path.name for kind in PAINTED for path in inputs.files(kind) if open_picture(path).getbbox() is None]
    if black:
        flags.append(
            f"{len(black)} painted pictures are black ({black[0]}): the pipeline's safety checker blackens what it "
            "refuses, and half precision what it cannot compute."
        )
    if space.explained is not None and space.explained <= 0:
        flags.append(
            f"The map into the pipeline's space explains nothing of held-out pictures (R squared "
            f"{space.explained:.3f}): what is painted hangs on the moments alone."
        )
    if protocol == columns.NEW_TRIALS:
        flags.append("Shown pictures are among the training pictures: the nearest of these may be the shown one.")
    return flags
