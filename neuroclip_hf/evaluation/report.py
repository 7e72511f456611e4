"""report.json: what an evaluation found, written and read."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neuroclip_hf.files import read_json, write_json
from neuroclip_hf.run_files import REPORT_FILE, REPORT_SCHEMA


@dataclass(frozen=True)
class Report:
    """What an evaluation found. Accuracies and chance are fractions in [0, 1].

    Args:
        top1, top5 (`float`): part of the queries whose right picture ranks first, or among the first five.
        chance, chance_top5 (`float`): the same for a random ranking, exactly.
        gallery_size, num_queries (`int`): how many pictures are ranked, how many queries are asked.
        control_top1 (`float` or None): `top1` of the same model trained on shuffled pairs; None if none was trained.
        pairwise (`float`): mean part of all pairs of a right and a wrong picture in which the right one scores higher.
        log_loss (`float` or None): mean over queries of [`log_loss_from_scores`], at the scale that the model learned;
            no accuracy, and lower is better. None where it learned no scale, or a score is not finite.
        chance_log_loss (`float`): the same where all pictures have the same score, see [`chance_log_loss`].
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
        tier (`str`): of all numbers but those in `tiers`. "inductive": nothing of the test split was used but the
            query itself.
        selection (`str` or None): how the epoch was chosen: "loss", "top1" (both on validation) or "last".
        subjects (`dict`): subject -> its `top1`, `top5`, `pairwise`, `num_queries`.
        n_way (`dict`): number of pictures ("2", "4", ...) -> expected `top1`, and `top5` above five pictures, in
            random galleries of that many; exact, see [`n_way_accuracy`].
        repeats (`list[dict]`): `top1`, `top5` and `num_queries` for so many averaged `repeats`, fewest first; see
            [`accuracy_by_repeats`]. Empty where they were not asked for.
        intervals (`dict`): "top1" and "top5" -> `low`, `high`, `level`, `resamples` and what was resampled, `over`;
            see [`bootstrap_interval`].
        permutation (`dict`): `p`, `permutations`, `statistic`, and in words what exchanged its targets, `over`; see
            [`neuroclip_hf.evaluation.measuring.permute`].
        tiers (`list[dict]`): the inductive row, where there is another whitening a second one (with its `pairwise`,
            `n_way` and `repeats`), then those that use more than the query itself, see
            [`neuroclip_hf.evaluation.tiers`].
        whitening_fit (`str`): what the recordings were whitened by: "own session", "training subjects", "none",
            "unknown (done before)", or in the words of whoever did it before.
        flags (`list[str]`): what a reader must know before trusting the numbers; see [`flags_of`].
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
    log_loss: float | None
    chance_log_loss: float
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
    n_way: dict[str, dict[str, float]]
    repeats: list[dict[str, float]]
    intervals: dict[str, dict[str, Any]]
    permutation: dict[str, Any]
    tiers: list[dict[str, Any]]
    whitening_fit: str
    flags: list[str]
    store: str
    run: dict[str, Any] = field(default_factory=dict)
    schema: int = REPORT_SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def write_report(report: Report, folder: str | Path) -> Path:
    """Write `report.json` into a run's folder and return its path."""
    path = Path(folder) / REPORT_FILE
    write_json(path, report.to_dict())
    return path


def is_evaluated(folder: str | Path) -> bool:
    """Whether a run has a report that this version reads.

    Raises:
        InputError: if its report is damaged.
    """
    report = read_report(folder)
    return isinstance(report, dict) and report.get("schema") == REPORT_SCHEMA


def read_report(folder: str | Path) -> dict[str, Any] | None:
    """What `report.json` of a run says; None if the run was not evaluated."""
    path = Path(folder) / REPORT_FILE
    return read_json(path) if path.is_file() else None
