"""Whatever holds trials -> trials in a checkpoint's form: recordings, epochs, arrays, and files of these."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data import safe_load, things_eeg2
from neuroclip_hf.data.channel_names import match_channels
from neuroclip_hf.data.epochs import MODALITIES, modality_of
from neuroclip_hf.data.finishing import covers
from neuroclip_hf.data.recordings import Recording, find_recordings, open_recording, recording_of_raw
from neuroclip_hf.data.sources.array_file import load_values, need_array, texts_of
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.recordings import trials_of_recording
from neuroclip_hf.processing.trial_form import GivenTrials, bring_into_form, unit_steps, window_of

Trials: TypeAlias = Recording | mne.io.BaseRaw | mne.BaseEpochs | NDArray[np.floating] | Mapping[str, Any] | str | Path
"""What [`read_trials`] takes."""
_OF_ARRAYS = ("channel_names", "sampling_rate", "unit", "window_start", "names")
_UNITS = {"eeg": "V", "meg": "T"}


@dataclass(frozen=True)
class TrialsInForm:
    """Trials as a checkpoint reads them, before they are standardised.

    Args:
        values (`numpy.ndarray`): `(trials, channels, samples)` or `(trials, voxels)`, in the checkpoint's unit.
        names (`list[str]`, *optional*): what each trial shows; `None` where the source does not say.
        subject (`str`): whose they are; "" where that is not known.
        to_whiten (`bool`): whether they are to be whitened yet.
        notes (`list[str]`): what was done to them, in words.
    """

    values: NDArray[np.floating]
    names: list[str] | None
    subject: str
    to_whiten: bool
    notes: list[str]


def read_trials(
    trials: Trials,
    form: BrainFeatureExtractor,
    *,
    channel_names: Sequence[str] | None = None,
    sampling_rate: float | None = None,
    unit: str | None = None,
    window_start: float | None = None,
    names: Sequence[str] | None = None,
    subject: str | None = None,
    ignore: Sequence[str] = (),
    interpolate: bool = False,
    whitened: bool = True,
) -> TrialsInForm:
    """Bring trials of any origin into a checkpoint's form.

    Args:
        trials: a recording (`mne.io.Raw` with annotations, or a [`Recording`]); `mne.Epochs`; an array `(trials,
            channels, samples)` or `(trials, voxels)`; a mapping with such an array as "values", and what it means
            under the names of the arguments below; or the path of a recording, of epochs that MNE saved, of a .npy
            with an array or of an .npz as `neuroclip prepare arrays` takes it.
        form (`BrainFeatureExtractor`): of the checkpoint.
        channel_names (sequence of `str`, *optional*): of an array, and needed with it.
        sampling_rate (`float`, *optional*): of an array, in Hz, and needed with it; patterns have none.
        unit (`str`, *optional*): of an array, and needed with it, but for patterns; see [`GivenTrials`].
        window_start (`float`, *optional*): of an array, in seconds; see [`GivenTrials`].
        names (sequence of `str`, *optional*): of an array: what each trial shows.
        subject (`str`, *optional*): whose trials they are; by default what the name of the file says.
        ignore (sequence of patterns): annotations, or codes, of a recording to leave out.
        interpolate (`bool`): interpolate electrodes that are missing or cannot be used, as MNE does.
        whitened (`bool`): whiten, where the checkpoint's trials were.

    Raises:
        InputError: naming what is missing, does not fit and cannot be mended, or is of an unknown kind.
    """
    facts = {
        "channel_names": channel_names,
        "sampling_rate": sampling_rate,
        "unit": unit,
        "window_start": window_start,
        "names": names,
    }
    said = {name: value for name, value in facts.items() if value is not None}
    if isinstance(trials, str | Path):
        trials, said, subject = _open(Path(trials), said, subject, ignore)
    if isinstance(trials, Mapping):
        trials, said, subject = _unpack(trials, said, subject)
    how: dict[str, Any] = {"interpolate": interpolate, "whitened": whitened}
    if isinstance(trials, mne.io.BaseRaw):
        trials = recording_of_raw(trials, subject, ignore)
    if isinstance(trials, Recording | mne.BaseEpochs) and said:
        raise InputError(f"{next(iter(said))} was given for a recording, which says it itself: leave it out.")
    if isinstance(trials, Recording):
        found, values, notes = trials_of_recording(trials, form, **how)
        to_whiten = not whitened and form.whitening is not None
        return TrialsInForm(values, found, subject or trials.file.subject, to_whiten, notes)
    if isinstance(trials, mne.BaseEpochs):
        return _from_epochs(trials, form, subject, how)
    return _from_array(trials, form, said, subject, how)


def _open(
    path: Path, said: dict[str, Any], subject: str | None, ignore: Sequence[str]
) -> tuple[Any, dict[str, Any], str | None]:
    if not path.exists():
        raise InputError(f"{path} does not exist: correct the path.")
    if path.suffix == ".npz":
        return _arrays_of(path), said, subject
    if path.suffix == ".npy" and path.name not in things_eeg2.RAW_FILES.values():
        values = safe_load.load(path)
        if not isinstance(values, np.ndarray):
            raise InputError(f"{path} holds no array of numbers: save one with numpy.save, or name a recording.")
        return values, said, subject
    if re.fullmatch(r"(.*[-_])?epo\.fif(\.gz)?", path.name):
        try:
            return mne.read_epochs(path, preload=False, verbose="ERROR"), said, subject
        except Exception as error:  # MNE's reader raises whatever its parser meets
            raise InputError(f"{path} cannot be read as epochs ({error}): save them again with MNE.") from error
    files = find_recordings([path], subject)
    if len(files) > 1:
        raise InputError(f"{path} holds {len(files)} recordings: name one of them.")
    return open_recording(files[0], ignore), said, subject


def _arrays_of(path: Path) -> dict[str, Any]:
    """What an .npz says, under the names that [`read_trials`] has for it."""
    arrays = load_values(path)
    brain = need_array(arrays, "brain", path)
    found: dict[str, Any] = {"values": brain}
    if "channel_names" in arrays:
        found["channel_names"] = texts_of(arrays, "channel_names", brain.shape[1], path, default=[])
    if "sampling_rate" in arrays:
        found["sampling_rate"] = float(arrays["sampling_rate"])
    if "unit" in arrays:
        found["unit"] = str(arrays["unit"])
    shown = next((arrays[name] for name in ("image_files", "concept") if name in arrays), None)
    if "image_id" in arrays and shown is not None:
        found["names"] = [str(shown[place]) for place in arrays["image_id"]]
    if "subject" in arrays:
        whose = set(texts_of(arrays, "subject", len(brain), path, default=[]))
        if len(whose) > 1:
            raise InputError(f"{path} holds trials of {len(whose)} subjects: give those of one at a time.")
        found["subject"] = next(iter(whose))
    return found


def _unpack(
    trials: Mapping[str, Any], said: dict[str, Any], subject: str | None
) -> tuple[Any, dict[str, Any], str | None]:
    known = {"values", "subject", *_OF_ARRAYS}
    unknown = [name for name in trials if name not in known]
    if unknown or "values" not in trials:
        what = f"holds {unknown[0]!r}" if unknown else "lacks 'values'"
        raise InputError(f"The mapping of trials {what}: its names are {', '.join(sorted(known))}.")
    mine = {name: trials[name] for name in _OF_ARRAYS if trials.get(name) is not None}
    return trials["values"], {**mine, **said}, subject or trials.get("subject")


def _from_epochs(
    epochs: mne.BaseEpochs, form: BrainFeatureExtractor, subject: str | None, how: dict[str, Any]
) -> TrialsInForm:
    if not epochs.preload:  # events that are to be dropped still stand in its list
        epochs = epochs.copy().drop_bad(verbose="ERROR")
    if not len(epochs.events):
        raise InputError("No epoch is left (all were dropped): nothing can be retrieved.")
    kinds = dict(zip(epochs.ch_names, epochs.get_channel_types(), strict=True))
    data = [name for name in epochs.ch_names if any(kinds[name] in members for members in MODALITIES.values())]
    matched = match_channels(form.channel_names, data, "The epochs")
    own = set(matched.values())
    if how["interpolate"]:
        own |= {name for name in data if kinds[name] == "eeg"}
    read = [name for name in data if name in own]
    if not read:
        raise InputError(
            f"The epochs have none of the checkpoint's channels ({', '.join(form.channel_names[:5])}, ...): they have "
            f"{', '.join(data[:40]) or 'no EEG or MEG'}."
        )
    modality = modality_of(epochs, read, "The epochs")
    rate = epochs.info["sfreq"]
    baseline = window_of(form).baseline if form.sampling_rate and len(form.trial_shape) == 2 else None
    if baseline and epochs.baseline is None and not covers(baseline, epochs.tmin, len(epochs.times), rate):
        raise InputError(
            f"The epochs begin at {epochs.tmin:g} s without a baseline, and the checkpoint's trials are corrected by "
            f"that from {baseline[0]:g} to {baseline[1]:g} s: cut them from {baseline[0]:g} s on, or apply a baseline."
        )
    bads = [name for name in epochs.info["bads"] if name in read]
    values = epochs.get_data(picks=[epochs.ch_names.index(name) for name in read], copy=False)
    given = GivenTrials(values, read, rate, _UNITS[modality], epochs.tmin, bads)
    named = {code: str(name) for name, code in epochs.event_id.items()}
    shown = [named.get(code, str(code)) for code in epochs.events[:, 2]]
    return _in_form(given, form, shown, subject, how)


def _from_array(
    values: Any, form: BrainFeatureExtractor, said: dict[str, Any], subject: str | None, how: dict[str, Any]
) -> TrialsInForm:
    if not hasattr(values, "__array__"):
        raise InputError(
            f"The trials are a {type(values).__name__}: give mne.Epochs, mne.io.Raw with annotations, an array, "
            "or the path of a file."
        )
    patterns = len(form.trial_shape) == 1
    needed = ("channel_names",) if patterns else ("channel_names", "sampling_rate", "unit")
    missing = [name for name in needed if name not in said]
    if missing:
        raise InputError(f"An array of trials comes without {', '.join(missing)}: say what its numbers are.")
    array, names = np.asarray(values), said.pop("names", None)
    if array.ndim == len(form.trial_shape):
        array = array[None]
    if not len(array) or (names is not None and len(names) != len(array)):
        count = "no" if names is None else len(names)
        raise InputError(
            f"There are {len(array)} trials and {count} names: give a trial at least, and a name of each."
        )
    given = GivenTrials(array, **{"unit": form.unit, **said})
    return _in_form(given, form, None if names is None else [str(name) for name in names], subject, how)


def _in_form(
    given: GivenTrials,
    form: BrainFeatureExtractor,
    names: list[str] | None,
    subject: str | None,
    how: dict[str, Any],
) -> TrialsInForm:
    to_whiten = not how["whitened"] and unit_steps(given.unit, form)[1] is not None
    values, notes = bring_into_form(given, form, **how)
    kept = values if to_whiten else values.astype(np.float32)
    return TrialsInForm(kept, names, subject or "", to_whiten, notes)
