"""`neuroclip prepare fmri`: one's own scans (NIfTI), events and mask into a trial store, through nilearn."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.captions import read_texts
from neuroclip_hf.data.pictures import PictureFolder, check_picture
from neuroclip_hf.data.responses import BETAS, ResponseSettings, estimate_responses, refuse_outside
from neuroclip_hf.data.run_scaling import refuse_crossing, run_differences, scale_runs, unscaled_hint
from neuroclip_hf.data.scans import (
    compute_mask,
    coordinates,
    open_run,
    read_mask,
    read_regions,
    read_voxels,
    repetition_time,
    require_nilearn,
    voxel_names,
)
from neuroclip_hf.data.sources.finished import ShownPicture
from neuroclip_hf.data.sources.fmri_runs import (
    ScanRun,
    ShownTrial,
    read_confounds,
    read_events,
    read_labels,
    read_runs,
    read_table,
)
from neuroclip_hf.data.sources.patterns import Blocks, SubjectPatterns, TrialRow, pattern_info, write_patterns
from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.store_writer import BLOCK
from neuroclip_hf.data.voxels import VoxelStatistics, usable_voxels
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import refuse_existing, sha256
from neuroclip_hf.logging import get_logger, progress


def prepare_fmri(
    runs: str | Path,
    out: str | Path,
    *,
    pictures: str | Path,
    mask: str | Path | None = None,
    atlas: str | Path | None = None,
    labels: str | Path | None = None,
    captions: str | Path | None = None,
    responses: ResponseSettings | None = None,
    confounds: Sequence[str] = (),
    ignore: Sequence[str] = (),
    protocol: str = columns.NEW_CONCEPTS,
    drop_bad_voxels: bool = False,
    simulated: bool = False,
    redistribute_pictures: bool = False,
    overwrite: bool = False,
) -> Path:
    """Make a trial store from preprocessed scans.

    `runs` is a table with tabs: `subject`, `session`, `run`, `bold` (4-D NIfTI), `events`, and optionally `split`,
    `confounds` (a table with a line a volume), `mask` and `atlas` (of the subject); files are relative to it. Events
    are tables as in BIDS: `onset` and `duration` in seconds, and `stim_file` or `trial_type`, which names a picture;
    a column `split` goes before that of the run. One run of volumes is in memory at a time, and the patterns of all
    subjects in float32.

    Voxels of a common `mask` are called by their place in its grid and are the same in all subjects; those of a
    subject's own mask belong to the subject. `sample` is the row in the table of events.

    Args:
        runs (path): the table.
        out (path): the store.
        pictures (path): folder of pictures; a folder in it is a concept.
        mask (path, *optional*): for all subjects that have none in the table; without one, nilearn finds the brain.
        atlas (path, *optional*): image of numbers, one a region, likewise.
        labels (path, *optional*): table that names them (`index`, `name`).
        captions (path, *optional*): JSON or CSV of texts by picture.
        responses ([`ResponseSettings`], *optional*): how a trial's pattern is estimated; by default single-trial
            weights of one linear model a run, in percent.
        confounds (sequence of `str`): columns of the confounds' tables; all by default.
        ignore (sequence of patterns): events to leave out, by `stim_file` or `trial_type`.
        protocol (`str`): what training and test may share.
        drop_bad_voxels (`bool`): leave out voxels that hold NaN or never change, with a warning, rather than refuse
            them.
        simulated (`bool`): the scans were made up; every report will say so.
        redistribute_pictures (`bool`): whether the pictures may be shared.
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: naming file, value and remedy; nothing is left under `out`.
    """
    runs, out, responses = Path(runs), Path(out), responses or ResponseSettings()
    refuse_existing(out, overwrite, STORE_FILE)
    require_nilearn()
    folder, said = PictureFolder.scan(pictures), {} if captions is None else read_texts(Path(captions))
    strange = [name for name in said if name not in folder.image_ids]
    if strange:
        raise InputError(f"{captions} is of other pictures: {folder.root} holds no {strange[0]!r}.")
    if (atlas is None) != (labels is None):
        raise InputError("an atlas needs a table that names its regions: give --atlas and --labels together.")
    grid = _Grid(
        None if mask is None else Path(mask),
        None if atlas is None else Path(atlas),
        {} if labels is None else read_labels(Path(labels)),
    )
    listed = read_runs(runs)
    _check_confounds(runs, listed, confounds)
    shown = {run: read_events(run, folder, ignore) for run in listed}
    gallery = _pictures(folder, said, [trial for trials in shown.values() for trial in trials])
    of_subject: dict[str, dict[ScanRun, list[ShownTrial]]] = defaultdict(dict)
    for run, trials in shown.items():
        of_subject[run.subject][run] = trials
    reader = _Reader(runs.parent, grid, responses, tuple(confounds), drop_bad_voxels, simulated)
    for subject, theirs in of_subject.items():
        reader.look(subject, theirs)
    read = [reader.read(subject, theirs) for subject, theirs in of_subject.items()]
    for warning in (said for one in read for said in one.warnings):
        get_logger().warning("%s", warning)
    settings = {"responses": responses.to_dict(), "confounds": list(confounds), "ignore": list(ignore)}
    info = pattern_info(
        "fmri", read, protocol=protocol, settings=settings, redistribute_pictures=redistribute_pictures
    )
    write_patterns(out, info, read, gallery, overwrite)
    return out


class _Grid:
    """Which voxels a subject has, and the regions they lie in."""

    def __init__(self, mask: Path | None, atlas: Path | None, labels: dict[int, str]) -> None:
        self._mask, self._atlas, self._labels = mask, atlas, labels

    def of(self, subject: str, runs: Sequence[ScanRun], betas: bool) -> tuple[Any, SubjectChannels]:
        """Mask, and the voxels in it, still without scale and offset."""
        own, atlas = runs[0].mask, runs[0].atlas or self._atlas
        path = own or self._mask
        if path is None and betas:
            raise InputError(f"{subject} has no mask, and none can be found in images of weights: give --mask.")
        mask = read_mask(path) if path is not None else compute_mask([run.bold for run in runs])
        if atlas is not None and not self._labels:
            raise InputError(f"{atlas} needs a table that names its regions: give --labels.")
        names = voxel_names(mask, "" if path is not None and own is None else f"{subject}_")
        regions = {} if atlas is None else read_regions(atlas, self._labels, mask)
        nothing = np.zeros(len(names))
        return mask, SubjectChannels(names, nothing + 1, nothing, regions, coordinates(mask))


class _Reader:
    """Reads the runs of one subject after the other, each looked at before any work is done."""

    def __init__(
        self,
        root: Path,
        grid: _Grid,
        responses: ResponseSettings,
        confounds: tuple[str, ...],
        drop: bool,
        simulated: bool,
    ) -> None:
        self._root, self._grid, self._responses = root, grid, responses
        self._confounds, self._drop, self._simulated = confounds, drop, simulated
        self._voxels: dict[str, tuple[Any, SubjectChannels]] = {}

    def look(self, subject: str, runs: dict[ScanRun, list[ShownTrial]]) -> None:
        """Find the voxels of a subject, and refuse files that do not fit each other, before hours of work."""
        if not any(trial.split == columns.TRAIN for shown in runs.values() for trial in shown):
            raise InputError(f"{subject} has no training trial, by which its voxels are scaled: see the column split.")
        if self._responses.scale_runs:
            names = [_session_and_run(run) for run, shown in runs.items() for _ in shown]
            refuse_crossing(names, [trial.split for shown in runs.values() for trial in shown])
        betas = self._responses.method == BETAS
        mask, _ = self._voxels[subject] = self._grid.of(subject, list(runs), betas)
        for run, shown in runs.items():
            volumes = open_run(run.bold, mask).shape[3]
            lines = len(read_table(run.events)) if betas else volumes
            if lines != volumes:
                raise InputError(
                    f"{run.bold} holds {volumes} volumes, and {run.events} {lines} lines: with --method betas there "
                    "is one volume a line."
                )
            if not betas:
                end = volumes * repetition_time(run.bold, self._responses.tr)
                refuse_outside([trial.onset for trial in shown], end, _both(run))
                self._modelled(run, volumes)

    def read(self, subject: str, runs: dict[ScanRun, list[ShownTrial]]) -> SubjectPatterns:
        """All patterns of a subject."""
        trials = [
            TrialRow(trial.split, trial.image_id, run.session, run.run, run.bold.name, trial.row)
            for run, shown in runs.items()
            for trial in shown
        ]
        training = np.array([trial.split == columns.TRAIN for trial in trials])
        mask, every = self._voxels[subject]
        bars = progress(runs.items(), desc=subject, unit="run")
        values = np.concatenate([self._patterns(run, shown, mask) for run, shown in bars])
        names = [_session_and_run(run) for run, shown in runs.items() for _ in shown]
        values, hint = self._scaled(subject, values, names)
        statistics = VoxelStatistics(values.shape[1])
        for start in range(0, len(values), BLOCK):
            statistics.add(values[start : start + BLOCK], training[start : start + BLOCK])
        usable = usable_voxels(statistics, every.names, subject, self._drop)
        scaled = SubjectChannels(
            every.names, statistics.deviation, statistics.mean, every.rois, every.coordinates
        ).pick(usable.mask)

        def blocks() -> Blocks:
            for start in range(0, len(values), BLOCK):
                yield start, values[start : start + BLOCK][:, usable.mask].astype(np.float64)

        return SubjectPatterns(
            subject,
            self._root,
            scaled,
            trials,
            blocks,
            self._sources(runs),
            self._simulated,
            (*hint, *usable.warnings),
        )

    def _patterns(self, run: ScanRun, shown: Sequence[ShownTrial], mask: Any) -> NDArray[np.float32]:
        volumes = read_voxels(run.bold, mask)
        if self._responses.method == BETAS:
            return volumes[[trial.row for trial in shown]]
        found = estimate_responses(
            volumes,
            [trial.onset for trial in shown],
            [trial.duration for trial in shown],
            repetition_time(run.bold, self._responses.tr),
            self._responses,
            self._modelled(run, len(volumes)),
            _both(run),
        )
        return found.astype(np.float32)

    def _scaled(
        self, subject: str, values: NDArray[np.float32], runs: Sequence[str]
    ) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """Patterns as they are stored, and a hint where runs that differ were left as they are."""
        if self._responses.scale_runs:
            return scale_runs(values, runs), ()
        hint = unscaled_hint(run_differences(values, runs))
        return values, () if hint is None else (f"{subject}: {hint}",)

    def _modelled(self, run: ScanRun, volumes: int) -> NDArray[np.float64] | None:
        return None if run.confounds is None else read_confounds(run.confounds, self._confounds, volumes)

    def _sources(self, runs: Iterable[ScanRun]) -> dict[str, str]:
        files = {path for run in runs for path in (run.bold, run.events, run.confounds, run.mask, run.atlas) if path}
        return {_name_below(self._root, path): sha256(path) for path in sorted(files)}


def _check_confounds(runs: Path, listed: Iterable[ScanRun], wanted: Sequence[str]) -> None:
    if wanted and not any(run.confounds for run in listed):
        raise InputError(
            f"confounds names {', '.join(wanted)}, and no run of {runs} has a table of confounds: name the tables in "
            "its column confounds."
        )


def _both(run: ScanRun) -> str:
    return f"{run.bold.name} with {run.events.name}"


def _session_and_run(run: ScanRun) -> str:
    return f"{run.run} of session {run.session} of {run.subject}"


def _name_below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _pictures(folder: PictureFolder, captions: dict[str, str], trials: Sequence[ShownTrial]) -> list[ShownPicture]:
    """Every picture that was shown, opened once, with who may see it."""
    seen: dict[str, set[str]] = defaultdict(set)
    for trial in trials:
        seen[trial.image_id].add(columns.GALLERY_OF[trial.split])
    found = []
    for image_id in progress(sorted(seen), desc="pictures", unit="picture"):
        check_picture(folder.path(image_id))
        gallery = columns.BOTH if len(seen[image_id]) > 1 else next(iter(seen[image_id]))
        concept, caption = folder.concept(image_id), captions.get(image_id, "")
        found.append(ShownPicture(image_id, concept, caption, gallery, folder.path(image_id)))
    return found
