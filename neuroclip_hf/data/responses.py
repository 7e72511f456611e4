"""One pattern a trial from a run of scans: how the slow response of the blood is taken apart."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf.data.scans import require_nilearn
from neuroclip_hf.errors import InputError

LSA, LSS, MEAN, BETAS = "lsa", "lss", "mean", "betas"
METHODS = (LSA, LSS, MEAN, BETAS)
HRFS = ("spm", "glover")


@dataclass(frozen=True)
class ResponseSettings:
    """How a trial's pattern is estimated.

    Args:
        method (`str`): "lsa" fits all trials of a run in one linear model, each with a regressor of its own (least
            squares, all); "lss" fits one model a trial, with one regressor for it and one for all others (least
            squares, separate; Mumford et al., NeuroImage 2012), which is steadier where trials are close together;
            "mean" takes the mean of the volumes some seconds after the onset; "betas" takes images that hold one
            volume a trial already.
        hrf (`str`): the response that nilearn convolves a trial with: "spm" or "glover".
        high_pass (`float`): Hz, below which drifts are modelled by cosines; 0 for none.
        window (two `float`): seconds after the onset whose volumes "mean" takes, both included. 4 to 8 is ours: the
            response is largest 5 to 6 s after a short picture.
        percent (`bool`): divide every voxel by its mean over the run and count in percent, so that runs are alike.
        tr (`float`, *optional*): seconds from one volume to the next; by default what the headers say.
        scale_runs (`bool`): take a line and a scale out of each voxel's patterns in each run, see
            [`neuroclip_hf.data.run_scaling.scale_runs`].

    Raises:
        InputError: for values that cannot be.
    """

    method: str = LSA
    hrf: str = HRFS[0]
    high_pass: float = 0.01
    window: tuple[float, float] = (4.0, 8.0)
    percent: bool = True
    tr: float | None = None
    scale_runs: bool = False

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("hrf", HRFS)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(known)}.")
        if not 0 <= self.high_pass < 1:
            raise InputError(f"high_pass is {self.high_pass}: it is in Hz, from 0 to below 1.")
        if not 0 <= self.window[0] <= self.window[1]:
            raise InputError(
                f"the window after the onset (--delay) is {self.window[0]:g} to {self.window[1]:g} s: give two "
                "growing numbers of seconds, from 0."
            )
        if self.tr is not None and not 0 < self.tr < np.inf:
            raise InputError(f"tr is {self.tr}: it must be above zero, in seconds.")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)


def estimate_responses(
    volumes: NDArray[np.floating],
    onsets: Sequence[float],
    durations: Sequence[float],
    tr: float,
    settings: ResponseSettings,
    confounds: NDArray[np.float64] | None = None,
    origin: str = "the run",
) -> NDArray[np.float64]:
    """Patterns of the trials of one run.

    The first volume is at 0 s, as in nilearn. Voxels that hold NaN, or whose mean is not above zero where percent are
    asked for, give NaN.

    Args:
        volumes (`numpy.ndarray`): (volumes, voxels).
        onsets (sequence of `float`): of the trials, in seconds.
        durations (sequence of `float`): likewise.
        tr (`float`): seconds from one volume to the next.
        settings ([`ResponseSettings`]): not "betas".
        confounds (`numpy.ndarray`, *optional*): (volumes, confounds) that are modelled too.
        origin (`str`): for messages.

    Returns:
        (trials, voxels), in percent of the voxel's mean, or in the unit of the scans.

    Raises:
        InputError: for a trial outside the run, or trials whose responses cannot be told apart.
    """
    refuse_outside(onsets, len(volumes) * tr, origin)
    values, good = _scaled(volumes, settings.percent)
    if settings.method == MEAN:
        responses = _means(values[:, good], onsets, tr, settings, confounds, origin)
    else:
        events = pd.DataFrame({"onset": onsets, "duration": durations})
        responses = _fitted(values[:, good], events, tr, settings, confounds, origin)
    found = np.full((len(onsets), volumes.shape[1]), np.nan)
    found[:, good] = responses
    return found


def _scaled(volumes: NDArray[np.floating], percent: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    good = np.isfinite(volumes).all(axis=0)
    values = np.where(good, volumes, 0.0).astype(np.float64)
    if not percent:
        return values, good
    mean = values.mean(axis=0)
    good &= mean > 0
    return 100 * (values / np.where(good, mean, 1.0) - 1), good


def refuse_outside(onsets: Sequence[float], end: float, origin: str) -> None:
    """Refuse trials that do not begin during the scan.

    Args:
        onsets (sequence of `float`): of the trials, in seconds.
        end (`float`): of the scan, in seconds.
        origin (`str`): for messages.

    Raises:
        InputError: naming the first such trial.
    """
    for number, onset in enumerate(onsets):
        if not 0 <= onset < end:
            raise InputError(
                f"{origin}: trial {number} begins at {onset:g} s, and the scan lasts from 0 to {end:g} s: correct the "
                "events, or the repetition time with --tr."
            )


def _means(
    values: NDArray[np.float64],
    onsets: Sequence[float],
    tr: float,
    settings: ResponseSettings,
    confounds: NDArray[np.float64] | None,
    origin: str,
) -> NDArray[np.float64]:
    clean = require_nilearn("nilearn.signal").clean
    filtered = clean(
        values,
        detrend=False,
        standardize=None,
        filter="cosine" if settings.high_pass else False,
        high_pass=settings.high_pass or None,
        t_r=tr,
        confounds=confounds,
    )
    times = np.arange(len(values)) * tr
    means = np.empty((len(onsets), values.shape[1]))
    for number, onset in enumerate(onsets):
        inside = (times >= onset + settings.window[0] - 1e-6) & (times <= onset + settings.window[1] + 1e-6)
        if not inside.any() or times[-1] + tr < onset + settings.window[1]:
            raise InputError(
                f"{origin}: the scan ends at {times[-1] + tr:g} s, before {settings.window[1]:g} s after trial "
                f"{number} ({onset:g} s), or has no volume in the window: choose another --delay, or leave the "
                "trial out."
            )
        means[number] = filtered[inside].mean(axis=0)
    return means


def _fitted(
    values: NDArray[np.float64],
    events: pd.DataFrame,
    tr: float,
    settings: ResponseSettings,
    confounds: NDArray[np.float64] | None,
    origin: str,
) -> NDArray[np.float64]:
    names = [f"trial_{number:05d}" for number in range(len(events))]
    if settings.method == LSA:
        return _solve(values, events.assign(trial_type=names), names, tr, settings, confounds, origin)
    rows = []
    for name in names:
        kinds = np.where(np.array(names) == name, name, "other")
        rows.append(_solve(values, events.assign(trial_type=kinds), [name], tr, settings, confounds, origin))
    return np.concatenate(rows)


def _solve(
    values: NDArray[np.float64],
    events: pd.DataFrame,
    wanted: Sequence[str],
    tr: float,
    settings: ResponseSettings,
    confounds: NDArray[np.float64] | None,
    origin: str,
) -> NDArray[np.float64]:
    """Weights (wanted, voxels) of some regressors, by ordinary least squares."""
    first_level = require_nilearn("nilearn.glm.first_level")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Matrix is singular")  # which is an error below
        design = first_level.make_first_level_design_matrix(
            np.arange(len(values)) * tr,
            events,
            hrf_model=settings.hrf,
            drift_model="cosine" if settings.high_pass else None,
            high_pass=settings.high_pass or 0.01,
            add_regs=confounds,
        )
    matrix = design.to_numpy()
    lengths = np.linalg.norm(matrix, axis=0)
    rank = np.linalg.matrix_rank(matrix / np.where(lengths > 0, lengths, 1.0))
    if rank < matrix.shape[1]:
        raise InputError(
            f"{origin}: {len(events)} trials in {len(values)} volumes ({matrix.shape[1]} regressors, of which {rank} "
            "can be told apart): take --method lss or mean, or leave out trials at the end of the scan and confounds "
            "that repeat others."
        )
    labels, results = first_level.run_glm(values, matrix, noise_model="ols")
    places = [design.columns.get_loc(name) for name in wanted]
    return np.asarray(results[labels[0]].theta[places])
