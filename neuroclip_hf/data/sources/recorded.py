"""The parts of a store that is made from continuous recordings: epochs cut and whitened, session by session."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings, choose_channels
from neuroclip_hf.data.recordings import NAME, RecordingFile, check_signal
from neuroclip_hf.data.repeats import REPEATS_PER_SESSION, choose_repeats
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION
from neuroclip_hf.data.sources.layouts import RecordedLayout
from neuroclip_hf.data.sources.layouts.base import SPLITS, trial_row
from neuroclip_hf.data.sources.parts import Part, Result
from neuroclip_hf.data.sources.resume import UnfinishedStore
from neuroclip_hf.data.sources.sessions import REMEDY, SessionFiles, find_sessions, missing_files
from neuroclip_hf.data.sources.showings import Showings, short_name
from neuroclip_hf.data.sources.spilled import Block, SpilledEpochs, pictures_of
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_writer import StoreWriter
from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.data.things_eeg2 import ImageMetadata
from neuroclip_hf.data.whitening import NoiseCovariance, whiten, whitening_matrix
from neuroclip_hf.errors import InputError

SESSION, TRAINING_SUBJECTS, NONE = "session", "training-subjects", "none"
WHITENINGS = (SESSION, TRAINING_SUBJECTS, NONE)
WHITENING_FITS = {
    SESSION: "training epochs of the same subject and session",
    TRAINING_SUBJECTS: "training epochs of all sessions of the other subjects of this store: the mean of a subject's "
    "covariances, then of the subjects'",
    NONE: None,
}
"""What store.json says of each."""
_MEASURE = "covariance of "

SessionWork = Callable[[SessionFiles, StoreWriter, Result], None]


def plan_recordings(
    layout: RecordedLayout,
    source: Path,
    metadata: ImageMetadata,
    subjects: Sequence[int],
    channels: Sequence[str],
    epochs: EpochSettings,
    whitening: str,
    allow_missing: bool,
) -> "RecordedPlan":
    """Look at the folder and at the first recording, and say what will be made.

    Args:
        layout (`RecordedLayout`): how recordings lie in `source`.
        source (`Path`): the folder.
        metadata (`ImageMetadata`): the table of pictures.
        subjects (sequence of `int`): whose.
        channels (sequence of `str`): names; all EEG channels if empty.
        epochs (`EpochSettings`): how to cut.
        whitening (`str`): one of [`WHITENINGS`].
        allow_missing (`bool`): whether what is missing is a warning, rather than an error.

    Raises:
        InputError: for a setting that does not suit, or a missing recording.
    """
    if whitening not in WHITENINGS:
        raise InputError(f"whitening is {whitening!r}: choose one of {', '.join(WHITENINGS)}.")
    sessions = find_sessions(layout, source, subjects)
    missing = missing_files(layout, source, sessions)
    if missing and not allow_missing:
        raise InputError(f"{missing[0]} is missing: {REMEDY}.")
    trained = [one for one in sessions if columns.TRAIN in one.paths]
    without = set(subjects) - {one.subject for one in trained}
    if without:
        raise InputError(f"subject {min(without)} has no training recording: leave it out with --subjects.")
    if whitening == TRAINING_SUBJECTS and len(set(subjects)) < 2:
        raise InputError(
            f"whitening is {whitening!r}, which whitens a subject by the other subjects of the store, and there is "
            f"only subject {subjects[0]}: name more with --subjects, or choose {SESSION!r}."
        )
    first = trained[0]
    file = RecordingFile(first.paths[columns.TRAIN], subject_folder(first.subject), first.session)
    raw = layout.open(file, columns.TRAIN, metadata).raw
    epochs = replace(epochs, channels=tuple(choose_channels(raw, channels, file.path)))
    simulated = metadata.simulated or raw.info["description"] == SIMULATED_DESCRIPTION
    info = _store_info(layout, epochs, float(raw.info["sfreq"]), whitening, simulated)
    warnings = [f"{path.relative_to(source).as_posix()} is missing." for path in missing]
    if whitening == SESSION:
        warnings += [_not_whitened(one) for one in sessions if list(one.paths) == [columns.TEST]]
    return RecordedPlan(layout, metadata, epochs, whitening, tuple(sessions), allow_missing, info, tuple(warnings))


def _store_info(
    layout: RecordedLayout, epochs: EpochSettings, recorded_rate: float, whitening: str, simulated: bool
) -> StoreInfo:
    rate = float(epochs.sampling_rate or recorded_rate)
    whitened = whitening != NONE
    count = len(epochs.channels)
    return StoreInfo(
        modality="eeg",
        channels=list(epochs.channels),
        unit="sd" if whitened else "V",
        scale=[1.0 if whitened else 1e-6] * count,
        offset=[0.0] * count,
        sampling_rate=rate,
        window_start=epochs.window[0],
        num_timesteps=epochs.num_timesteps(rate),
        protocol=columns.NEW_CONCEPTS,
        target=columns.IMAGE_TARGET,
        data=columns.SIMULATED if simulated else columns.RECORDED,
        source="things-eeg2",
        settings={
            "layout": layout.name,
            "epochs": epochs.to_dict(),
            "whitening": whitening,
            "repeats_per_session": REPEATS_PER_SESSION,
        },
        epochs=replace(epochs, sampling_rate=rate).to_dict(),
        whitening_fit=WHITENING_FITS[whitening],
    )


@dataclass(frozen=True)
class RecordedPlan:
    """How recordings become trials.

    Args:
        layout (`RecordedLayout`): how they lie in the folder.
        metadata (`ImageMetadata`): the table of pictures.
        epochs (`EpochSettings`): how to cut, with the names of the channels.
        whitening (`str`): one of [`WHITENINGS`].
        sessions (`tuple`): from [`find_sessions`].
        allow_missing (`bool`): whether what is missing is a warning, rather than an error.
        info (`StoreInfo`): what store.json says.
        warnings (`tuple` of `str`): recordings that are missing.
    """

    layout: RecordedLayout
    metadata: ImageMetadata
    epochs: EpochSettings
    whitening: str
    sessions: tuple[SessionFiles, ...]
    allow_missing: bool
    info: StoreInfo
    warnings: tuple[str, ...]

    def write(self, store: UnfinishedStore) -> None:
        """Write all trials and covariances; parts that were finished before are not done again.

        Args:
            store (`UnfinishedStore`): where to; its warnings become those of missing recordings and pictures.

        Raises:
            InputError: for a recording that is damaged, or lacks something that may not be missing.
        """
        warnings, fewer = list(self.warnings), list[str]()
        store.do(self.measuring_parts())
        for subject in dict.fromkeys(session.subject for session in self.sessions):
            store.do(self.parts(subject, store))
            warnings += self.showings.check_subject(subject, store)
            fewer = self.showings.check_sessions(store)  # also those of subjects before
        warnings += fewer
        for subject, covariances in self.covariances(store).items():
            store.writer.add_covariances(subject_folder(subject), covariances)
        store.info = replace(store.info, warnings=warnings)

    @property
    def showings(self) -> Showings:
        """What is expected of the recordings."""
        return Showings(self.metadata, self.allow_missing)

    @property
    def used_sessions(self) -> list[SessionFiles]:
        """Sessions with recordings; one without training recording is left out where it cannot be whitened."""
        return [
            session
            for session in self.sessions
            if columns.TRAIN in session.paths or (session.paths and self.whitening != SESSION)
        ]

    @property
    def files(self) -> list[Path]:
        """All sources that are read."""
        paths = (path for session in self.used_sessions for path in session.paths.values())
        return [file for path in paths for file in self.layout.sources(path)]

    def measuring_parts(self) -> list[Part]:
        """Covariances, which come first where subjects are whitened by each other; otherwise none."""
        if self.whitening != TRAINING_SUBJECTS:
            return []
        return [
            self._part(_MEASURE, session, (columns.TRAIN,), self._measure)
            for session in self.sessions
            if columns.TRAIN in session.paths
        ]

    def parts(self, subject: int, store: UnfinishedStore) -> list[Part]:
        """The sessions of a subject."""
        return [
            self._part("", session, SPLITS, partial(self._write, store=store))
            for session in self.used_sessions
            if session.subject == subject
        ]

    def covariances(self, store: UnfinishedStore) -> dict[int, NDArray[np.float64]]:
        """Noise covariances (sessions, channels, channels) of each subject's own training epochs."""
        prefix = _MEASURE if self.whitening == TRAINING_SUBJECTS else ""
        found: dict[int, list[NDArray[np.float64]]] = {}
        for session in self.sessions:
            covariance = store.covariance(prefix + _name(session))
            if covariance is not None:
                found.setdefault(session.subject, []).append(covariance)
        return {subject: np.stack(several) for subject, several in found.items()}

    def _part(self, prefix: str, session: SessionFiles, splits: Sequence[str], run: SessionWork) -> Part:
        paths = [session.paths[split] for split in splits if split in session.paths]
        files = tuple(file for path in paths for file in self.layout.sources(path))
        return Part(prefix + _name(session), subject_folder(session.subject), files, partial(run, session))

    def _measure(self, session: SessionFiles, writer: StoreWriter, result: Result) -> None:
        covariance, found = NoiseCovariance(), False
        for rows, values in self._cut(session, columns.TRAIN, Result(result.scratch)):
            covariance.add(values, pictures_of(rows))
            found = True
        result.covariance = covariance.result() if found else None

    def _write(self, session: SessionFiles, writer: StoreWriter, result: Result, store: UnfinishedStore) -> None:
        matrix = self._matrix_of_others(session.subject, store) if self.whitening == TRAINING_SUBJECTS else None
        for split, path in session.paths.items():
            blocks: Iterable[Block] = self._cut(session, split, result)
            if split == columns.TRAIN and self.whitening == SESSION:
                spilled = SpilledEpochs(result.scratch / "epochs", blocks)
                blocks, result.covariance = spilled, spilled.covariance
                if result.covariance is None:
                    result.warnings += [_not_whitened(session)] if columns.TEST in session.paths else []
                    return
                matrix = _invert(result.covariance, path)
            for rows, values in blocks:
                whitened = values if matrix is None else whiten(values, matrix)
                writer.add_trials(subject_folder(session.subject), split, whitened, rows, str(path))

    def _cut(self, session: SessionFiles, split: str, result: Result) -> Iterator[Block]:
        """Epochs of one recording in float64, a block at a time; what could not be cut goes to the result."""
        path = session.paths[split]
        run = 1 + SPLITS.index(split)
        file = RecordingFile(path, subject_folder(session.subject), session.session, run)
        recording = self.layout.open(file, split, self.metadata)
        if recording.events.empty:
            result.warnings.append(
                self.showings.allowed(f"{short_name(path)} shows no picture: it holds no stimulus code")
            )
            return
        channels = choose_channels(recording.raw, self.epochs.channels, path)
        check_signal(recording, channels)
        shown = recording.events[NAME].tolist()
        result.warnings += self.showings.check_session(path, split, shown, result)
        chosen = choose_repeats(shown, REPEATS_PER_SESSION[split])
        events = recording.events.iloc[np.sort(np.concatenate(chosen))]
        samples, names = events[columns.SAMPLE].to_numpy(), events[NAME].to_numpy()
        left = np.ones(len(events), dtype=bool)
        for kept, values in cut_epochs(recording.raw, samples, self.epochs, channels):
            left[kept] = False
            yield [trial_row(path, split, str(names[row]), session.session, int(samples[row])) for row in kept], values
        if left.all():
            raise InputError(f"{path}: no epoch fits into the recording; check --window and --baseline.")
        if left.any():
            result.dropped += [(split, str(name)) for name in names[left]]
            result.warnings.append(
                f"{short_name(path)}: {left.sum()} of {len(left)} epochs were left out: they reach over an end of the "
                "recording or a mark, or hold no signal."
            )

    def _matrix_of_others(self, subject: int, store: UnfinishedStore) -> NDArray[np.float64]:
        own = self.covariances(store)
        if not set(own) - {subject}:
            raise InputError(
                f"nobody but {subject_folder(subject)} has a training recording that shows pictures: choose "
                f"whitening {SESSION!r}."
            )
        others = [covariances.mean(axis=0) for other, covariances in own.items() if other != subject]
        return _invert(np.mean(others, axis=0), Path(subject_folder(subject)))


def _invert(covariance: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    try:
        return whitening_matrix(covariance)
    except ValueError as error:
        raise InputError(f"{path}: {error}: leave out channels that repeat others with --channels.") from None


def _not_whitened(session: SessionFiles) -> str:
    return f"{_name(session)}: its test recording was left out: without training epochs nothing whitens it."


def _name(session: SessionFiles) -> str:
    return f"{subject_folder(session.subject)}/ses-{session.session:02d}"
