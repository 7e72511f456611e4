"""Files that a stranger uploaded -> trials, without running or following anything that they say.

Only formats are read that hold numbers and texts alone and whose size in memory the files themselves bound; nothing
pickled is read, not even by [`safe_load`]. Limits are ours.
"""

import configparser
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import mne
import numpy as np

from neuroclip_hf.data.readers import read_with_mne
from neuroclip_hf.data.recordings import recording_of_raw
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.inputs import TrialsInForm, read_trials

LARGEST_UPLOAD = 100 << 20
"""Bytes of all files of one upload, and of what an .npz unpacks to."""
LARGEST_SIGNAL = 1 << 30
"""Bytes that a recording's samples may take in memory: channels of several rates are brought to the highest."""
MOST_FILES = 3
HEADER = ".vhdr"
ALONE = (".edf", ".bdf", ".fif", ".npz")
COMPANIONS = (".vmrk", ".eeg", ".dat")
SUFFIXES = (*ALONE, HEADER, *COMPANIONS)
"""What an upload may consist of: one file of `ALONE`, or a BrainVision header with the files it names."""

_INSTEAD = "upload .edf, .bdf, .fif, .npz, or BrainVision's .vhdr, .vmrk and .eeg together"
_WHY_NOT = {
    **dict.fromkeys((".npy", ".pkl", ".pickle", ".pt"), "may hold a pickle, which is a program"),
    **dict.fromkeys((".gz", ".zip"), "may unpack to any size"),
    **dict.fromkeys((".set", ".mat"), "may unpack to any size and name other files"),
}
_CODEPAGES = ("utf-8", "utf8", "ansi")
_FILE_ENTRIES = ("datafile", "markerfile")
_REFERENCES = {"FIFF_REF_ROLE": 115, "FIFF_REF_FILE_NUM": 117, "FIFF_REF_FILE_NAME": 118}


def read_upload(
    files: Sequence[str | Path], form: BrainFeatureExtractor, *, interpolate: bool = False
) -> TrialsInForm:
    """Trials of an upload in a checkpoint's form.

    Args:
        files (sequence of paths): all files of the upload, wherever they were put.
        form (`BrainFeatureExtractor`): of the checkpoint.
        interpolate (`bool`): see [`read_trials`].

    Raises:
        InputError: as [`received`] and [`read_trials`]; messages name files as the uploader does.
    """
    with received(files) as path:
        try:
            return _read(path, form, interpolate)
        except InputError as error:
            raise InputError(_without_folder(str(error), path.parent)) from error


@contextmanager
def received(files: Sequence[str | Path]) -> Iterator[Path]:
    """Copy an upload into a folder of its own, and yield the file to open; the folder is gone afterwards.

    Raises:
        InputError: if files are too many, too large or of another kind, one is missing, or one names a file outside.
    """
    given = [Path(file) for file in files]
    main = _main_file(given)
    _check_size(given)
    with tempfile.TemporaryDirectory(prefix="neuroclip-upload-") as folder:
        for file in given:
            shutil.copyfile(file, Path(folder) / file.name)
        path = Path(folder) / main.name
        try:
            _check_content(path, {file.name for file in given})
        except InputError as error:
            raise InputError(_without_folder(str(error), path.parent)) from error
        yield path


def _main_file(given: Sequence[Path]) -> Path:
    """The file to open; refuses a wrong number and wrong kinds before a byte is read."""
    if not given:
        raise InputError(f"Nothing was uploaded: {_INSTEAD}.")
    names = [file.name for file in given]
    if len(given) > MOST_FILES or len(set(names)) < len(names):
        raise InputError(f"{len(given)} files were uploaded ({', '.join(names[:5])}): give one recording at a time.")
    for file in given:
        suffix = file.suffix.lower()
        if suffix not in SUFFIXES:
            why = f"files of type {suffix or 'no suffix'} {_WHY_NOT.get(suffix, 'are not read here')}"
            raise InputError(f"{file.name} was not opened, since {why}: {_INSTEAD}.")
    mains = [file for file in given if file.suffix.lower() not in COMPANIONS]
    if len(mains) != 1 or (len(given) > 1 and mains[0].suffix.lower() != HEADER):
        raise InputError(f"{', '.join(names)} are not one recording: {_INSTEAD}.")
    return mains[0]


def _check_size(given: Sequence[Path]) -> None:
    total = sum(file.stat().st_size for file in given)
    if total > LARGEST_UPLOAD:
        raise InputError(
            f"{given[0].name}: the upload has {total / (1 << 20):.0f} MB, and {LARGEST_UPLOAD >> 20} MB are taken: "
            "crop the recording, or run `neuroclip retrieve` on your own machine."
        )


def _check_content(path: Path, uploaded: set[str]) -> None:
    checks = {HEADER: _check_brainvision, ".fif": _check_fif, ".npz": _check_npz}
    check = checks.get(path.suffix.lower())
    if check is not None:
        check(path, uploaded)


def _check_brainvision(path: Path, uploaded: set[str]) -> None:
    """Refuse a header that names a file which was not uploaded beside it."""
    content = path.read_bytes()
    # MNE decodes the header as the header asks; another reading of it than ours must not find other names.
    page = re.search(r"codepage=(.+)", content.decode("ascii", "ignore"), re.IGNORECASE)
    if page and page.group(1).strip().lower() not in _CODEPAGES:
        raise InputError(f"{path.name} is in codepage {page.group(1).strip()[:20]!r}: save it in UTF-8.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read_string(text.partition("\n")[2].partition("[Comment]")[0])
    except configparser.Error:
        raise InputError(f"{path.name} is no BrainVision header: export the recording again.") from None
    named = [
        settings[part][entry] for part in settings.sections() for entry in _FILE_ENTRIES if entry in settings[part]
    ]
    for name in named:
        if name in uploaded:
            continue
        if Path(name).name != name or "\\" in name or ":" in name:
            raise InputError(f"{path.name} points to {name!r}, outside of the upload: nothing there was opened.")
        raise InputError(f"{path.name} belongs to {name}, which is missing: upload both, and the .vmrk, together.")


def _check_fif(path: Path, uploaded: set[str]) -> None:
    """Refuse a part of a split file, which names the next part."""
    try:
        found = [mne.io.show_fiff(path, output=list, tag=tag, verbose="ERROR") for tag in _REFERENCES.values()]
    except Exception as error:  # MNE's parser raises whatever it meets
        raise InputError(f"{path.name} is no FIF file, or a damaged one: save it again with MNE.") from error
    if any(line for lines in found for line in lines):
        raise InputError(f"{path.name} is a part of a split file and points to another: save the recording as one.")


def _check_npz(path: Path, uploaded: set[str]) -> None:
    """Refuse arrays of objects, and those that say another size than they have."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            declared = sum(entry.file_size for entry in entries)
            if declared > LARGEST_UPLOAD:
                raise InputError(
                    f"{path.name} unpacks to {declared / (1 << 20):.0f} MB, and {LARGEST_UPLOAD >> 20} MB are taken: "
                    "give fewer trials, or float32 values."
                )
            for entry in entries:
                with archive.open(entry) as file:
                    _check_array(file, entry, path.name)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path.name} is no .npz file, or a damaged one: save the arrays with numpy.savez."
        ) from error


def _check_array(file: IO[bytes], entry: zipfile.ZipInfo, name: str) -> None:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise InputError(f"{name}: {entry.filename} holds pickled objects, which are not read: save plain arrays.")
    count = 1
    for length in shape:
        count *= length
    if file.tell() + count * dtype.itemsize != entry.file_size:
        raise InputError(f"{name}: {entry.filename} says that it has shape {shape}, and has another size.")


def _read(path: Path, form: BrainFeatureExtractor, interpolate: bool) -> TrialsInForm:
    if path.suffix.lower() == ".npz" or re.fullmatch(r"(.*[-_])?epo\.fif", path.name):
        return read_trials(path, form, interpolate=interpolate)
    raw = read_with_mne(path)
    outside = [name for name in raw.filenames if name and Path(name).resolve().parent != path.parent.resolve()]
    if outside:
        raise InputError(f"{path.name} points outside of the upload: nothing there is shown.")
    size = len(raw.ch_names) * raw.n_times * 8
    if size > LARGEST_SIGNAL:
        raise InputError(
            f"{path.name} would take {size / (1 << 30):.1f} GB in memory, and {LARGEST_SIGNAL >> 30} GB are taken: "
            "crop the recording, or leave out channels of a higher rate."
        )
    return read_trials(recording_of_raw(raw), form, interpolate=interpolate)


def _without_folder(text: str, folder: Path) -> str:
    for place in {folder, folder.resolve()}:
        text = text.replace(f"{place}/", "").replace(f"{place}\\", "").replace(str(place), "the upload")
    return text
