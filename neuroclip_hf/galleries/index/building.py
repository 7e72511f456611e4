"""A gallery -> an index, part by part: an interrupted one goes on, and several processes share the work.

Start them with `torchrun --nproc_per_node 4 -m neuroclip_hf.cli.main index ...` or `accelerate launch -m ...`, on CPUs
with ACCELERATE_USE_CPU=true.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn.functional import normalize

from neuroclip_hf import columns, files
from neuroclip_hf.data.pictures import PictureFolder
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.fingerprints import ids_digest, model_fingerprints
from neuroclip_hf.galleries.gallery import Gallery, as_gallery, checked_templates
from neuroclip_hf.galleries.index.approximate import choose_probes, require_faiss, train_lists, write_lists
from neuroclip_hf.galleries.index.storing import (
    ENTRIES,
    FAISS_FILE,
    INDEX_FILE,
    PICTURES,
    SCHEMA,
    TEXTS,
    Entries,
    IndexFacts,
    write_entries,
)
from neuroclip_hf.logging import get_logger, progress
from neuroclip_hf.processing.embedding import BATCH, embed_prompts, inference
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

PART = 256
"""Entries that an interruption may cost each process, about a minute of a large tower on a CPU (ours)."""
PATIENCE = timedelta(hours=12)
"""So long a process waits for another one (ours): the first one makes the search index alone."""
_JOB, _PARTS = "job.json", "parts"
_SKIPPED = "skipped"


@dataclass(frozen=True)
class _Work:
    model: Any
    processor: BrainImageProcessor
    gallery: Gallery
    templates: tuple[str, ...]
    batch_size: int
    folder: Path

    def part(self, number: int) -> Path:
        return self.folder / _PARTS / f"{number:06d}.safetensors"

    @property
    def parts(self) -> range:
        return range(-(-len(self.gallery.ids) // PART))


def build_index(
    model: Any,
    processor: BrainImageProcessor,
    given: Any,
    out: str | Path,
    *,
    templates: Sequence[str] | None = None,
    batch_size: int = BATCH,
    overwrite: bool = False,
) -> IndexFacts:
    """Embed a gallery and store it as an index.

    Pictures that cannot be read are named, skipped and counted. What an interrupted process left beside `out` is gone
    on with. The vectors have length one.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        given: what [`as_gallery`] takes.
        out (path): folder of the index; it appears when it is whole.
        templates (sequence of `str`, *optional*): of prompts, for a gallery of texts.
        batch_size (`int`): pictures, or prompts, that are encoded at once in each process.
        overwrite (`bool`): replace an existing index, and start an unfinished one of something else afresh.

    Returns:
        What was made, on every process.

    Raises:
        InputError: if FAISS is missing, `out` exists or cannot be written, the gallery is empty or nothing in it can
            be read, templates do not fit it as in [`embed_gallery`], it is of texts and the model knows none, or an
            unfinished index of something else lies there.
    """
    require_faiss()
    out = Path(out)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}: it must be a whole number, at least 1.")
    files.refuse_existing(out, overwrite, INDEX_FILE)
    gallery = _listed(given)
    used = tuple(checked_templates(model, gallery, templates))
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=PATIENCE)
    folder = out.resolve().parent / f".{out.resolve().name}.unfinished"
    work = _Work(model, processor, gallery, used, batch_size, folder)
    held = files.locked_folder(folder, out, (_JOB, _PARTS), "index") if state.is_main_process else nullcontext()
    fingerprints = model_fingerprints(model, processor)
    with held:
        if state.is_main_process:
            _begin(work, out, fingerprints, overwrite)
        state.wait_for_everyone()
        if state.num_processes > 1:
            model.to(state.device)
        _embed(work, state)
        state.wait_for_everyone()
        if state.is_main_process:
            _finish(work, out, fingerprints, overwrite)
        state.wait_for_everyone()
    if state.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
    return IndexFacts.read(out)


def _listed(given: Any) -> Gallery:
    """As [`as_gallery`], but without opening every picture of a folder: those that cannot be read are skipped."""
    if isinstance(given, str | Path) and Path(given).is_dir() and not (Path(given) / STORE_FILE).is_file():
        given = PictureFolder.scan(given)
    return as_gallery(given)


def _begin(work: _Work, out: Path, fingerprints: dict[str, str], overwrite: bool) -> None:
    root = work.gallery.names.root if work.gallery.names is not None else None
    listed = work.gallery.ids if work.gallery.open_picture is not None else work.gallery.texts
    below = root if root is not None and all((root / name).is_file() for name in listed[:1]) else None
    job = {**fingerprints, "entries": ids_digest(listed, below), "templates": list(work.templates), "part": PART}
    path = work.folder / _JOB
    known = files.read_json(path) if path.is_file() else None
    if known is not None and known != job:
        differing = ", ".join(name for name in job if not isinstance(known, dict) or known.get(name) != job[name])
        if not overwrite:
            raise InputError(
                f"{work.folder} holds an unfinished index of something else ({differing} differ): finish that one, "
                f"pass --overwrite to start afresh, or name another output than {out}."
            )
        shutil.rmtree(work.folder / _PARTS, ignore_errors=True)
    (work.folder / _PARTS).mkdir(exist_ok=True)
    files.write_json(path, job)
    for left in (one for one in files.temporary_folders(out) if one.suffix == ".tmp"):  # all dead: we have the lock
        shutil.rmtree(left, ignore_errors=True)
    if done := sum(_is_whole(work.part(number)) for number in work.parts):
        get_logger().info("Going on: %d of %d parts are embedded already.", done, len(work.parts))


def _embed(work: _Work, state: PartialState) -> None:
    """Embed the parts of this process that are not there yet."""
    mine = [number for number in work.parts if number % state.num_processes == state.process_index]
    left = [number for number in mine if not _is_whole(work.part(number))]
    count = sum(len(_ids(work, number)) for number in left)
    shown = progress(total=count, desc="gallery", unit="entry") if state.is_main_process else None
    for number in left:
        tensors, skipped = _embed_part(work, number)
        with files.new_file(work.part(number)) as temporary:
            save_file(tensors, temporary, metadata={_SKIPPED: json.dumps(skipped)})
        if shown is not None:
            shown.update(len(_ids(work, number)))
    if shown is not None:
        shown.close()


def _embed_part(work: _Work, number: int) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Rows that could be read with their embeddings, and names of those that could not."""
    first = number * PART
    width = work.model.config.projection_dim
    if work.gallery.open_picture is None:
        texts = work.gallery.texts[first : first + PART]
        embeds = embed_prompts(work.model, work.processor, texts, work.templates, batch_size=work.batch_size)
        rows, skipped = list(range(first, first + len(texts))), list[str]()
    else:
        rows, pixels, skipped = _read_pictures(work, number)
        parts = [torch.empty(0, width)]
        with inference(work.model):
            for some in (pixels[at : at + work.batch_size] for at in range(0, len(pixels), work.batch_size)):
                batch = torch.stack(some).to(work.model.device)
                parts.append(work.model.get_image_features(batch).float().cpu())
        embeds = torch.cat(parts)
    wrong = (~embeds.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if wrong:
        raise InputError(f"The model gives no finite embedding of {work.gallery.ids[rows[wrong[0]]]}: train it again.")
    return {"rows": torch.tensor(rows, dtype=torch.int64), "embeds": normalize(embeds, dim=1)}, skipped


def _read_pictures(work: _Work, number: int) -> tuple[list[int], list[torch.Tensor], list[str]]:
    open_entry = work.gallery.open_picture
    assert open_entry is not None
    rows: list[int] = []
    pixels: list[torch.Tensor] = []
    skipped: list[str] = []
    for row, name in enumerate(_ids(work, number), start=number * PART):
        try:
            picture = open_entry(name)
        except InputError as error:
            get_logger().warning("Skipped: %s", error)
            skipped.append(name)
            continue
        rows.append(row)
        pixels.append(work.processor(images=picture)[columns.PIXEL_VALUES][0])
    return rows, pixels, skipped


def _finish(work: _Work, out: Path, fingerprints: dict[str, str], overwrite: bool) -> None:
    skipped: list[str] = []
    for number in work.parts:
        with safe_open(work.part(number), framework="pt") as file:
            skipped += json.loads(file.metadata()[_SKIPPED])
    if len(skipped) == len(work.gallery.ids):
        shutil.rmtree(work.folder / _PARTS)  # nothing to go on with: other pictures are another gallery
        (work.folder / _JOB).unlink()
        raise InputError(f"Not one of the {len(skipped)} pictures of the gallery can be read: replace them.")
    names = work.gallery.names
    with files.new_folder(out, overwrite, INDEX_FILE) as folder:
        width = work.model.config.projection_dim
        facts = IndexFacts(
            schema=SCHEMA,
            kind=TEXTS if work.gallery.open_picture is None else PICTURES,
            names=None if names is None else names.root.resolve().name,
            entries=write_entries(folder / ENTRIES, _read_parts(work), width),
            width=width,
            skipped=skipped,
            probes=1,
            recall=1.0,
            **fingerprints,
        )
        write_search_index(folder, facts)
    if skipped:
        get_logger().warning("%d of %d pictures could not be read.", len(skipped), len(work.gallery.ids))


def write_search_index(folder: Path, facts: IndexFacts) -> IndexFacts:
    """Make the FAISS index of a folder's entries, and write index.json with what it finds.

    Args:
        folder (`Path`): of the index, with its entries.
        facts (`IndexFacts`): what is known of it; probes and recall are found here.

    Returns:
        The facts that were written.
    """
    blocks = Entries(folder, facts).blocks
    lists = train_lists(blocks)
    probes, recall = choose_probes(lists, blocks)
    write_lists(lists, folder / FAISS_FILE)
    found = IndexFacts(**{**vars(facts), "probes": probes, "recall": round(recall, 4)})
    found.write(folder)
    return found


def _read_parts(work: _Work) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    for number in work.parts:
        with safe_open(work.part(number), framework="pt") as file:
            rows, embeds = file.get_tensor("rows"), file.get_tensor("embeds")
        yield [work.gallery.ids[row] for row in rows.tolist()], embeds.numpy()


def _ids(work: _Work, number: int) -> tuple[str, ...]:
    return work.gallery.ids[number * PART : (number + 1) * PART]


def _is_whole(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return _SKIPPED in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False
