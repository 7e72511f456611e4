"""A run and a store -> its report, and the ranking that figures and comparisons are made of."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import load_run, protocol_held, read_facts
from neuroclip_hf.data.rewhitened import can_be_rewhitened, whitened_by
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation import (
    Report,
    accuracy_by_repeats,
    embed_unlabelled,
    evaluate,
    fitting_part,
    flags_of,
    rank_test_split,
    save_ranking,
    subjects_to_test,
    write_report,
)
from neuroclip_hf.files import read_json, refuse_existing
from neuroclip_hf.run_files import CONTROL, OTHER_RANKING_FILE, REPORT_FILE, TRAINED_ON_FILE


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
    facts = read_facts(folder)
    subjects = subjects_to_test(facts, store, subjects)
    new_subject = subjects is not None and subjects == [facts.get("held_out_subject")]
    if also is None and new_subject and can_be_rewhitened(store):
        also = whitened_by(store, facts["subjects"])
    stores = (store,) if also is None else (store, also)
    protocols = [protocol_held(folder, one, one.select(columns.TEST, subjects)) for one in stores]  # refuses, too
    model, processor = load_run(folder)
    control = load_run(folder / CONTROL) if (folder / CONTROL).is_dir() else None
    curve = partial(accuracy_by_repeats, model, processor)
    read = fitting_part(processor, store)
    rank = partial(rank_test_split, average=average, draws=draws, subjects=subjects, seed=facts.get("seed", 0))
    ranking, *others = (rank(model, processor, one) for one in stores)
    seen = read_json(folder / TRAINED_ON_FILE) if (folder / TRAINED_ON_FILE).is_file() else None
    report = evaluate(
        ranking,
        store,
        facts,
        model.config.tower,
        None if control is None else rank(*control, store),
        protocol=protocols[0],
        repeats=curve(read, ranking),
        unlabelled=embed_unlabelled(model, processor, read, ranking.subjects),
        also=None if also is None else (others[0], also, curve(fitting_part(processor, also), others[0])),
        flags=flags_of(store, subjects, facts, processor, seen, protocols[0]),
    )
    save_ranking(ranking, folder)
    (folder / OTHER_RANKING_FILE).unlink(missing_ok=True)  # of an earlier evaluation
    for other in others:
        save_ranking(other, folder, OTHER_RANKING_FILE)
    write_report(report, folder)
    return report
