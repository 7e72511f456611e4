"""The test split ranked by a model, and kept beside the report, see [`neuroclip_hf.data.rankings`]."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, target_mask
from neuroclip_hf.data.rankings import SavedRanking, read_ranking, write_ranking
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.metrics.retrieval import hits_from_scores, log_loss_from_scores, similarity
from neuroclip_hf.models.registry import solved_for
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, embed_queries
from neuroclip_hf.processing.fitting import fitting_part
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.run_files import PLAN_FILE, RANKING_FILE, REPORT_FILE, VARIATIONS


@dataclass(frozen=True)
class Ranking:
    """Scores of every query against every gallery picture of the test split.

    Args:
        queries (`list[Query]`): the rows.
        image_ids (`list[str]`): the columns.
        scores (`torch.Tensor` of shape `(queries, gallery)`): cosine similarities.
        mask (`torch.Tensor` of shape `(queries, gallery)`, bool): which pictures are right.
        concepts (`list[str]`): what the columns show.
        repeats (`list[tuple[int, ...]]`): of each query's trials, how many times the target had been shown before;
            with the query's subject and target they name the trials in any store of the same recordings.
        query_embeds (`torch.Tensor` of shape `(queries, projection_dim)`, *optional*): not normalised; not saved.
        gallery_embeds (`torch.Tensor` of shape `(gallery, projection_dim)`, *optional*): not normalised; not saved.
        scale (`float`, *optional*): the factor that the model learned for its cosines; None where it learned none.
    """

    queries: list[Query]
    image_ids: list[str]
    scores: torch.Tensor
    mask: torch.Tensor
    concepts: list[str] = field(default_factory=list)
    repeats: list[tuple[int, ...]] = field(default_factory=list)
    query_embeds: torch.Tensor | None = None
    gallery_embeds: torch.Tensor | None = None
    scale: float | None = None

    def saved(self) -> SavedRanking:
        """What is kept of it beside the report: all but the embeddings."""
        scores, mask = self.scores.float().cpu().numpy(), self.mask.cpu().numpy()
        return SavedRanking(scores, mask, self.queries, self.image_ids, self.concepts, self.repeats, self.scale)

    @property
    def subjects(self) -> list[str]:
        """Whose each query is."""
        return [query.subject for query in self.queries]

    def hits(self, ks: Sequence[int] = (1, 5)) -> dict[str, torch.Tensor]:
        """Which queries are found among the first k: `{"top1": (queries,) bool, "top5": ...}`."""
        return hits_from_scores(self.scores, self.mask, ks)

    def log_loss(self) -> torch.Tensor | None:
        """Of each query at the model's own scale, (queries,) float64; see [`log_loss_from_scores`].

        None where the model learned no scale, or a loss is not finite.
        """
        if self.scale is None:
            return None
        found = log_loss_from_scores(self.scores.double(), self.mask, self.scale).cpu()
        return found if found.isfinite().all() else None

    def answers(self) -> dict[str, torch.Tensor]:
        """What models are compared by, one value a query: the hits, and `log_loss` where there is one."""
        found, losses = self.hits(), self.log_loss()
        return found if losses is None else {**found, "log_loss": losses}

    def by_picture(self, values: torch.Tensor) -> tuple[torch.Tensor, list[str], bool]:
        """One value for each picture that a subject saw: what can be resampled as if it stood alone.

        Several queries of the same picture are more alike than queries of different ones, and intervals over them
        would be too narrow (ours). Where only concepts are known, each query stands for itself.

        Args:
            values (`torch.Tensor` of shape `(queries,)`): what [`Ranking.answers`] holds of one measure.

        Returns:
            Means over the queries of a subject and picture, the subject of each, and whether anything was averaged.
        """
        keys = [(query.subject, query.image_id or place) for place, query in enumerate(self.queries)]
        places = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        index = torch.tensor([places[key] for key in keys])
        sums = torch.zeros(len(places), dtype=torch.float64).index_add_(0, index, values.double())
        return sums / torch.bincount(index), [str(subject) for subject, _ in places], len(places) < len(keys)


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
        InputError: if the store has no test trials, does not fit the checkpoint, or its gallery lacks a target.
    """
    store = fitting_part(processor, store)
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
    query_embeds = embed_queries(model, processor, store, queries)
    gallery_embeds = embed_pictures(model, pictures, "test gallery")
    return Ranking(
        queries,
        list(gallery[columns.IMAGE_ID]),
        similarity(query_embeds, gallery_embeds),
        mask,
        list(gallery[columns.CONCEPT]),
        _repeats(store, queries),
        query_embeds,
        gallery_embeds,
        None if solved_for(model.config.encoder_config.model_type) else float(model.scale().detach()),
    )


def save_ranking(ranking: Ranking, folder: str | Path, name: str = RANKING_FILE) -> Path:
    """Write `ranking.safetensors` into a run's folder, see [`write_ranking`], and return its path.

    Raises:
        InputError: if the ranking's parts do not fit each other.
    """
    return write_ranking(ranking.saved(), folder, name)


def load_ranking(folder: str | Path, name: str = RANKING_FILE) -> Ranking:
    """Read `ranking.safetensors`, or a file of another name, of a run's folder.

    Raises:
        InputError: if the run was not evaluated, or the file is damaged or its parts do not fit each other.
    """
    saved = read_ranking(folder, name)
    if saved is None:
        if any((Path(folder) / several).exists() for several in (PLAN_FILE, VARIATIONS)):
            raise InputError(
                f"{folder} holds several runs, and no ranking of its own: name one of them, in a folder runs/ below "
                "it."
            )
        again = (
            f", again with --overwrite, as its {REPORT_FILE} is there"
            if (Path(folder) / REPORT_FILE).is_file()
            else ""
        )
        raise InputError(f"{folder} holds no {name}: evaluate the run first{again}.")
    scores, mask = torch.from_numpy(saved.scores), torch.from_numpy(saved.mask)
    return Ranking(
        list(saved.queries),
        list(saved.image_ids),
        scores,
        mask,
        list(saved.concepts),
        list(saved.repeats),
        scale=saved.scale,
    )


def _repeats(store: TrialStore, queries: Sequence[Query]) -> list[tuple[int, ...]]:
    of_trial = store.trials[columns.REPEAT].to_numpy()
    return [tuple(of_trial[list(query.trials)].tolist()) for query in queries]
