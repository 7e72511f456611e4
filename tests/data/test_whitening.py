"""Noise normalisation against scikit-learn's estimator and answers known by hand."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler

from neuroclip_hf.data.whitening import noise_covariance, whiten, whitening_matrix


def test_covariance_is_the_mean_over_repeats_and_then_conditions():
    epochs = np.random.default_rng(0).standard_normal((4, 3, 50)) * np.array([1.0, 5.0, 20.0])[None, :, None]
    one_by_one = []
    for epoch in epochs:
        scaler = StandardScaler().fit(epoch.T)
        shrunk = LedoitWolf(store_precision=False).fit(scaler.transform(epoch.T)).covariance_
        one_by_one.append(shrunk * np.outer(scaler.scale_, scaler.scale_))
    expected = (np.mean(one_by_one[:3], axis=0) + one_by_one[3]) / 2
    np.testing.assert_allclose(noise_covariance(epochs, ["a", "a", "a", "b"]), expected, rtol=1e-12)


def test_covariance_of_float32_microvolts_and_volts_differ_by_their_unit_alone():
    volts = 1e-5 * np.random.default_rng(0).standard_normal((3, 4, 40)) + 1e-3
    in_volts = noise_covariance(volts.astype(np.float32), [1, 2, 3])
    np.testing.assert_allclose(noise_covariance(1e6 * volts, [1, 2, 3]), 1e12 * in_volts, rtol=1e-3)


def test_matrix_is_the_symmetric_inverse_root():
    np.testing.assert_allclose(whitening_matrix(np.diag([4.0, 25.0])), np.diag([0.5, 0.2]))
    root = np.random.default_rng(0).standard_normal((5, 5))
    covariance = 1e-12 * (root @ root.T + np.eye(5))
    matrix = whitening_matrix(covariance)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(matrix @ covariance @ matrix, np.eye(5), atol=1e-9)


@pytest.mark.parametrize("covariance", [np.ones((2, 2)), np.zeros((2, 2)), np.diag([1.0, -1.0])])
def test_singular_covariances_are_refused(covariance: np.ndarray):
    with pytest.raises(ValueError, match="the noise covariance is singular"):
        whitening_matrix(covariance)


def test_whitened_noise_has_unit_covariance():
    generator = np.random.default_rng(0)
    mixing = np.array([[3.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 0.5]])
    epochs = np.einsum("dc,nct->ndt", mixing, generator.standard_normal((4, 3, 20000)))
    white = whiten(epochs, whitening_matrix(noise_covariance(epochs, list(range(4)))))
    assert white.shape == epochs.shape
    np.testing.assert_allclose(np.cov(white.transpose(1, 0, 2).reshape(3, -1)), np.eye(3), atol=0.05)
    np.testing.assert_allclose(whiten(epochs[0], mixing), mixing @ epochs[0])
