"""Simulated Generic Object Decoding for `fmri.py`: which supervision, and which mapping network, finds more.

Recordings of made-up subjects at the dataset's size, from a seed that no setting was chosen on. Every row is trained
on each subject alone, from fresh weights for each seed (ridge, which is solved for, once), and asked for the 50 test
pictures and for their texts by single trials and by the mean of the predictions of all trials of a picture. Values are
those of a subject and picture, averaged over seeds and trials, so that rows are compared picture by picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from neuroclip_hf import TrialStore, columns
from neuroclip_hf.data.simulation.god import simulate_god
from neuroclip_hf.data.sources.god import prepare_god
from neuroclip_hf.evaluation import Ranking
from neuroclip_hf.evaluation.matching import image_answers, rank_answers, text_answers
from neuroclip_hf.evaluation.predictions import average_predictions, predict_trials
from neuroclip_hf.logging import progress
from neuroclip_hf.metrics.blocks import permutation_test_of_blocks
from neuroclip_hf.metrics.significance import bootstrap_interval, compare_paired
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.training.settings import load_recipe

SETTINGS = {"subjects": (1, 2), "seed": 7}
"""Of the simulation; the rest are its defaults, which are the dataset's own numbers."""
SOLVED = "ridge"
ROWS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "image + text (VAE)": ("brainclip", {}),
    "image": ("brainclip", {"text_weight": 0.0}),
    "text": ("brainclip", {"image_weight": 0.0}),
    "MLP": ("brainclip-mlp", {}),
    "linear": ("brainclip-linear", {}),
    SOLVED: ("brainclip-ridge", {}),
}
"""Name -> recipe, and what is changed in it; but for the second and third, under pictures and texts together."""
FIRST = next(iter(ROWS))
PAIRS = [*((FIRST, other) for other in ROWS if other != FIRST), ("linear", SOLVED)]


@dataclass(frozen=True)
class Values:
    """What a row found in one task.

    Args:
        found (`torch.Tensor` of shape `(pictures,)`): of each subject and picture, the mean over trials and seeds.
        subjects (`list[str]`): whose each is.
        p (`float`): of the first seed, with the targets of whole pictures exchanged.
        candidates (`int`): how many a query was compared with.
    """

    found: torch.Tensor
    subjects: list[str]
    p: float
    candidates: int


def compare(seeds: int, settings: Mapping[str, Any] = SETTINGS, changes: Mapping[str, Any] | None = None) -> Any:
    """Simulate, train all rows, and compare them.

    Args:
        seeds (`int`): trainings a row and subject.
        settings (`dict`): of the simulation.
        changes (`dict`, *optional*): to every recipe.

    Returns:
        `values`, a row for each task and method, and `differences`, one for each task and pair.
    """
    with TemporaryDirectory() as folder:
        simulate_god(Path(folder) / "god", **settings)
        store = TrialStore(prepare_god(Path(folder) / "god", Path(folder) / "store"))
        features = ImageFeatureCache(Path(folder) / "features")
        jobs = [(row, seed) for row in ROWS for seed in range(1 if row == SOLVED else seeds)]
        rankings: dict[str, list[list[dict[str, Ranking]]]] = {row: [] for row in ROWS}
        for row, seed in progress(jobs, desc="simulated"):
            mine = [_ask(store, subject, row, seed, changes or {}, features) for subject in store.subjects]
            rankings[row].append(mine)
    tasks = rankings[FIRST][0][0]
    found = {(task, row): _values(task, made) for task in tasks for row, made in rankings.items()}
    return {
        "values": [_value_row(task, row, values) for (task, row), values in found.items()],
        "differences": [_difference(task, pair, found) for task in tasks for pair in PAIRS],
    }


def _ask(
    store: TrialStore, subject: str, row: str, seed: int, changes: Mapping[str, Any], features: ImageFeatureCache
) -> dict[str, Ranking]:
    """Train a row on one subject; what it then finds in each task."""
    name, own = ROWS[row]
    recipe = load_recipe(name, {"seed": seed, "subjects": [subject], "checkpoint_minutes": None, **own, **changes})
    trained = train_on_store(recipe, store, image_features=features)
    model, processor = trained.model, trained.processor
    single = predict_trials(model, processor, store, subjects=[subject])
    queries = {"single trials": single, "all trials": average_predictions(single, store, None)}
    answers = {"pictures": image_answers(model, processor, store), "texts": text_answers(model, processor, store)}
    gallery = store.gallery(columns.TEST)
    return {
        f"{what}, {how}": rank_answers(asked, known, gallery)
        for what, known in answers.items()
        for how, asked in queries.items()
    }


def _values(task: str, made: Sequence[Sequence[Mapping[str, Ranking]]]) -> Values:
    """Of one row: seeds, each of subjects, each of tasks."""
    of_seeds = []
    for mine in made:
        parts = [one[task].by_picture(one[task].hits()["top1"]) for one in mine]
        of_seeds.append(torch.cat([values for values, _, _ in parts]))
        subjects = [subject for _, names, _ in parts for subject in names]
    first = [one[task] for one in made[0]]
    return Values(torch.stack(of_seeds).mean(dim=0), subjects, _p(first), first[0].scores.shape[1])


def _p(rankings: Sequence[Ranking]) -> float:
    blocks = [query.image_id for one in rankings for query in one.queries]
    scores, mask = (torch.cat([getattr(one, name) for one in rankings]) for name in ("scores", "mask"))
    return permutation_test_of_blocks(scores, mask, blocks).p


def _value_row(task: str, row: str, values: Values) -> dict[str, Any]:
    interval = bootstrap_interval(values.found, values.subjects)
    ends = {name: round(getattr(interval, name), 4) for name in ("low", "high")}
    value = {"value": round(interval.estimate, 4)} | ends
    return {"task": task, "row": row} | value | {"chance": round(1 / values.candidates, 4), "p": values.p}


def _difference(task: str, pair: tuple[str, str], found: Mapping[tuple[str, str], Values]) -> dict[str, Any]:
    first, second = (found[task, name] for name in pair)
    compared = compare_paired(first.found, second.found, first.subjects)
    numbers = {name: round(getattr(compared, name), 4) for name in ("difference", "low", "high", "p")}
    return {"task": task, "rows": list(pair)} | numbers


def compared_table(found: Mapping[str, Any]) -> str:
    """All figures, one a line."""
    lines = [f"\n{'simulated: top-1 of':<24}  {'row':<18}  value  interval      chance      p"]
    lines += [
        f"{one['task']:<24}  {one['row']:<18}  {one['value']:.3f}  {one['low']:.3f}-{one['high']:.3f}   "
        f"{one['chance']:.3f}  {one['p']:.3f}"
        for one in found["values"]
    ]
    lines.append(f"\n{'simulated: difference in':<24}  {'rows':<28}  value   interval              p")
    lines += [
        f"{one['task']:<24}  {' - '.join(one['rows']):<28}  {one['difference']:+.3f}  "
        f"{one['low']:+.3f} to {one['high']:+.3f}  {one['p']:.3f}"
        for one in found["differences"]
    ]
    return "\n".join(lines)
