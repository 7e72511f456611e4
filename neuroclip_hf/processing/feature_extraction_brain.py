"""The brain side of a checkpoint's processor: channels, rate, window and scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import BatchFeature, FeatureExtractionMixin
from transformers.utils import TensorType

from neuroclip_hf.columns import EEG_VALUES, FMRI_VALUES, SUBJECT
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.whitening import whitening_matrix
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.moments import pattern_moments, recording_moments
from neuroclip_hf.processing.trial_form import GivenTrials, bring_into_form
from neuroclip_hf.pushes import Pushed


class BrainFeatureExtractor(Pushed, FeatureExtractionMixin):
    """Brings trials into the form that a checkpoint was trained on: channels by name, standardised.

    Args:
        channel_names (`list[str]`): in the order the model expects.
        sampling_rate (`float`): Hz.
        num_timesteps (`int`): samples a trial.
        window_start (`float`): seconds from the onset to the first sample.
        unit (`str`): what values are given in: "V", "T", "sd" (whitened) or "au".
        mean (`list[float]`): of each channel over the training trials, in `unit`.
        std (`float` or `list[float]`): of all channels together over the training trials, in `unit`. One number
            (ours): a number for each channel would lift the channels that carry least. Patterns have one a voxel, as
            work on fMRI does, since their units differ by voxel.
        epochs (`dict`, *optional*): settings that cut a recording the same way (`EpochSettings`); None where the
            trials did not come from recordings.
        whitening (`list[list[float]]`, *optional*): matrix `(channels, channels)` from the mean noise covariance of
            the training sessions, for recordings of sessions that were not trained on.
        subjects (`list[str]`, *optional*): whose trials were trained on.
        rois (`dict`, *optional*): region of interest -> places in `channel_names` of the voxels that lie in it, as far
            as the store knew regions; they may overlap, and a voxel may lie in none.
        calibration (`dict`, *optional*): what says that mean, std and perhaps whitening are not those of the training
            trials but of another subject's or session's, see [`calibrated`].
    """

    def __init__(
        self,
        channel_names: list[str] | None = None,
        sampling_rate: float | None = None,
        num_timesteps: int | None = None,
        window_start: float = 0.0,
        unit: str = "V",
        mean: list[float] | None = None,
        std: float | list[float] = 1.0,
        epochs: dict[str, Any] | None = None,
        whitening: list[list[float]] | None = None,
        subjects: list[str] | None = None,
        rois: dict[str, list[int]] | None = None,
        calibration: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channel_names = channel_names or []
        self.sampling_rate = sampling_rate
        self.num_timesteps = num_timesteps
        self.window_start = window_start
        self.unit = unit
        self.mean = mean or [0.0] * len(self.channel_names)
        self.std = std
        self.epochs = epochs
        self.whitening = whitening
        self.subjects = subjects or []
        self.rois = rois or {}
        self.calibration = calibration
        self.check()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; regions and calibration only where there are any: others stay as they were."""
        values: dict[str, Any] = super().to_dict()
        return {name: value for name, value in values.items() if name not in ("rois", "calibration") or value}

    def check(self) -> None:
        """Refuse impossible settings.

        Raises:
            InputError: naming the setting.
        """
        count = len(self.channel_names)
        spread = self.std if isinstance(self.std, list) else [self.std]
        numbers = np.array([*self.mean, *spread, self.sampling_rate or 1.0, self.num_timesteps or 1], dtype=object)
        if not all(isinstance(number, (int, float)) and np.isfinite(number) for number in numbers):
            raise InputError("mean, std, sampling_rate and num_timesteps of the brain side must be numbers.")
        if len(self.mean) != count or not all(value > 0 for value in spread):
            raise InputError(
                f"{len(self.mean)} means and std {min(spread)} for {count} channels: std must be above zero."
            )
        if isinstance(self.std, list) and (len(spread) != count or self.num_timesteps is not None):
            raise InputError(f"{len(spread)} std for {count} channels: give one number, or for patterns one a voxel.")
        strange = [name for name, places in self.rois.items() if not set(places) <= set(range(count))]
        if strange:
            raise InputError(f"rois of the brain side: {strange[0]} lies outside the {count} channels.")
        if self.whitening is not None and np.shape(self.whitening) != (count, count):
            raise InputError(
                f"whitening has shape {np.shape(self.whitening)}: {count} channels need ({count}, {count})."
            )
        if self.calibration is not None and not isinstance(self.calibration, dict):
            raise InputError(f"calibration of the brain side is {self.calibration!r}: it must be settings, or none.")
        if self.epochs is not None:
            self.epoch_settings  # noqa: B018 - names that it does not have are refused

    @classmethod
    def fit(cls, store: TrialStore, rows: NDArray[np.int64]) -> "BrainFeatureExtractor":
        """Measure mean and standard deviation on training trials of a store.

        Of recordings: the mean of each channel, and one standard deviation of all. Of patterns: both of each voxel.

        Args:
            store (`TrialStore`): of trials `(channels, samples)`, or patterns `(voxels,)`.
            rows (`numpy.ndarray` of `int`): its training trials; nothing else is looked at.

        Raises:
            InputError: if a channel never changes, or a pattern holds NaN.
        """
        subjects = list(dict.fromkeys(store.trials[SUBJECT].to_numpy()[rows]))
        store = store.of_subjects(subjects)
        info = store.info
        patterns = info.num_timesteps is None
        mean, std, each = pattern_moments(store, rows) if patterns else recording_moments(store, rows)
        flat = [name for name, value in zip(info.channels, each, strict=True) if not value > 0]
        if flat:
            raise InputError(
                f"{store.path}: {', '.join(flat[:5])}{', ...' if len(flat) > 5 else ''} never change in training: "
                "prepare without them."
            )
        covariances = store.covariances(sorted(set(subjects)))
        whitening = None if covariances is None else whitening_matrix(covariances.mean(axis=0)).tolist()
        return cls(
            channel_names=info.channels,
            sampling_rate=info.sampling_rate,
            num_timesteps=info.num_timesteps,
            window_start=info.window_start,
            unit=info.unit,
            mean=mean.tolist(),
            std=std,
            epochs=info.epochs,
            whitening=whitening,
            subjects=subjects,
            rois={name: np.flatnonzero(mask).tolist() for name, mask in store.rois(subjects[0]).items()},
        )

    @property
    def trial_shape(self) -> tuple[int, ...]:
        """Of one trial: (channels, samples), or (voxels,) for patterns."""
        count = len(self.channel_names)
        return (count,) if self.num_timesteps is None else (count, self.num_timesteps)

    @property
    def input_name(self) -> str:
        """The batch key that trials are given under: `eeg_values` (of MEG, too), or `fmri_values` for patterns."""
        return FMRI_VALUES if self.num_timesteps is None else EEG_VALUES

    @property
    def model_input_names(self) -> list[str]:
        """The same, as transformers asks for it."""
        return [self.input_name]

    def subject_index(self, subjects: Sequence[str]) -> list[int]:
        """Places of subjects in the checkpoint's list; -1 for one that was not trained on."""
        return [self.subjects.index(name) if name in self.subjects else -1 for name in subjects]

    @property
    def epoch_settings(self) -> EpochSettings:
        """Settings that cut a recording as the training recordings were cut.

        Raises:
            InputError: if the training trials did not come from recordings.
        """
        if self.epochs is None:
            raise InputError(
                "This checkpoint was trained on arrays, or on a part of a store (channels=, window=), and cannot "
                "cut a recording: train on a store that was prepared from recordings with these --channels, --window."
            )
        try:
            return EpochSettings.from_dict(self.epochs)
        except TypeError as error:
            raise InputError(f"epochs of the brain side cannot be used: {error}") from None

    def __call__(
        self,
        values: NDArray[np.floating],
        *,
        channel_names: Sequence[str] | None = None,
        sampling_rate: float | None = None,
        unit: str | None = None,
        window_start: float | None = None,
        interpolate: bool = False,
        return_tensors: str | TensorType | None = "pt",
    ) -> BatchFeature:
        """Bring trials into the checkpoint's form ([`bring_into_form`]), and standardise them.

        Args:
            values (`numpy.ndarray`): `(batch, channels, samples)` or `(channels, samples)`, of patterns
                `(batch, voxels)`; in `unit`.
            channel_names (sequence of `str`, *optional*): of `values`; channels are picked and ordered by name, or by
                what the name means ("T3" for "T7"). Without them the channels are the checkpoint's.
            sampling_rate (`float`, *optional*): of `values`, in Hz; a higher one than the checkpoint's is resampled.
            unit (`str`, *optional*): of `values`: "V", "uV", ... are converted, and whitened where the training trials
                were. Without it they are in the checkpoint's own unit, and whitened if that is "sd".
            window_start (`float`, *optional*): seconds from the onset to the first sample; what lies outside of the
                checkpoint's window is cut off. Without it the window is the checkpoint's.
            interpolate (`bool`): interpolate electrodes that are missing or cannot be used, as MNE does.
            return_tensors (`str`, *optional*): "pt" for torch.

        Returns:
            `BatchFeature` with `eeg_values` `(batch, channels, samples)`, or `fmri_values` `(batch, voxels)`; float32.

        Raises:
            InputError: naming the channel, rate, unit, window or size that does not fit.
        """
        given = GivenTrials(values, channel_names, sampling_rate, unit, window_start)
        return self.standardise(bring_into_form(given, self, interpolate=interpolate)[0], return_tensors)

    def standardise(
        self, values: NDArray[np.floating], return_tensors: str | TensorType | None = "pt"
    ) -> BatchFeature:
        """Standardise trials that are in the checkpoint's form already, as [`__call__`] does."""
        values = np.asarray(values, dtype=np.float32)
        mean = np.asarray(self.mean, dtype=np.float32).reshape(-1, *[1] * (values.ndim - 2))
        std = np.asarray(self.std, dtype=np.float32)
        return BatchFeature({self.input_name: (values - mean) / std}, tensor_type=return_tensors)
