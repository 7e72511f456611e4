"""Checkpoint + test split -> report: one schema for the whole package."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, target_mask
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json
from neuroclip_hf.metrics.retrieval import accuracy_from_scores, chance_level, pairwise_identification, similarity
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, embed_queries
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

REPORT_FILE = "report.json"
SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """What an evaluation found. Accuracies and chance are fractions in [0, 1].

    Args:
        top1, top5 (`float`): part of the queries whose right picture ranks first, or among the first five.
        chance, chance_top5 (`float`): the same for a random ranking, exactly.
        gallery_size, num_queries (`int`): how many pictures are ranked, how many queries are asked.
        control_top1 (`float` or None): `top1` of the same model trained on shuffled pairs; None if none was trained.
        pairwise (`float`): mean part of all pairs of a right and a wrong picture in which the right one scores higher.
        data (`str`): "recorded" or "simulated".
        tower (`str`): the vision tower; "small-clip" ships with the package, "random" is one with random weights.
        seed (`int` or None): of the training; None where run.json is missing.
        protocol (`str`): what training and test shared.
        split (`str` or None): the run's, one of `columns.SUBJECT_SPLITS`; None where run.json is missing.
        tested_subjects (`str` or None): "trained" where the subjects tested are among those that trained (within
            subject), "new" where none of them is (across subjects), else "mixed"; None where run.json is missing.
            Subjects are told apart by name.
        gallery (`str`): which pictures are ranked, in words.
        averaged_repeats (`int` or `float`): trials averaged into a query; the mean where queries differ.
        target (`str`): "image", or "concept" where any picture of the concept counts as right.
        tier (`str`): "inductive": nothing of the test split was used but the query itself.
        selection (`str` or None): how the epoch was chosen: "loss", "top1" (both on validation) or "last".
        subjects (`dict`): subject -> its `top1`, `top5`, `pairwise`, `num_queries`.
        store (`str`): fingerprint of the store.
        run (`dict`): what the run says of its training.
    """

    top1: float
    top5: float
    chance: float
    chance_top5: float
    gallery_size: int
    num_queries: int
    control_top1: float | None
    pairwise: float
    data: str
    tower: str
    seed: int | None
    protocol: str
    split: str | None
    tested_subjects: str | None
    gallery: str
    averaged_repeats: float
    target: str
    tier: str
    selection: str | None
    subjects: dict[str, dict[str, float]]
    store: str
    run: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Ranking:
    """Scores of every query against every gallery picture of the test split.

    Args:
        queries (`list[Query]`): the rows.
        image_ids (`list[str]`): the columns.
        scores (`torch.Tensor` of shape `(queries, gallery)`): cosine similarities.
        mask (`torch.Tensor` of shape `(queries, gallery)`, bool): which pictures are right.
    """

    queries: list[Query]
    image_ids: list[str]
    scores: torch.Tensor
    mask: torch.Tensor


def rank_test_split(
    model: Any,
    processor: BrainImageProcessor,
    store: TrialStore,
    *,
    average: int | None = None,
    draws: int | None = None,
    subjects: Sequence[str] | None = None,
    seed: int = 0,
) -> Ranking:
    """Open the test split and rank its gallery for every query.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        store (`TrialStore`): with test trials that fit the checkpoint.
        average (`int`, *optional*): trials a query, see [`make_queries`]; None averages all repeats of a picture, or
            takes single trials where only concepts are known.
        draws (`int`, *optional*): random queries a target instead of disjoint ones.
        subjects (sequence of `str`, *optional*): whose trials; all by default.
        seed (`int`): of the draws.

    Raises:
        InputError: if the store has no test trials, or does not fit the checkpoint.
    """
    check_fit(processor, store)
    rows = store.select(columns.TEST, subjects)
    if not len(rows):
        raise InputError(
            f"{store.path} holds no test trials: prepare it with --test-files, --test-concepts or a split."
        )
    if draws is not None and (draws < 1 or (average is None and not store.concepts_only)):
        raise InputError(f"draws is {draws}: it must be at least 1, and --average must say how many trials are drawn.")
    if average is None and store.concepts_only:
        average = 1
    queries = make_queries(store.trials, rows, average, draws=draws, seed=seed)
    gallery = store.gallery(columns.TEST)
    mask = torch.from_numpy(target_mask(queries, gallery))
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    scores = similarity(
        embed_queries(model, processor, store, queries), embed_pictures(model, pictures, "test gallery")
    )
    return Ranking(queries, list(gallery[columns.IMAGE_ID]), scores, mask)


def evaluate(
    ranking: Ranking,
    store: TrialStore,
    run: dict[str, Any],
    tower: str,
    control: Ranking | None = None,
    *,
    protocol: str | None = None,
) -> Report:
    """Turn rankings into a report.

    Args:
        ranking (`Ranking`): of the trained model.
        store (`TrialStore`): where its queries come from.
        run (`dict`): what run.json says; empty for a checkpoint that came without one.
        tower (`str`): name of the vision tower.
        control (`Ranking`, *optional*): of the model trained on shuffled pairs.
        protocol (`str`, *optional*): what training and test really shared; by default what the store declares.
    """
    size = len(ranking.image_ids)
    sizes = [len(query.trials) for query in ranking.queries]
    repeats = sizes[0] if len(set(sizes)) == 1 else round(float(np.mean(sizes)), 2)
    shown = "every picture of the concept is right" if store.concepts_only else "the shown picture is right"
    found = accuracy_of(ranking)
    return Report(
        top1=found["top1"],
        top5=found["top5"],
        pairwise=found["pairwise"],
        chance=chance_level(ranking.mask, size, 1),
        chance_top5=chance_level(ranking.mask, size, 5),
        gallery_size=size,
        num_queries=len(ranking.queries),
        control_top1=None if control is None else accuracy_of(control)["top1"],
        data=store.info.data,
        tower=tower,
        seed=run.get("seed"),
        protocol=protocol or store.info.protocol,
        split=run.get("split"),
        tested_subjects=_acquaintance(run, {query.subject for query in ranking.queries}),
        gallery=f"the {size} pictures of the test split, unblurred; {shown}",
        averaged_repeats=repeats,
        target=store.info.target,
        tier="inductive",
        selection=run.get("selection"),
        subjects=_by_subject(ranking),
        store=store.info.fingerprint,
        run={**run, "same_store": run["store"] == store.info.fingerprint} if run else {},
    )


def accuracy_of(ranking: Ranking) -> dict[str, float]:
    """`top1`, `top5` and `pairwise` of a ranking, fractions in [0, 1]."""
    found = accuracy_from_scores(ranking.scores, ranking.mask, ks=(1, 5))
    return {**found, "pairwise": pairwise_identification(ranking.scores, ranking.mask)}


def subjects_to_test(
    run: dict[str, Any], store: TrialStore, subjects: Sequence[str] | None = None
) -> list[str] | None:
    """Whose test trials an evaluation of a run opens.

    Args:
        run (`dict`): what run.json says; empty for a checkpoint that came without one.
        store (`TrialStore`): to be evaluated on.
        subjects (sequence of `str`, *optional*): whom the user names. By default the subject that was held out, else
            those who trained; in a store that has none of them, everybody.

    Returns:
        Names of the store; None means everybody.

    Raises:
        InputError: if some of them trained and some did not: their numbers mean different things.
    """
    if subjects is None and run:
        planned = [run["held_out_subject"]] if run["held_out_subject"] else run["subjects"]
        subjects = [name for name in planned if name in store.subjects] or None
        if subjects is None and run["store"] == store.info.fingerprint:
            raise InputError(f"{store.path} holds none of {', '.join(planned)}, whom the run is to be tested on.")
    tested = store.subjects if subjects is None else list(dict.fromkeys(store.subject(name) for name in subjects))
    trained = [name for name in tested if name in run.get("subjects", ())]
    if trained and len(trained) < len(tested):
        new = [name for name in tested if name not in trained]
        raise InputError(
            f"The run was trained on {', '.join(trained)} and not on {', '.join(new)}: what they give means different "
            "things; name the ones or the others with --subjects."
        )
    return None if subjects is None else tested


def check_fit(processor: BrainImageProcessor, store: TrialStore) -> None:
    """Refuse a store whose channels, rate, window or unit are not the checkpoint's, before anything is computed.

    Raises:
        InputError: naming what differs.
    """
    mine, info = processor.feature_extractor, store.info
    if (info.num_timesteps is None) != (mine.num_timesteps is None):
        raise InputError(
            f"{store.path} holds {info.modality}; the checkpoint takes {mine.input_name}: use its own kind."
        )
    missing = [name for name in mine.channel_names if name not in info.channels]
    if missing:
        raise InputError(
            f"{store.path} lacks the channels {', '.join(missing)} of the checkpoint; it has "
            f"{', '.join(info.channels)}: prepare it with the same --channels."
        )
    for name, remedy in (
        ("sampling_rate", "--rate"),
        ("window_start", "--window"),
        ("num_timesteps", "--window"),
        ("unit", "preprocessing"),
    ):
        theirs, own = getattr(info, name), getattr(mine, name)
        if theirs != own:
            raise InputError(
                f"{store.path}: {name} is {theirs}, the checkpoint's is {own}: prepare with its {remedy}."
            )


def write_report(report: Report, folder: str | Path) -> Path:
    """Write `report.json` into a run's folder and return its path."""
    path = Path(folder) / REPORT_FILE
    write_json(path, report.to_dict())
    return path


def read_report(folder: str | Path) -> dict[str, Any] | None:
    """What `report.json` of a run says; None if the run was not evaluated."""
    path = Path(folder) / REPORT_FILE
    return read_json(path) if path.is_file() else None


def _acquaintance(run: dict[str, Any], tested: set[str]) -> str | None:
    if not run:
        return None
    trained = tested & set(run["subjects"])
    if trained == tested:
        return columns.TRAINED_SUBJECTS
    return columns.MIXED_SUBJECTS if trained else columns.NEW_SUBJECTS


def _by_subject(ranking: Ranking) -> dict[str, dict[str, float]]:
    names = [query.subject for query in ranking.queries]
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(names):
        rows = torch.tensor([place for place, other in enumerate(names) if other == name])
        mine = replace(ranking, scores=ranking.scores[rows], mask=ranking.mask[rows])
        found[name] = {**accuracy_of(mine), "num_queries": len(rows)}
    return found
