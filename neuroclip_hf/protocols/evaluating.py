"""A run and a store -> its report, and the ranking that figures and comparisons are made of."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import protocol_held
from neuroclip_hf.data.rewhitened import can_be_rewhitened, whitened_by
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation import (
    Report,
    accuracy_by_repeats,
    embed_unlabelled,
    evaluate,
    fitting_part,
    rank_test_split,
    save_ranking,
    write_report,
)
from neuroclip_hf.evaluation.tested_run import open_tested_run
from neuroclip_hf.files import refuse_existing
from neuroclip_hf.run_files import OTHER_RANKING_FILE, REPORT_FILE


def evaluate_run(
    folder: str | Path,
    store: TrialStore,
    *,
    average: int | None = None,
    draws: int | None = None,
    subjects: Sequence[str] | None = None,
    also: TrialStore | None = None,
    overwrite: bool = False,
) -> Report:
    """Open the test split of a store for a run, and write report.json and ranking.safetensors into its folder.

    Args:
        folder (path): the run; its control is evaluated too, where it has one. A checkpoint without run.json is
            evaluated as well: the report then knows neither its seed nor how its epoch was chosen.
        store (`TrialStore`): whose test split is opened.
        average (`int`, *optional*): trials a query, see [`rank_test_split`].
        draws (`int`, *optional*): random queries a target.
        subjects (sequence of `str`, *optional*): whose test trials; by default those of the subject that the run held
            out, or of those who trained.
        also (`TrialStore`, *optional*): the same recordings, whitened otherwise: a second row of the report. For a
            subject that was held out, and whitened by its own sessions in `store`, that row is made by itself: by the
            covariances of those who trained.
        overwrite (`bool`): replace an earlier report.

    Raises:
        InputError: if the run cannot be loaded, does not fit a store, or was evaluated already, if of the subjects
            some trained and some did not, or if `also` holds other queries.
    """
    folder = Path(folder)
    refuse_existing(folder / REPORT_FILE, overwrite)
    run = open_tested_run(folder, store, columns.TEST, subjects)
    facts, tested = run.facts, run.subjects
    new_subject = tested is not None and tested == [facts.get("held_out_subject")]
    if also is None and new_subject and can_be_rewhitened(store):
        also = whitened_by(store, facts["subjects"])
    if also is not None:
        protocol_held(folder, also, also.select(columns.TEST, tested))  # refuses
    stores = (store,) if also is None else (store, also)
    model, processor, control = run.model, run.processor, run.control  # all are read before anything is ranked
    curve = partial(accuracy_by_repeats, model, processor)
    read = fitting_part(processor, store)
    rank = partial(rank_test_split, average=average, draws=draws, subjects=tested, seed=facts.get("seed", 0))
    ranking, *others = (rank(model, processor, one) for one in stores)
    report = evaluate(
        ranking,
        store,
        facts,
        model.config.tower,
        None if control is None else rank(*control, store),
        protocol=run.protocol,
        repeats=curve(read, ranking),
        unlabelled=embed_unlabelled(model, processor, read, ranking.subjects),
        also=None if also is None else (others[0], also, curve(fitting_part(processor, also), others[0])),
        flags=run.flags,
    )
    save_ranking(ranking, folder)
    (folder / OTHER_RANKING_FILE).unlink(missing_ok=True)  # of an earlier evaluation
    for other in others:
        save_ranking(other, folder, OTHER_RANKING_FILE)
    write_report(report, folder)
    return report
