"""From a recipe and a store to a report over all subjects and seeds."""

from collections.abc import Sequence
from pathlib import Path

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.files import write_json
from neuroclip_hf.protocols.reproduce.engine import Engine, make_runs
from neuroclip_hf.protocols.reproduce.plan import make_plan, open_folder
from neuroclip_hf.protocols.reproduce.summary import ReproductionReport, summarise
from neuroclip_hf.protocols.reproduce.work import Work
from neuroclip_hf.run_files import REPORT_FILE
from neuroclip_hf.training.processes import this_process
from neuroclip_hf.training.settings import Recipe

IMAGE_FEATURES = "image_features"


def reproduce(
    recipe: Recipe,
    store: TrialStore,
    out: str | Path,
    *,
    protocol: str,
    seeds: int = 3,
    subjects: Sequence[str] | None = None,
    engine: Engine | None = None,
    overwrite: bool = False,
) -> ReproductionReport | None:
    """Train and evaluate a recipe for every subject and seed, each from fresh weights: one report of all.

    Every run is one of `train_run`, beside which its last epoch is kept: the report has the fixed epoch and the one
    that validation chose. Stopped at any point, `kill -9` included, the same call goes on; so does one with more seeds
    or subjects. Several calls on the same folder share the work; the one that finds all of it made writes the report,
    and the others end with an error that says so.

    Args:
        recipe (`Recipe`): its subjects and seed are replaced by those of each run; its seed is the first one.
        store (`TrialStore`): holds the trials.
        out (path): folder of the reproduction.
        protocol (`str`): "intra" (each subject alone) or "inter" (each after training on all the others).
        seeds (`int`): how many.
        subjects (sequence of `str`, *optional*): all of the store by default.
        engine (`Engine`, *optional*): who works; by default this process.
        overwrite (`bool`): remove an earlier reproduction first.

    Returns:
        The report; `None` on the ranks of a distributed training that do not write it.

    Raises:
        InputError: if it cannot be run so.
        FloatingPointError: if the numbers of some runs were lost; the other runs are finished first.
    """
    folder, engine, process = Path(out), engine or Engine(), this_process()
    plan = make_plan(recipe, store, protocol, seeds, subjects)
    work = Work(plan, folder, folder / IMAGE_FEATURES)
    if process.is_main_process:
        open_folder(folder, plan.identity(), overwrite)
        work.forget_failures()
    process.wait_for_everyone()
    make_runs([work], store.path, folder, engine)
    if not process.is_main_process:
        return None
    refuse_failures([work])
    report = summarise(plan, folder)
    write_json(folder / REPORT_FILE, report.to_dict())
    return report


def refuse_failures(works: Sequence[Work]) -> None:
    """Raise where runs failed; all others are finished by then.

    Raises:
        FloatingPointError: naming the first one.
    """
    failed = [(work.folder / name, why) for work in works for name, why in work.failures().items()]
    if failed:
        path, why = failed[0]
        raise FloatingPointError(
            f"{len(failed)} runs lost their numbers, the others are finished. {path}: {why} Settings can be changed "
            "in a new folder only."
        )
