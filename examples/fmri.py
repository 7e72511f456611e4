"""What decoders find in three files of recorded fMRI, with intervals and shuffled controls, and in simulated fMRI.

    python examples/fmri.py --data FOLDER
    python examples/fmri.py --data FOLDER --only figures
    python examples/fmri.py --only simulated

`figures`: which of ten figures was shown, from primary visual cortex, and figures that no training trial showed.
`objects`: the category of photographs held out, from inferior-temporal cortex, and photographs of categories held out,
by what they show and by what their captions say. `haxby`: which of eight categories, one run held out at a time.
`simulated`: pictures and texts together against either alone and against ridge, and mapping networks side by side, on
simulated Generic Object Decoding; see `fmri_simulated.py`.

In the recorded parts every penalty is chosen by cross-validation inside the training trials of its fold, `control` is
the mean of the same analyses with what was shown shuffled, `p` the part of them (the true one counted) that find as
much. Intervals are of 95 %, from resampling what `over` names. The last line on stdout is JSON.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fmri_data import Trials, caption_features, picture_features, read_figures, read_haxby, read_objects
from fmri_decoding import MODELS, Rule, as_they_are, averaged, decode_classes, hits, identify, nearest_mean
from fmri_simulated import compare, compared_table
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from neuroclip_hf import InputError
from neuroclip_hf.logging import progress, set_verbosity
from neuroclip_hf.metrics.significance import bootstrap_interval

FOLDS, SEED = 10, 0
SIMULATED = "simulated"
Row = dict[str, Any]
Shuffles = dict[str, int]


def main() -> int:
    """Run the example."""
    arguments = _arguments()
    set_verbosity("error")  # that shuffled patterns predict nothing would be said hundreds of times
    torch.set_num_threads(1)  # thousands of small systems, between which threads would only wait for each other
    parts: dict[str, Callable[[Path, Shuffles], list[Row]]] = {"figures": figures, "objects": objects, "haxby": haxby}
    shuffles = {"labels": arguments.permutations, "volumes": arguments.volumes, "pictures": arguments.shuffled}
    found: dict[str, Any] = {}
    started = time.perf_counter()
    try:
        for name in arguments.only or [*parts, SIMULATED]:
            found[name] = compare(arguments.seeds) if name == SIMULATED else parts[name](arguments.data, shuffles)
            print(compared_table(found[name]) if name == SIMULATED else _table(name, found[name]), flush=True)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({**found, "seconds": round(time.perf_counter() - started, 1)}))
    return 0


def figures(folder: Path, shuffles: Shuffles) -> list[Row]:
    """Ten figures: a presentation of all of them held out, then two figures held out."""
    trials, pictures = read_figures(folder)
    labels = shuffled_labels(trials.item, trials.block, trials.block * len(pictures) + trials.item, shuffles["labels"])
    rows = []
    for model in MODELS:
        found = hits(_over_blocks(trials, labels, model, as_they_are), labels)
        rows.append(_row("10-way, a block held out", model, found, trials.item, "figures", 0.1, bar=0.85))
    pairs = [np.array(pair) for pair in combinations(range(len(pictures)), 2)]
    tower = picture_features(pictures)
    targets = {
        "pixels": torch.from_numpy(pictures).flatten(1) / 255,
        "small-clip's patches": tower["patches"],
        "small-clip's embedding": tower["embedding"],
    }
    for name, features in targets.items():
        found = _identified(trials, features, pairs, "ridge", "other", shuffles["pictures"])
        what = f"pairwise, two figures held out: {name}"
        bar = None if name == "small-clip's embedding" else 0.75
        rows.append(_row(what, "ridge", found, trials.item, "figures", 0.5, bar=bar))
    return rows


def objects(folder: Path, shuffles: Shuffles) -> list[Row]:
    """92 photographs: a tenth of them held out, then two of the six categories held out."""
    trials, pictures, captions = read_objects(folder)
    numbers = np.arange(len(pictures))
    kept = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(numbers, trials.unit)
    tenths = [test for _, test in kept]
    folds = [(~np.isin(numbers, test), np.isin(numbers, test)) for test in tenths]
    labels = shuffled_labels(trials.unit, np.zeros_like(numbers), numbers, shuffles["labels"])
    rows = []
    for model in MODELS:
        found = hits(decode_classes(trials, labels, folds, numbers, model, as_they_are), labels)
        rows.append(_row("6-way, photographs held out", model, found, None, "photographs", 1 / 6, highest_p=0.01))
    seen, said = picture_features(pictures), caption_features(captions)
    targets = {
        "image (small-clip)": seen["embedding"],
        "caption (small-clip)": said["embedding"],
        "caption (bag of words)": said["words"],
    }
    held = {
        "photographs held out": (tenths, "all", None, "photographs"),
        "categories held out, rival of another": (_pairs_of(trials), "other", trials.unit, "categories"),
        "categories held out, rival of the same": (_pairs_of(trials), "same", trials.unit, "categories"),
    }
    for what, (items, rivals, over, word) in held.items():
        for (name, features), model in ((target, model) for target in targets.items() for model in MODELS):
            found = _identified(trials, features, items, model, rivals, shuffles["pictures"])
            rows.append(_row(f"pairwise, {what}: {name}", model, found, over, word, 0.5))
    return rows


def haxby(folder: Path, shuffles: Shuffles) -> list[Row]:
    """Eight categories, one run held out at a time: single volumes, and the mean of a block's scores."""
    trials = read_haxby(folder)
    blocks = trials.block * len(trials.names) + trials.item
    labels = shuffled_labels(trials.item, trials.block, blocks, shuffles["volumes"])
    rows = []
    for rule, word in ((as_they_are, "highest code"), (nearest_mean, "nearest mean")):
        scores = _over_blocks(trials, labels, "ridge", rule)
        what, runs = f"8-way, a run held out, {word}", trials.block
        rows.append(_row(f"{what}: single volumes", "ridge", hits(scores, labels), runs, "runs", 1 / 8, bar=0.7))
        means = hits(*averaged(scores, labels, blocks))
        runs = runs[np.unique(blocks, return_index=True)[1]]
        rows.append(_row(f"{what}: blocks", "ridge", means, runs, "runs", 1 / 8, bar=0.7))
    return rows


def shuffled_labels(
    labels: NDArray[np.int64], within: NDArray[np.int64], together: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """The labels (trials,), and `count` times the same shuffled: (1 + count, trials).

    Args:
        labels (array): (trials,).
        within (array): (trials,), labels change places among trials of one number only, such as a run.
        together (array): (trials,), trials of one number have one label and keep one, such as a block of volumes.
        count (`int`): how many.
    """
    generator = np.random.default_rng(SEED)
    versions = np.tile(labels, (1 + count, 1))
    for version in versions[1:]:
        for number in np.unique(within):
            mine = np.flatnonzero(within == number)
            _, first, place = np.unique(together[mine], return_index=True, return_inverse=True)
            version[mine] = generator.permutation(labels[mine[first]])[place.ravel()]
    return versions


def _over_blocks(trials: Trials, labels: NDArray[np.int64], model: str, rule: Rule) -> torch.Tensor:
    folds = [(trials.block != number, trials.block == number) for number in np.unique(trials.block)]
    return decode_classes(trials, labels, folds, trials.block, model, rule)


def _pairs_of(trials: Trials) -> list[NDArray[np.int64]]:
    """The items of every two units."""
    return [np.flatnonzero(np.isin(trials.unit, pair)) for pair in combinations(range(len(trials.names)), 2)]


def _identified(
    trials: Trials,
    features: torch.Tensor,
    held_out: Sequence[NDArray[np.int64]],
    model: str,
    rivals: str,
    shuffled: int,
) -> torch.Tensor:
    """Values (1 + shuffled, trials): the true one, and with the features dealt out to other pictures."""
    generator = np.random.default_rng(SEED)
    orders = [np.arange(len(features)), *(generator.permutation(len(features)) for _ in range(shuffled))]
    orders_shown = progress(orders, desc=f"{model}, pictures shuffled")
    return torch.stack([identify(trials, features[order], held_out, model, rivals) for order in orders_shown])


def _row(
    what: str,
    model: str,
    values: torch.Tensor,
    over: NDArray[np.int64] | None,
    word: str,
    chance: float,
    bar: float | None = None,
    highest_p: float | None = None,
) -> Row:
    """A figure, from the values of each trial (1 + shuffled, trials), the true ones first."""
    interval = bootstrap_interval(values[0], None if over is None else over.tolist())
    means = values.mean(dim=1)
    p = float((means >= means[0] - 1e-9).sum()) / len(means)
    reached = (bar is None or interval.estimate >= bar) and (highest_p is None or p < highest_p)
    return {
        "what": what,
        "model": model,
        "value": round(interval.estimate, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "over": word,
        "queries": values.shape[1],
        "control": round(float(means[1:].mean()), 4) if len(means) > 1 else None,
        "p": p if len(means) > 1 else None,
        "shuffles": len(means) - 1,
        "chance": round(chance, 4),
        "asked": f"p < {highest_p}" if highest_p else f">= {bar}" if bar else None,
        "reached": reached if bar or highest_p else None,
    }


def _table(name: str, rows: Sequence[Row]) -> str:
    """All figures of a part, one a line."""
    width = max(len(row["what"]) for row in rows)
    lines = [f"\n{name:<{width}}  model   value  interval, over            control      p  chance  asked, reached"]
    for row in rows:
        control, p = (f"{'-' if row[key] is None else format(row[key], '.3f'):>7}" for key in ("control", "p"))
        interval = f"{row['low']:.3f}-{row['high']:.3f} {row['over']}"
        asked = f"{row['asked']} {'yes' if row['reached'] else 'no'}" if row["asked"] else "-"
        lines.append(
            f"{row['what']:<{width}}  {row['model']:<6}  {row['value']:.3f}  {interval:<25} {control} {p}  "
            f"{row['chance']:.3f}  {asked}"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    real_data = os.environ.get("NEUROCLIP_REAL_DATA")
    default = Path(real_data) / "fmri" if real_data else None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default, help="folder of the three files")
    choices = ("figures", "objects", "haxby", SIMULATED)
    parser.add_argument("--only", action="append", choices=choices, help="a part; repeatable")
    parser.add_argument("--permutations", type=int, default=999, help="shuffles of figures' and categories' labels")
    parser.add_argument("--volumes", type=int, default=99, help="shuffles of the labels of volumes")
    parser.add_argument("--shuffled", type=int, default=20, help="shuffles of pictures and captions")
    parser.add_argument("--seeds", type=int, default=3, help="trainings a row of the simulated part")
    arguments = parser.parse_args()
    if arguments.data is None and arguments.only != [SIMULATED]:
        parser.error("the recorded parts need --data, or NEUROCLIP_REAL_DATA.")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
