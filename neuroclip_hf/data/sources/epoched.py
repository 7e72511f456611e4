"""The parts of a store that is made from a container of epochs: what it holds is taken over, and said."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from neuroclip_hf import columns
from neuroclip_hf.data.epochs import EpochSettings, named_channels
from neuroclip_hf.data.simulated import is_simulated
from neuroclip_hf.data.sources.layouts import EpochedFile, EpochedLayout
from neuroclip_hf.data.sources.layouts.base import SPLITS, trial_row
from neuroclip_hf.data.sources.parts import Part, Result
from neuroclip_hf.data.sources.resume import UnfinishedStore
from neuroclip_hf.data.sources.sessions import REMEDY
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_writer import BLOCK, StoreWriter
from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.data.things_eeg2 import FACTS, ImageMetadata
from neuroclip_hf.errors import InputError

_BASELINE = (FACTS.epoch_start, 0.0)
_NEAR = 1e-3  # samples


def epochs_of(opened: EpochedFile) -> EpochSettings:
    """How the epochs of a container were cut, as far as it can be known: the field's baseline."""
    return EpochSettings(window=opened.window, baseline=_BASELINE, sampling_rate=opened.sampling_rate)


def check_epochs(opened: EpochedFile, wanted: EpochSettings) -> tuple[int, int]:
    """The first sample to take, and how many: a window inside the container's is cut out of it exactly.

    Raises:
        InputError: for a window outside, another rate or another baseline.
    """
    held, rate = epochs_of(opened), opened.sampling_rate
    begin = f"{opened.path} holds epochs that are already cut"
    if wanted.sampling_rate not in (None, rate):
        raise InputError(
            f"{begin}, at {rate:g} Hz: --rate {wanted.sampling_rate:g} needs the recordings; leave it out."
        )
    if wanted.baseline != held.baseline or wanted.band != (None, None) or wanted.reject is not None:
        raise InputError(f"{begin}: another baseline, filter or rejection needs the recordings; leave it out.")
    start, stop = ((edge - opened.window_start) * rate for edge in wanted.window)
    inside = min(start, opened.values.shape[-1] - stop) >= -_NEAR
    if not inside or max(abs(edge - round(edge)) for edge in (start, stop)) > _NEAR:
        low, high = opened.window
        remedy = "does not begin and end at a sample: choose such times" if inside else "is not inside"
        raise InputError(
            f"{begin}, from {low:g} to {high:g} s in steps of {1 / rate:g} s: --window {wanted.window[0]:g},"
            f"{wanted.window[1]:g} {remedy}."
        )
    return round(start), round(stop) - round(start)


def plan_containers(
    layout: EpochedLayout,
    source: Path,
    metadata: ImageMetadata,
    subjects: Sequence[int],
    channels: Sequence[str],
    epochs: EpochSettings | None,
    allow_missing: bool,
) -> "EpochedPlan":
    """Look at the first container, and say what will be made.

    Args:
        layout (`EpochedLayout`): how containers lie in `source`.
        source (`Path`): the folder.
        metadata (`ImageMetadata`): the table of pictures.
        subjects (sequence of `int`): whose.
        channels (sequence of `str`): names; all if empty.
        epochs (`EpochSettings`, *optional*): a window inside the container's; all by default.
        allow_missing (`bool`): whether a subject may have only one of its two files.

    Raises:
        InputError: for what a container cannot give any more, or a missing file.
    """
    paths = [layout.path(source, subject, split) for subject in subjects for split in SPLITS]
    missing = [path for path in paths if not path.is_file()]
    if missing and not allow_missing:
        raise InputError(f"{missing[0]} is missing: {REMEDY}.")
    like = first_container(layout, source, metadata, subjects)
    wanted = epochs or epochs_of(like)
    check_epochs(like, wanted)
    names = tuple(named_channels(like.channels, channels, like.path))
    wanted = replace(wanted, channels=names, sampling_rate=like.sampling_rate)
    warnings = tuple(f"{path.relative_to(source).as_posix()} is missing." for path in missing)
    return EpochedPlan(layout, source, metadata, wanted, tuple(subjects), like, warnings, allow_missing)


def first_container(
    layout: EpochedLayout, source: Path, metadata: ImageMetadata, subjects: Sequence[int] = ()
) -> EpochedFile:
    """The first container (that of the test, which is small), without its values in memory but with their shape."""
    for subject in subjects or sorted(layout.files(source)):
        for split in reversed(SPLITS):
            path = layout.path(source, subject, split)
            if path.is_file():
                opened = layout.open(path, split, metadata)
                return replace(opened, values=np.broadcast_to(opened.values.dtype.type(0), opened.values.shape))
    raise InputError(f"{source} holds no container of the subjects asked for.")


@dataclass(frozen=True)
class EpochedPlan:
    """How containers become trials.

    Args:
        layout (`EpochedLayout`): how they lie in the folder.
        source (`Path`): the folder.
        metadata (`ImageMetadata`): the table of pictures.
        epochs (`EpochSettings`): what to take, with the names of the channels.
        subjects (`tuple` of `int`): whose.
        like (`EpochedFile`): the first container, without its values; all others must be like it.
        warnings (`tuple` of `str`): what is missing.
        allow_missing (`bool`): whether what is missing is a warning, rather than an error.
    """

    layout: EpochedLayout
    source: Path
    metadata: ImageMetadata
    epochs: EpochSettings
    subjects: tuple[int, ...]
    like: EpochedFile
    warnings: tuple[str, ...]
    allow_missing: bool

    @property
    def info(self) -> StoreInfo:
        """What store.json says."""
        count = len(self.epochs.channels)
        settings = {**self.epochs.to_dict(), "baseline": None}
        simulated = self.metadata.simulated or is_simulated(self.like.path)
        return StoreInfo(
            modality="eeg",
            channels=list(self.epochs.channels),
            unit="sd",
            scale=[1.0] * count,
            offset=[0.0] * count,
            sampling_rate=self.like.sampling_rate,
            window_start=self.epochs.window[0],
            num_timesteps=check_epochs(self.like, self.epochs)[1],
            protocol=columns.NEW_CONCEPTS,
            target=columns.IMAGE_TARGET,
            data=columns.SIMULATED if simulated else columns.RECORDED,
            source="things-eeg2",
            settings={"layout": self.layout.name_of(self.like), "already_epoched": True, "epochs": settings},
            whitening_fit=self.like.whitening_fit,
        )

    @property
    def files(self) -> list[Path]:
        """All sources that are read; several may share one."""
        return list(dict.fromkeys(file for part in self._parts() for file in part.files))

    def write(self, store: UnfinishedStore) -> None:
        """Write all trials; parts that were finished before are not done again.

        Args:
            store (`UnfinishedStore`): where to; its warnings become those of missing containers.

        Raises:
            InputError: for a container that is damaged, or was made in another way than the first.
        """
        store.do(self._parts())
        store.info = replace(store.info, warnings=[*self.warnings, *self._check_repeats(store)])

    def _check_repeats(self, store: UnfinishedStore) -> list[str]:
        """Whether all subjects have their pictures equally often; if not, warnings."""
        warnings: list[str] = []
        for split in SPLITS:
            repeats = {one.name: one.repeats[split] for one in store.records if split in one.repeats}
            most = max(repeats.values(), default=0)
            for name, count in repeats.items():
                if count < most:
                    self._warn(f"{name}: {count} repeats of a picture, and {most} of other subjects", warnings)
        return warnings

    def _check_pictures(self, opened: EpochedFile, split: str, result: Result) -> None:
        """Whether every picture of the table has as many trials as most."""
        counts = Counter(opened.image_ids.reshape(-1).tolist())
        plan = max(sorted(counts.values(), reverse=True), key=list(counts.values()).count)
        result.repeats[split] = plan
        pictures = [self.metadata.image_id(split, code) for code in range(1, self.metadata.size(split) + 1)]
        few = [name for name in pictures if counts[name] < plan]
        if few:
            self._warn(
                f"{opened.path.relative_to(self.source).as_posix()}: {len(few)} of {len(pictures)} {split} pictures "
                f"have fewer trials than the others ({counts[few[0]]} instead of {plan}: {few[0]})",
                result.warnings,
            )

    def _warn(self, text: str, warnings: list[str]) -> None:
        if not self.allow_missing:
            raise InputError(f"{text}: {REMEDY}.")
        warnings.append(f"{text}.")

    def _parts(self) -> list[Part]:
        return [
            Part(
                f"{subject_folder(subject)}/{split}",
                subject_folder(subject),
                tuple(self.layout.sources(path)),
                partial(self._write, subject, split, path),
            )
            for subject in self.subjects
            for split in SPLITS
            if (path := self.layout.path(self.source, subject, split)).is_file()
        ]

    def _write(self, subject: int, split: str, path: Path, writer: StoreWriter, result: Result) -> None:
        opened = self.layout.open(path, split, self.metadata)
        self._refuse_other(opened)
        self._check_pictures(opened, split, result)
        start, count = check_epochs(opened, self.epochs)
        names = named_channels(opened.channels, self.epochs.channels, path)
        picks = [opened.channels.index(name) for name in names]
        ids, sessions = opened.image_ids.reshape(-1), opened.sessions.reshape(-1)
        for numbers, values in opened.blocks(BLOCK, slice(start, start + count), picks):
            rows = [trial_row(path, split, str(ids[one]), int(sessions[one]), int(one)) for one in numbers]
            writer.add_trials(subject_folder(subject), split, values, rows, str(path))

    def _refuse_other(self, opened: EpochedFile) -> None:
        for what in ("sampling_rate", "window", "whitening_fit"):
            mine, first = getattr(opened, what), getattr(self.like, what)
            if mine != first:
                raise InputError(
                    f"{opened.path} has the {what} {mine} and {self.like.path} {first}: they were made in different "
                    "ways, and cannot stand in one store."
                )
