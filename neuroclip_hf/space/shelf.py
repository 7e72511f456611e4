"""What a Space shows: a checkpoint, examples and pictures, from a run and its store or from a folder of their own."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import load_run, present
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, read_json, write_json
from neuroclip_hf.galleries.gallery import EmbeddedGallery, as_gallery, embed_entries
from neuroclip_hf.privacy import refuse_private, shorten_paths
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.run_files import CONFIG_FILE, PROCESSOR_FILE
from neuroclip_hf.space.examples import find_examples, write_examples

MARK, RUN, EXAMPLES, GALLERY = "space.json", "run", "examples", "gallery"
_RUN_FILES = (CONFIG_FILE, PROCESSOR_FILE, "model.safetensors")


@dataclass(frozen=True)
class Shelf:
    """A checkpoint with what it can be tried on.

    Args:
        model (`BrainImageModel`), processor (`BrainImageProcessor`): of the checkpoint.
        gallery (`EmbeddedGallery`): the pictures to choose from.
        examples (`dict[str, Path]`): recordings by what they are called.
        simulated (`bool`): whether the recordings are.
        pictures_shown (`bool`): whether pictures may be seen where the Space is; tiles stand for them otherwise.
    """

    model: Any
    processor: BrainImageProcessor
    gallery: EmbeddedGallery
    examples: dict[str, Path]
    simulated: bool
    pictures_shown: bool


def may_be_shared(store: TrialStore) -> bool:
    """Whether a store's pictures may be: its maker said so, or a simulation drew them."""
    return store.info.redistribute_pictures or store.info.data == columns.SIMULATED


def shelf_of_store(run: Path, store: TrialStore, folder: Path, *, public: bool = False) -> Shelf:
    """A shelf from a run and a trial store.

    Args:
        run (`Path`): the run.
        store (`TrialStore`): whose test pictures are the gallery, and whose test trials the examples.
        folder (`Path`): an existing one for the examples; it must stay as long as the shelf.
        public (`bool`): whether others than the user of this machine will see it.

    Raises:
        InputError: if run and store do not fit, or [`write_examples`] cannot.
    """
    write_examples(store, folder)
    return _shelf(
        run, store, find_examples(folder), store.info.data == columns.SIMULATED, not public or may_be_shared(store)
    )


def read_shelf(folder: str | Path) -> Shelf:
    """The shelf that [`write_shelf`] left in a folder.

    Raises:
        InputError: if there is none, or a part is missing or damaged.
    """
    folder = Path(folder)
    if not (folder / MARK).is_file():
        raise InputError(f"{folder} holds no {MARK}: make one with `neuroclip space RUN --data STORE --out FOLDER`.")
    facts = read_json(folder / MARK)
    simulated = isinstance(facts, dict) and facts.get("data") == columns.SIMULATED
    return _shelf(folder / RUN, folder / GALLERY, find_examples(folder / EXAMPLES), simulated, True)


def write_shelf(run: Path, store: TrialStore, out: Path, *, overwrite: bool = False) -> dict[str, int]:
    """Write all that a Space needs beside its app: checkpoint, examples, pictures.

    Args:
        run (`Path`): the run.
        store (`TrialStore`): see [`shelf_of_store`].
        out (`Path`): new folder.
        overwrite (`bool`): replace an earlier one.

    Returns:
        Name of each file -> its bytes.

    Raises:
        InputError: if the pictures may not be shared, a file holds a secret or an absolute path, or a part cannot be
            made.
    """
    if not may_be_shared(store):
        raise InputError(
            f"{store.path} does not say that its pictures may be redistributed, and a Space shows them to everybody: "
            "prepare it with --pictures-may-be-shared if they may be, or run the Space on this machine, without --out."
        )
    checkpoint = {name: present(run, name) for name in _RUN_FILES}
    with new_folder(out, overwrite, MARK) as folder:
        for name in (RUN, EXAMPLES, GALLERY):
            (folder / name).mkdir()
        for name, path in checkpoint.items():
            shutil.copyfile(path, folder / RUN / name)
        write_examples(store, folder / EXAMPLES)
        gallery = store.gallery(columns.TEST)
        for image_id, file in zip(gallery[columns.IMAGE_ID], gallery[columns.PICTURE_FILE], strict=True):
            suffix = "" if image_id.endswith(Path(file).suffix) else Path(file).suffix
            target = folder / GALLERY / f"{image_id}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.path / file, target)
        write_json(folder / MARK, {"data": store.info.data})
        shorten_paths(folder)
        refuse_private(folder, run)
        read_shelf(folder)
        return {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def _shelf(run: Path, gallery: Any, examples: dict[str, Path], simulated: bool, shown: bool) -> Shelf:
    model, processor = load_run(run)
    if len(processor.feature_extractor.trial_shape) != 2:
        raise InputError(f"{run} reads patterns, which have no epochs to show: name a run on EEG or MEG.")
    embedded = embed_entries(model, processor, as_gallery(gallery))
    return Shelf(model, processor, embedded, examples, simulated, shown)
