"""Test trials of `neuroclip prepare arrays`, where the file has no split of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.sources.array_file import need_array, texts_of
from neuroclip_hf.errors import InputError


def hold_out_runs(values: dict[str, NDArray[Any]], runs: Sequence[int], path: Path) -> NDArray[np.str_]:
    """The split of each trial, where whole runs test.

    Raises:
        InputError: for a run that is not there.
    """
    held = need_array(values, "run", path)
    unknown = [run for run in runs if run not in held]
    if unknown:
        known = ", ".join(str(run) for run in np.unique(held))
        raise InputError(f"{path} has no run {unknown[0]} that could test: it has {known}.")
    return np.where(np.isin(held, runs), columns.TEST, columns.TRAIN)


def hold_out_part(
    values: dict[str, NDArray[Any]], protocol: str, part: float, seed: int, path: Path
) -> NDArray[np.str_]:
    """The split of each trial, where a part of what the protocol tests anew does: concepts, pictures or trials.

    Of new concepts so many are drawn, of new pictures so many of each concept (of all, where each concept has one),
    and of new trials the last ones of each subject and picture; rounded, but at least one.

    Raises:
        InputError: if nothing could be held out so, or nothing would be left.
    """
    image = pd.Series(need_array(values, "image_id", path))
    concepts = np.array(
        texts_of(values, "concept", int(image.max()) + 1, path, [f"{row}" for row in range(image.max() + 1)])
    )
    trials = pd.DataFrame({"image": image, "concept": concepts[image]})
    trials["subject"] = texts_of(values, "subject", len(trials), path, default=[""] * len(trials))
    if protocol == columns.NEW_TRIALS:
        group = trials.groupby(["subject", "image"])["image"]
        last = group.cumcount(ascending=False)
        held = last < (group.transform("size") * part).round().clip(lower=1)
    else:
        generator = np.random.default_rng(seed)
        pictures = trials[["image", "concept"]].drop_duplicates()
        if protocol == columns.NEW_CONCEPTS:
            held = trials["concept"].isin(_draw(sorted(set(pictures["concept"])), part, generator))
        elif pictures["concept"].is_unique:
            held = trials["image"].isin(_draw(sorted(pictures["image"]), part, generator))
        else:
            groups = [sorted(mine["image"]) for _, mine in pictures.groupby("concept")]
            held = trials["image"].isin(
                [one for mine in groups if len(mine) > 1 for one in _draw(mine, part, generator)]
            )
    if not held.any() or held.all():
        raise InputError(
            f"{path}: test_part is {part}, and under {protocol} {'every' if held.any() else 'no'} trial would test."
        )
    return np.where(held, columns.TEST, columns.TRAIN)


def _draw(names: Sequence[Any], part: float, generator: np.random.Generator) -> list[Any]:
    return list(generator.choice(np.array(names), size=max(1, round(len(names) * part)), replace=False))
