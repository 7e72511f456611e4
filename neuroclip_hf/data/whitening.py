"""Multivariate noise normalisation (Guggenmos et al., NeuroImage 2018), fitted on training epochs, then applied."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf


def noise_covariance(epochs: NDArray[np.floating], conditions: Sequence[int | str]) -> NDArray[np.float64]:
    """Covariance over channels of the epochs of one session, as THINGS-EEG2's users estimate it.

    For every epoch the Ledoit-Wolf covariance of its samples after each channel was standardised, scaled back; the
    mean over the epochs of a condition, then over conditions.

    Args:
        epochs (`numpy.ndarray` of shape `(trials, channels, samples)`): training epochs.
        conditions (sequence of `trials` ids): which picture each epoch shows.

    Returns:
        `numpy.ndarray` of shape `(channels, channels)`, in squared units of `epochs`.
    """
    groups: dict[int | str, list[int]] = {}
    for row, condition in enumerate(conditions):
        groups.setdefault(condition, []).append(row)
    means = [np.mean([_epoch_covariance(epochs[row]) for row in rows], axis=0) for rows in groups.values()]
    return np.mean(means, axis=0)


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
    return np.einsum("dc,...ct->...dt", matrix, epochs, optimize=True)


def _epoch_covariance(epoch: NDArray[np.floating]) -> NDArray[np.float64]:
    scale = epoch.std(axis=1, dtype=np.float64)
    safe = np.where(scale > 0, scale, 1.0)
    standardised = (epoch - epoch.mean(axis=1, keepdims=True, dtype=np.float64)) / safe[:, None]
    covariance, _ = ledoit_wolf(standardised.T, assume_centered=True)
    return covariance * np.outer(scale, scale)
