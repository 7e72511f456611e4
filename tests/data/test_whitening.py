"""Noise normalisation against scikit-learn's estimator and answers known by hand."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler

from neuroclip_hf.data.whitening import NoiseCovariance, noise_covariance, whiten, whitening_matrix


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


def test_whitening_keeps_the_shape_of_any_stack_of_epochs():
    generator = np.random.default_rng(0)
    epochs, matrix = generator.standard_normal((2, 4, 3, 10)), generator.standard_normal((3, 3))
    np.testing.assert_allclose(whiten(epochs, matrix)[1, 2], matrix @ epochs[1, 2], rtol=1e-12)
    assert whiten(epochs.astype(np.float32), matrix).dtype == np.float64


def test_covariance_is_collected_block_by_block():
    epochs, conditions = np.random.default_rng(0).standard_normal((50, 3, 20)), [7, 3, 7, 7, 1] * 10
    collected = NoiseCovariance()
    for start in range(0, 50, 7):
        collected.add(epochs[start : start + 7], conditions[start : start + 7])
    np.testing.assert_array_equal(collected.result(), noise_covariance(epochs, conditions))


@pytest.mark.parametrize(
    ("epochs", "conditions", "message"),
    [
        (np.ones((2, 3, 4)), [1], r"epochs of shape \(2, 3, 4\) do not fit 1 conditions"),
        (np.ones((3, 4)), [1, 2, 3], "do not fit 3 conditions"),
        (np.ones((1, 2, 4)), [1], "epochs have 2 channels, those before them 3"),
        (np.full((1, 3, 4), np.nan), [1], "epochs hold NaN or infinite values"),
        (np.full((1, 3, 4), np.inf), [1], "epochs hold NaN or infinite values"),
    ],
)
def test_epochs_without_a_covariance_are_refused(epochs: np.ndarray, conditions: list[int], message: str):
    collected = NoiseCovariance().add(np.random.default_rng(0).standard_normal((2, 3, 4)), [1, 2])
    before = collected.result()
    with pytest.raises(ValueError, match=message):
        collected.add(epochs, conditions)
    np.testing.assert_array_equal(collected.result(), before)


def test_no_epochs_have_no_covariance():
    with pytest.raises(ValueError, match="needs at least one epoch"):
        noise_covariance(np.zeros((0, 3, 4)), [])
