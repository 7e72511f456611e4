"""`neuroclip prepare things-eeg2`: THINGS-EEG2, in whatever form one has it, into a trial store."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.pictures import check_picture
from neuroclip_hf.data.simulated import CAPTIONS_FILE
from neuroclip_hf.data.sources.epoched import EpochedPlan, epochs_of, first_container, plan_containers
from neuroclip_hf.data.sources.finished import ShownPicture, damage, difference
from neuroclip_hf.data.sources.layouts import EpochedLayout, RecordedLayout, recognise
from neuroclip_hf.data.sources.recorded import SESSION, WHITENINGS, RecordedPlan, plan_recordings
from neuroclip_hf.data.sources.resume import discard_finished, unfinished_store
from neuroclip_hf.data.sources.sessions import REMEDY
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.store_writer import StoreWriter
from neuroclip_hf.data.subject_names import subject_folder, subject_number
from neuroclip_hf.data.things_eeg2 import FACTS, METADATA_FILE, PICTURE_FOLDERS, ImageMetadata
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, refuse_existing, sha256
from neuroclip_hf.logging import get_logger, progress

_OF_RECORDINGS = EpochSettings(sampling_rate=FACTS.epoch_sampling_rate)

__all__ = ["WHITENINGS", "choose_epochs", "default_epochs", "prepare_things_eeg2"]


def prepare_things_eeg2(
    source: str | Path,
    out: str | Path,
    *,
    images: str | Path | None = None,
    subjects: Sequence[int | str] = (),
    channels: Sequence[str] = ("occipital",),
    epochs: EpochSettings | None = None,
    whitening: str | None = None,
    allow_missing: bool = False,
    redistribute_pictures: bool = False,
    overwrite: bool = False,
) -> Path:
    """Make a trial store from THINGS-EEG2: recordings, or a container of epochs; which one is seen from the files.

    Recordings (`sub-XX/ses-0Y/raw_eeg_{training,test}.npy` or `.vhdr`) go through the steps of Gifford et al.
    (NeuroImage 2022) in the form that recent work shares: epochs of -0.2 to 1.0 s, baseline before the onset, 250 Hz,
    0 to 1 s kept, at most 2 training and 20 test repeats of a picture a session (by the dataset's shuffle seed),
    multivariate noise normalisation. Its covariance is fitted on training epochs only, unlike the dataset's own
    release. One recording is in memory at a time; its epochs stay in float64 until they are stored.

    Containers of epochs are taken over as they are: all channels or some, the window or a part of it. `session` is 0
    and `sample` the number of the trial in its file where a container does not say more.

    A process that is killed leaves `.OUT.unfinished` beside `out`; the same call goes on after the last session that
    was finished, and ends with the same bytes. `OUT.log` gets the times. Where `out` is whole already, made with the
    same settings from the same files, nothing is done.

    Args:
        source (path): folder of the subjects.
        out (path): the store.
        images (path, *optional*): folder of `training_images` and `test_images`; `source` by default.
        subjects (sequence of `int`): numbers of subjects; all by default.
        channels (sequence of `str`): names, or "occipital" (17), or "all".
        epochs (`EpochSettings`, *optional*): how to cut; [`default_epochs`] by default.
        whitening (`str`, *optional*): of recordings: "session" (default) fits a matrix on the training epochs of each
            session; "training-subjects" whitens every subject by the mean covariance of all other subjects of the
            store, as a subject is that nobody has recorded before; "none".
        allow_missing (`bool`): what is missing (a recording, stimulus codes) becomes a warning in store.json.
        redistribute_pictures (`bool`): whether the pictures may be shared: THINGS' may not, simulated ones may.
        overwrite (`bool`): replace an existing store, also one that is the same.

    Raises:
        InputError: naming file, value and remedy; nothing is left under `out`.
    """
    source, out = Path(source), Path(out)
    refuse_existing(out, overwrite or (out / STORE_FILE).is_file(), STORE_FILE)
    layout = recognise(source)
    numbers = _subjects(source, layout, subjects)
    empty = [] if subjects else _without_files(source, layout, allow_missing)
    images = source if images is None else Path(images)
    _check_picture_folders(images)
    metadata = _read_metadata(layout, source, images)
    plan = _plan(layout, source, metadata, numbers, channels, epochs, whitening, allow_missing)
    plan = replace(plan, warnings=(*empty, *plan.warnings))
    info = replace(plan.info, redistribute_pictures=redistribute_pictures)
    pictures = _list_pictures(images, metadata)
    tables = _tables(source, images)
    if out.exists() and not overwrite:
        files = tables | {path.relative_to(source).as_posix(): path for path in plan.files}
        _refuse_other(out, damage(out), lambda: difference(out, info, files, pictures))
        return out
    _check_pictures(pictures, allow_missing)
    info = replace(info, sources={name: sha256(path) for name, path in tables.items()})
    with unfinished_store(out, info, source, overwrite, depends_on=asdict(metadata)) as store:
        plan.write(store)
        _write_pictures(store.writer, pictures)
    return out


def _tables(source: Path, images: Path) -> dict[str, Path]:
    """Files beside the recordings that a store depends on, by what store.json calls them."""
    found = {
        METADATA_FILE: _metadata_folder(source, images) / METADATA_FILE,
        CAPTIONS_FILE: images / CAPTIONS_FILE,
    }
    return {name: path for name, path in found.items() if path.is_file()}


def _refuse_other(out: Path, damaged: str | None, compare: Callable[[], str | None]) -> None:
    if damaged is not None:
        raise InputError(f"{out} is damaged ({damaged}): pass --overwrite to make it again.")
    differs = compare()
    if differs is not None:
        raise InputError(
            f"{out} already exists: pass --overwrite to replace it, or name another output; it is not taken for the "
            f"store that was asked for, since {differs}."
        )
    discard_finished(out)
    get_logger().info("%s is complete: it was made with the same settings from the same files; nothing is done.", out)


def choose_epochs(source: str | Path, images: str | Path | None = None, **given: Any) -> EpochSettings:
    """How epochs of a folder are cut where somebody says a part of it.

    Args:
        source (path): as [`prepare_things_eeg2`] takes it.
        images (path, *optional*): likewise.
        given: settings of `EpochSettings`; the others are those of [`default_epochs`].

    Raises:
        InputError: if nothing in the folder is recognised, or a container's baseline is named: nobody can know whether
            it is the one that was subtracted, and it can no longer be changed.
    """
    source = Path(source)
    layout = recognise(source)
    if "baseline" in given and isinstance(layout, EpochedLayout):
        text = "none" if given["baseline"] is None else "{:g},{:g}".format(*given["baseline"])
        raise InputError(
            f"{source} holds {layout.description}, whose baseline was subtracted before they were whitened and can no "
            f"longer be changed: leave --baseline {text} out, or prepare the recordings."
        )
    return replace(default_epochs(source, images), **given)


def default_epochs(source: str | Path, images: str | Path | None = None) -> EpochSettings:
    """How epochs of a folder are cut where nobody says otherwise: as recent work does, or as a container's were.

    Args:
        source (path): as [`prepare_things_eeg2`] takes it.
        images (path, *optional*): likewise.

    Raises:
        InputError: if nothing in the folder is recognised.
    """
    source = Path(source)
    layout = recognise(source)
    if isinstance(layout, EpochedLayout):
        metadata = _read_metadata(layout, source, source if images is None else Path(images))
        return epochs_of(first_container(layout, source, metadata))
    return _OF_RECORDINGS


def _plan(
    layout: RecordedLayout | EpochedLayout,
    source: Path,
    metadata: ImageMetadata,
    subjects: Sequence[int],
    names: Sequence[str],
    epochs: EpochSettings | None,
    whitening: str | None,
    allow_missing: bool,
) -> RecordedPlan | EpochedPlan:
    channels = _channels(names)
    if isinstance(layout, EpochedLayout):
        if whitening is not None:
            raise InputError(
                f"whitening is {whitening!r}, but {source} holds {layout.description}, which were whitened before: "
                "leave --whitening out, or prepare the recordings."
            )
        return plan_containers(layout, source, metadata, subjects, channels, epochs, allow_missing)
    epochs, whitening = epochs or _OF_RECORDINGS, whitening or SESSION
    return plan_recordings(layout, source, metadata, subjects, channels, epochs, whitening, allow_missing)


def _read_metadata(layout: RecordedLayout | EpochedLayout, source: Path, images: Path) -> ImageMetadata:
    """The table of pictures; containers often come without it, and follow the order of the picture folders."""
    folder = _metadata_folder(source, images)
    if not (folder / METADATA_FILE).is_file() and isinstance(layout, EpochedLayout):
        return things_eeg2.list_pictures(images)
    return things_eeg2.read_image_metadata(folder)


def _metadata_folder(source: Path, images: Path) -> Path:
    """Where the table of pictures lies; the source where it is missing."""
    return next((one for one in (source, images) if (one / METADATA_FILE).is_file()), source)


def _subjects(source: Path, layout: RecordedLayout | EpochedLayout, wanted: Sequence[int | str]) -> tuple[int, ...]:
    found = sorted(layout.files(source))
    asked = [number for name in wanted if (number := subject_number(str(name))) is not None]
    if len(asked) < len(wanted):
        raise InputError(f"subjects {', '.join(map(str, wanted))}: give numbers, as in 1,2.")
    numbers = sorted(set(asked)) or found
    missing = [number for number in numbers if number not in found]
    if missing:
        raise InputError(f"{source} holds no subject {missing[0]}; it holds {', '.join(map(str, found))}.")
    return tuple(numbers)


def _without_files(source: Path, layout: RecordedLayout | EpochedLayout, allow_missing: bool) -> list[str]:
    """Folders of subjects that hold nothing of the layout, as warnings."""
    found = {subject_folder(number) for number in layout.files(source)}
    empty = sorted(path.name for path in source.glob("sub-*") if path.is_dir() and path.name not in found)
    if empty and not allow_missing:
        raise InputError(f"{source / empty[0]} holds no {layout.description}: {REMEDY}.")
    return [f"{name} holds no {layout.description}." for name in empty]


def _channels(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise InputError("no channel is named: name some, or say occipital or all.")
    if list(names) == ["all"]:
        return ()
    return FACTS.occipital_channels if list(names) == ["occipital"] else tuple(names)


def _check_picture_folders(images: Path) -> None:
    for name in PICTURE_FOLDERS.values():
        if not (images / name).is_dir():
            raise InputError(f"{images / name} is missing: put {name} there, or name their folder with --pictures.")


def _list_pictures(images: Path, metadata: ImageMetadata) -> list[ShownPicture]:
    """All pictures of the table, in the order in which a store has them."""
    captions = read_json(images / CAPTIONS_FILE) if (images / CAPTIONS_FILE).is_file() else {}
    found = []
    for split in (columns.TRAIN, columns.TEST):
        for code in range(1, metadata.size(split) + 1):
            image_id, concept = metadata.image_id(split, code), metadata.concept(split, code)
            found.append(ShownPicture(image_id, concept, captions.get(image_id, ""), split, images / image_id))
    return found


def _check_pictures(pictures: Sequence[ShownPicture], allow_missing: bool) -> None:
    """Look at every picture before hours of work; which of them were shown is not known yet."""
    for picture in progress(pictures, desc="pictures", unit="picture"):
        if picture.path.is_file():
            check_picture(picture.path)
        elif not allow_missing:
            _refuse_missing(picture)


def _refuse_missing(picture: ShownPicture) -> None:
    folder = PICTURE_FOLDERS[picture.gallery]
    raise InputError(f"{picture.path} is missing: put {folder} there, or name their folder with --pictures.")


def _write_pictures(writer: StoreWriter, pictures: Sequence[ShownPicture]) -> None:
    shown = {image_id for image_id, _, _ in writer.targets()}
    for picture in progress([one for one in pictures if one.image_id in shown], desc="pictures", unit="picture"):
        if not picture.path.is_file():
            _refuse_missing(picture)
        writer.add_picture(picture.image_id, picture.concept, picture.gallery, picture.path, picture.caption)
