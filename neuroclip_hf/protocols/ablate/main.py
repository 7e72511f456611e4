"""From a recipe and what is varied to a table of all variations."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.files import write_json
from neuroclip_hf.metrics.significance import compare_paired
from neuroclip_hf.protocols.ablate.variations import Variation, variations
from neuroclip_hf.protocols.reproduce.engine import Engine
from neuroclip_hf.protocols.reproduce.main import finish_runs
from neuroclip_hf.protocols.reproduce.plan import Plan, make_plan
from neuroclip_hf.protocols.reproduce.summary import (
    BY_VALIDATION,
    FIXED_EPOCH,
    SHARED,
    ReproductionReport,
    seed_averaged,
    selections_of,
    summarise,
)
from neuroclip_hf.protocols.reproduce.work import Work
from neuroclip_hf.run_files import IMAGE_FEATURES_FOLDER, REPORT_FILE, REPORT_SCHEMA, VARIATIONS
from neuroclip_hf.training.settings import Recipe

KIND = "ablation"
_SHARED = ("recipe", "subject_protocol", "seeds", "store", *SHARED)


@dataclass(frozen=True)
class AblationReport:
    """What every variation gave. Accuracies are fractions in [0, 1], a log-loss is lower for a better ranking.

    Args:
        over (`str`): what was varied.
        recipe, subject_protocol, seeds, store, data, tower, protocol, chance, chance_top5, chance_log_loss, gallery,
            gallery_size, averaged_repeats, target, whitening_fit: as in a `ReproductionReport`, of the recipe itself.
        selection (`str`): how the epoch of every row was chosen.
        rows (`list[dict]`): the recipe itself first; each with `name`, `overrides`, `top1`, `top5` and `log_loss`
            (`mean`, `std` over seeds, `values`, `interval`; the last is None where a run has none, see `Report`),
            `difference` and `log_loss_difference` (of top-1 and log-loss from the first row, on the same queries: what
            `compare_paired` says), `trainable_parameters`, `seconds` and `folder`.
        seconds (`float`): wall time of all runs, one after the other.
        flags (`list[str]`): what a reader must know.
    """

    over: str
    recipe: str
    subject_protocol: str
    seeds: list[int]
    store: str
    data: str
    tower: str
    protocol: str
    chance: float
    chance_top5: float
    chance_log_loss: float
    gallery: str
    gallery_size: int
    averaged_repeats: float
    target: str
    whitening_fit: str
    selection: str
    rows: list[dict[str, Any]]
    seconds: float
    flags: list[str]
    kind: str = KIND
    schema: int = REPORT_SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def ablate(
    recipe: Recipe,
    store: TrialStore,
    out: str | Path,
    *,
    over: str,
    protocol: str = "intra",
    seeds: int = 3,
    subjects: Sequence[str] | None = None,
    engine: Engine | None = None,
    overwrite: bool = False,
) -> AblationReport | None:
    """Reproduce a recipe in several variations, and compare each with the recipe itself on the same queries.

    Every variation is a reproduction of its own below `out/variations`; stopped at any point, the same call goes on.

    Args:
        recipe (`Recipe`): what is varied.
        store (`TrialStore`): holds the trials.
        out (path): folder of the ablation.
        over (`str`): "parts" of the method, "segments" of the epoch, "channels" by scalp region, "encoders", "prompts"
            (number and depth) or "layers" of the tower.
        protocol (`str`): "intra" or "inter", as for `reproduce`.
        seeds (`int`): how many.
        subjects (sequence of `str`, *optional*): all of the store by default.
        engine (`Engine`, *optional*): who works; by default this process.
        overwrite (`bool`): remove an earlier ablation first.

    Returns:
        The report; `None` on the ranks of a distributed training that do not write it.

    Raises:
        InputError: if it cannot be run so.
        FloatingPointError: if the numbers of some runs were lost; the other runs are finished first.
    """
    folder = Path(out)
    varied, missing = variations(over, recipe, store, subjects)
    works = _works(varied, [make_plan(one.apply(recipe), store, protocol, seeds, subjects) for one in varied], folder)
    identity = {"over": over, **works[0].plan.identity()}
    finished = finish_runs(works, store, folder, identity, engine or Engine(), overwrite)
    if finished is None:
        return None
    works, flags = finished
    report = _summarise(recipe, over, varied, works, folder, [*missing, *flags])
    write_json(folder / REPORT_FILE, report.to_dict())
    return report


def _works(varied: Sequence[Variation], plans: Sequence[Plan], folder: Path) -> list[Work]:
    """The work of each variation; those that train alike share it."""
    works: list[Work] = []
    for one, plan in zip(varied, plans, strict=True):
        same = next((work for work in works if work.plan.identity() == plan.identity()), None)
        works.append(same or Work(plan, folder / VARIATIONS / one.slug, folder / IMAGE_FEATURES_FOLDER))
    return works


def _summarise(
    recipe: Recipe,
    over: str,
    varied: Sequence[Variation],
    works: Sequence[Work],
    folder: Path,
    flags: Sequence[str],
) -> AblationReport:
    asked = FIXED_EPOCH if recipe.training.selection == "last" else BY_VALIDATION
    selection = _selection_of(works[0], asked)
    made = {work.folder: summarise(work.plan, work.folder) for work in works}
    reports = [made[work.folder] for work in works]
    rows = [
        _row(one, report, work, works[0], asked, folder)
        for one, report, work in zip(varied, reports, works, strict=True)
    ]
    return AblationReport(
        over=over,
        **{name: getattr(reports[0], name) for name in _SHARED},
        selection=selection,
        rows=rows,
        seconds=round(sum(report.seconds for report in made.values()), 1),
        flags=list(dict.fromkeys([*flags, *(flag for report in reports for flag in report.flags)])),
    )


def _row(
    one: Variation, report: ReproductionReport, work: Work, reference: Work, selection: str, folder: Path
) -> dict[str, Any]:
    chosen = _selection_of(work, selection)
    found = next(row for row in report.results if row["selection"] == chosen and row["tier"] == "inductive")
    differences = _differences(work, reference, selection) if one.overrides else {}
    return {
        "name": one.name,
        "overrides": one.overrides,
        "top1": found["mean"]["top1"],
        "top5": found["mean"]["top5"],
        "log_loss": found["mean"].get("log_loss"),
        "difference": differences.get("top1"),
        "log_loss_difference": differences.get("log_loss"),
        "trainable_parameters": report.trainable_parameters,
        "seconds": report.seconds,
        "folder": work.folder.relative_to(folder).as_posix(),
    }


def _selection_of(work: Work, selection: str) -> str:
    """How the epoch of these runs was chosen: as asked, where there is one to choose."""
    possible = selections_of(work.plan)
    return selection if selection in possible else possible[0]


def _differences(work: Work, reference: Work, selection: str) -> dict[str, dict[str, Any]]:
    """Of the means over seeds, on the same queries of the same subjects, by measure."""
    (mine, groups), (theirs, _) = (
        seed_averaged(each.plan, each.folder, _selection_of(each, selection)) for each in (work, reference)
    )
    return {
        name: compare_paired(values, theirs[name], groups=groups)._asdict()
        for name, values in mine.items()
        if name in theirs
    }
