"""Multivariate noise normalisation (Guggenmos et al., NeuroImage 2018), fitted on training epochs, then applied."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data._threads import map_blocks

BLOCK = 16
"""Epochs that are measured or whitened at once (ours): few enough to stay in a processor's cache."""


class NoiseCovariance:
    """The noise covariance of a session, from epochs that come block by block.

    For every epoch the shrunk covariance of Ledoit and Wolf (J. Multivariate Analysis, 2004), of its samples after
    each channel was standardised, scaled back: what scikit-learn's `ledoit_wolf` gives, without a loop over epochs.
    Then the mean over the epochs of a condition, and of these over conditions. It depends neither on how the epochs
    are divided into blocks nor, beyond rounding, on their order.

    What it keeps is half a matrix for each condition: 133 MB for the 8,270 pictures of a session of THINGS-EEG2 with
    63 channels.
    """

    def __init__(self) -> None:
        self._sums: dict[Hashable, NDArray[np.float64]] = {}
        self._counts: dict[Hashable, int] = {}
        self._channels = 0

    def add(self, epochs: NDArray[np.floating], conditions: Sequence[int | str]) -> "NoiseCovariance":
        """Take in epochs.

        Args:
            epochs (`numpy.ndarray` of shape `(trials, channels, samples)`): training epochs.
            conditions (sequence of `trials` ids): which picture each epoch shows.

        Raises:
            ValueError: for epochs with NaN or infinite values, or that do not fit the conditions or earlier epochs.
        """
        if epochs.ndim != 3 or len(epochs) != len(conditions):
            raise ValueError(f"epochs of shape {epochs.shape} do not fit {len(conditions)} conditions")
        if self._channels not in (0, epochs.shape[1]):
            raise ValueError(f"epochs have {epochs.shape[1]} channels, those before them {self._channels}")
        self._channels = epochs.shape[1]
        upper = np.ravel_multi_index(np.triu_indices(self._channels), (self._channels, self._channels))

        def measure(start: int) -> NDArray[np.float64]:
            covariances = _epoch_covariances(np.asarray(epochs[start : start + BLOCK], dtype=np.float64))
            return covariances.reshape(len(covariances), -1).take(upper, axis=1)

        starts = range(0, len(epochs), BLOCK)
        for start, halves in zip(starts, map_blocks(measure, starts), strict=True):
            if not np.isfinite(halves).all():
                raise ValueError("epochs hold NaN or infinite values")
            for condition, half in zip(conditions[start : start + BLOCK], halves, strict=True):
                if condition in self._sums:
                    self._sums[condition] += half
                else:
                    self._sums[condition] = half.copy()  # a view would keep the whole block
                self._counts[condition] = self._counts.get(condition, 0) + 1
        return self

    def result(self) -> NDArray[np.float64]:
        """The covariance `(channels, channels)`, in squared units of the epochs.

        Raises:
            ValueError: if no epoch was added.
        """
        if not self._sums:
            raise ValueError("a noise covariance needs at least one epoch")
        half = np.zeros(self._channels * (self._channels + 1) // 2)
        for condition, total in self._sums.items():
            half += total / self._counts[condition]
        covariance = np.empty((self._channels, self._channels))
        rows, columns = np.triu_indices(self._channels)
        covariance[rows, columns] = covariance[columns, rows] = half / len(self._sums)
        return covariance


def noise_covariance(epochs: NDArray[np.floating], conditions: Sequence[int | str]) -> NDArray[np.float64]:
    """Covariance over channels of the epochs of one session, as THINGS-EEG2's users estimate it.

    [`NoiseCovariance`] says how; this is for epochs that are in memory together.

    Args:
        epochs (`numpy.ndarray` of shape `(trials, channels, samples)`): training epochs.
        conditions (sequence of `trials` ids): which picture each epoch shows.

    Returns:
        `numpy.ndarray` of shape `(channels, channels)`, in squared units of `epochs`.

    Raises:
        ValueError: as [`NoiseCovariance`].
    """
    return NoiseCovariance().add(epochs, conditions).result()


def whitening_matrix(covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Inverse square root of a covariance: the symmetric matrix `W` with `W @ covariance @ W = 1`.

    Raises:
        ValueError: if the covariance is singular.
    """
    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    if not values[0] > values[-1] * np.finfo(np.float64).eps * len(values):
        raise ValueError(f"the noise covariance is singular (eigenvalues from {values[0]:.3g} to {values[-1]:.3g})")
    return (vectors * values**-0.5) @ vectors.T


def whiten(epochs: NDArray[np.floating], matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """Apply a whitening matrix to epochs `(..., channels, samples)`; the result is in standard deviations."""
    several = epochs.reshape(-1, *epochs.shape[-2:])
    whitened = np.empty(several.shape, dtype=np.result_type(matrix, epochs))

    def apply(start: int) -> None:
        np.matmul(matrix, several[start : start + BLOCK], out=whitened[start : start + BLOCK])

    map_blocks(apply, range(0, len(several), BLOCK))
    return whitened.reshape(epochs.shape)


def _epoch_covariances(epochs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ledoit-Wolf covariances `(trials, channels, channels)` of standardised epochs, scaled back.

    Standardising only divides a covariance by two standard deviations, so it is done to the matrices and not to the
    samples. The shrinkage, in the words of the paper's section 3.3, is min(b, d) / d: d is the squared distance of the
    correlations from a multiple of the identity, b that of the single samples' from their mean.
    """
    _, channels, samples = epochs.shape
    with np.errstate(invalid="ignore", over="ignore"):  # the caller refuses what is not finite
        centred = epochs - (epochs @ np.full(samples, 1 / samples))[..., None]
        covariances = centred @ centred.transpose(0, 2, 1) / samples
        variances = np.diagonal(covariances, axis1=1, axis2=2).copy()  # (trials, channels)
        precisions = np.divide(1.0, variances, out=np.zeros_like(variances), where=variances != 0)
        squares = np.matmul(np.square(covariances), precisions[..., None])[..., 0]
        squares = np.sum(squares * precisions, axis=1)  # of the correlations, (trials,)
        np.square(centred, out=centred)  # the samples themselves are not needed any more
        powers = np.matmul(precisions[:, None], centred)[:, 0]  # of every sample, (trials, samples)
        level = np.mean(variances * precisions, axis=1)
        scatter = (np.square(powers).sum(axis=1) / samples - squares) / (channels * samples)
        distance = squares / channels - np.square(level)
        # One channel, or channels without any correlation, are already what they would be shrunk to.
        apart = (distance != 0) & (channels > 1)
        shrinkage = np.divide(np.minimum(scatter, distance), distance, out=np.zeros_like(distance), where=apart)
        covariances *= (1.0 - shrinkage)[:, None, None]
        diagonal = np.arange(channels)
        covariances[:, diagonal, diagonal] += (shrinkage * level)[:, None] * variances
    return covariances
