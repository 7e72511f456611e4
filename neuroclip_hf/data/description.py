"""What a trial store holds and how it was made, in plain values."""

from pathlib import Path
from typing import Any

import pandas as pd

from neuroclip_hf import columns
from neuroclip_hf.data.leftovers import find_leftovers
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError


def summarise_store(path: str | Path) -> dict[str, Any]:
    """What a store holds, in a few entries: what `neuroclip prepare` and `neuroclip import` print.

    Args:
        path (path): the store.

    Raises:
        InputError: if there is no store.
    """
    store = TrialStore(path)
    splits = store.trials[columns.SPLIT].value_counts()
    return {
        "store": str(path),
        "fingerprint": store.info.fingerprint,
        "data": store.info.data,
        "protocol": store.info.protocol,
        "target": store.info.target,
        "subjects": store.subjects,
        **{
            f"{split}_trials": int(splits.get(split, 0))
            for split in columns.SPLITS
            if split in splits or split != columns.IMAGERY
        },
        "channels": _channel_count(store),
        "num_timesteps": store.info.num_timesteps,
        "sampling_rate": store.info.sampling_rate,
        "train_pictures": len(store.gallery(columns.TRAIN)),
        "test_pictures": len(store.gallery(columns.TEST)),
        "warnings": store.info.warnings,
    }


def _channel_count(store: TrialStore) -> int | dict[str, int]:
    """One number where every subject has it, else a number a subject."""
    counts = {name: len(store.channels(name)) for name in store.subjects}
    return counts if len(set(counts.values())) > 1 else next(iter(counts.values()))


def describe_store(path: str | Path) -> dict[str, Any]:
    """What a store holds, subject by subject and split by split, and how it was made: what `neuroclip info` prints.

    Args:
        path (path): the store.

    Returns:
        Plain values, for JSON; `window` in seconds from the onset, the end not included, None for patterns. Where
        channels are listed subject by subject, `channels` is empty and `channels_by_subject` counts them.

    Raises:
        InputError: if there is no store; what a killed process left of one is named.
    """
    path = Path(path)
    leftovers = find_leftovers(path)
    if leftovers and not path.exists():
        raise InputError(f"{path} does not exist yet. {'. '.join(map(str, leftovers))}.")
    store = TrialStore(path)
    made = store.info
    return {
        "store": str(path),
        "fingerprint": made.fingerprint,
        "data": made.data,
        "modality": made.modality,
        "source": made.source,
        "protocol": made.protocol,
        "target": made.target,
        "subjects": {name: _splits(store.trials[store.trials[columns.SUBJECT] == name]) for name in store.subjects},
        "galleries": {
            split: {"pictures": len(seen), "concepts": int(seen[columns.CONCEPT].nunique())}
            for split, seen in ((split, store.gallery(split)) for split in (columns.TRAIN, columns.TEST))
        },
        "channels": made.channels,
        **({"channels_by_subject": _by_subject(store)} if store.has_channel_table else {}),
        "num_timesteps": made.num_timesteps,
        "sampling_rate": made.sampling_rate,
        "window": None if made.window is None else [round(edge, 6) for edge in made.window],
        "unit": made.unit,
        "whitening_fit": made.whitening_fit,
        "redistribute_pictures": made.redistribute_pictures,
        "settings": made.settings,
        "versions": made.versions,
        "sources": made.sources,
        "warnings": made.warnings,
        "leftovers": [one.to_dict() for one in leftovers],
    }


def _by_subject(store: TrialStore) -> dict[str, dict[str, Any]]:
    """Subject -> how many channels it has, and how many of them lie in each region of interest."""
    return {
        name: {
            "channels": len(store.channels(name)),
            "rois": {roi: int(mask.sum()) for roi, mask in store.rois(name).items()},
        }
        for name in store.subjects
    }


def _splits(trials: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Split -> trials, targets, concepts, sessions, and fewest and most repeats of a target."""
    found = {}
    for split in columns.SPLITS:
        mine = trials[trials[columns.SPLIT] == split]
        if not len(mine):
            continue
        targets = mine[columns.IMAGE_ID].where(mine[columns.IMAGE_ID] != "", mine[columns.CONCEPT])
        repeats = targets.value_counts()
        found[split] = {
            "trials": len(mine),
            "targets": len(repeats),
            "concepts": int(mine[columns.CONCEPT].nunique()),
            "sessions": int(mine[columns.SESSION].nunique()),
            "fewest_repeats": int(repeats.min()),
            "most_repeats": int(repeats.max()),
        }
    return found
