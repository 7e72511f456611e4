"""A run, a store and a pipeline -> generated pictures, their controls, their scores, and a sheet."""

from collections.abc import Sequence
from pathlib import Path

import torch

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.tested_run import open_tested_run
from neuroclip_hf.files import locked_folder, sha256
from neuroclip_hf.generation.embeddings import ask, embed_all
from neuroclip_hf.generation.inputs import GenerationInputs
from neuroclip_hf.generation.libraries import require_diffusers, require_structural_similarity
from neuroclip_hf.generation.loading import load_painter
from neuroclip_hf.generation.outcome import report_of
from neuroclip_hf.generation.painting import CONTENTS, paint_all, start_folder
from neuroclip_hf.generation.report import GenerationReport, versions, write_generation
from neuroclip_hf.generation.settings import GenerationSettings
from neuroclip_hf.generation.sheet import write_generation_sheet
from neuroclip_hf.processing.fitting import fitting_part
from neuroclip_hf.run_files import CONFIG_FILE, GENERATED_FOLDER, GENERATION_SHEET, PROCESSOR_FILE

_RUN_FILES = (CONFIG_FILE, "model.safetensors", PROCESSOR_FILE)


def generate(
    folder: str | Path,
    store: TrialStore,
    settings: GenerationSettings,
    *,
    out: str | Path | None = None,
    subjects: Sequence[str] | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> GenerationReport:
    """Generate what was seen from brain recordings, and hold it against three controls.

    Queries are made as evaluation makes them. Their embeddings are moment-matched to those of the training pictures by
    the pipeline's own image encoder, after a map between the two spaces where they differ, see [`to_pipeline`]. Beside
    each generated picture stand one from another recording of the same subject (shuffled brain) and one from the mean
    of the training pictures' embeddings, both painted from the same start noise, and the training picture that the
    query retrieves.

    Args:
        folder (path): a run of any kind of model, or a checkpoint.
        store (`TrialStore`): with test trials, and the training trials and pictures whose moments are taken.
        settings (`GenerationSettings`): the pipeline, and how it is called.
        out (path, *optional*): the folder to fill; `generated` inside the run by default. A generation that was
            stopped goes on there, and one with a larger `limit` adds to it.
        subjects (sequence of `str`, *optional*): whose trials; by default as evaluation does.
        device (`str`, *optional*): where to compute, as torch calls it; a CUDA device if there is one.
        overwrite (`bool`): make pictures of other settings in `out` anew.

    Returns:
        The report, which stands in `generation.json` beside `sheet.png` and `pictures/`.

    Raises:
        InputError: if a library of the extra `generate` is missing, the run does not fit the store, the pipeline
            cannot be used (see [`load_painter`]), embeddings are not finite, or `out` holds other pictures.
    """
    require_diffusers()
    require_structural_similarity()
    folder, place = Path(folder), _device(device)
    run = open_tested_run(folder, store, settings.trials, subjects)
    model, processor = run.model, run.processor
    part = fitting_part(processor, store)
    asked = ask(part, settings.trials, run.subjects)
    painter, of_pipeline = load_painter(settings, place)
    out = folder / GENERATED_FOLDER if out is None else Path(out)
    decisive = {
        **{name: getattr(settings, name) for name in ("steps", "seed", "trials", "moments")},
        **of_pipeline,
        "device": place.type,
        "run": [sha256(folder / name) for name in _RUN_FILES],
        "store": store.info.fingerprint,
        "subjects": sorted({query.subject for query in asked.queries}),
        "versions": versions(),
    }
    trained = run.facts.get("subjects") or store.subjects
    with locked_folder(out, out, CONTENTS, "generation"):
        start_folder(out, decisive, overwrite)
        embeddings = embed_all(model.to(place), processor, painter.encoder, part, asked, trained, settings)
        inputs = GenerationInputs(out, part, model, processor, painter, asked, embeddings, settings)
        mean = embeddings.pictures.mean(dim=0)
        paint_all(painter, asked.queries, embeddings.conditions, mean, out, seed=settings.seed, limit=settings.limit)
        report = report_of(inputs, decisive, run.protocol, run.flags)
        write_generation_sheet(inputs, report, out / GENERATION_SHEET)
        write_generation(report, out)
    return report


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device is {name!r}, which torch cannot use here ({error}): choose another.") from None
    return device
