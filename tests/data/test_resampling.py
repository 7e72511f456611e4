"""A map in fewer multiplications is the matrix it was made of."""

import mne
import numpy as np
import pytest

from neuroclip_hf.data.resampling import EpochMap


def resampling_weights(num_samples: int, rate: float, new_rate: float) -> np.ndarray:
    return mne.filter.resample(np.eye(num_samples), up=new_rate, down=rate, axis=1, verbose="ERROR")


def apply(mapping: EpochMap, epochs: np.ndarray, levels: np.ndarray, num_results: int) -> np.ndarray:
    out = np.full((*epochs.shape[:2], num_results), np.nan)
    mapping.apply(list(epochs), levels, out)
    return out


def num_weights(mapping: EpochMap) -> int:
    groups = sum(group.to_moments.size + group.to_near.size for group in mapping._groups)
    return groups + mapping._far_weights.size


@pytest.mark.parametrize(("rate", "new_rate", "skipped"), [(1000.0, 250.0, 50), (512.0, 200.0, 30), (300.0, 300.0, 0)])
def test_resampling_is_its_matrix_in_fewer_multiplications(rate: float, new_rate: float, skipped: int):
    weights = resampling_weights(1201, rate, new_rate)[:, skipped:]
    mapping = EpochMap(weights, np.arange(1201) * new_rate / rate - skipped)
    generator = np.random.default_rng(0)
    epochs, levels = generator.standard_normal((3, 2, 1201)), 1e3 * generator.standard_normal((3, 2))
    found = apply(mapping, epochs, levels, weights.shape[1])
    np.testing.assert_allclose(found, (epochs + levels[..., None]) @ weights, rtol=0, atol=1e-10)
    np.testing.assert_allclose(apply(mapping, epochs, 0 * levels, weights.shape[1]), epochs @ weights, atol=1e-12)
    assert num_weights(mapping) < 0.5 * weights.size


@pytest.mark.parametrize("shape", [(7, 3), (120, 60), (130, 260), (1, 1)])
def test_any_matrix_is_applied_wherever_its_samples_lie(shape: tuple[int, int]):
    generator = np.random.default_rng(1)
    weights = generator.standard_normal(shape)
    epochs = generator.standard_normal((2, 3, shape[0]))
    for places in (np.linspace(-shape[1], 2 * shape[1], shape[0]), np.zeros(shape[0])):
        found = apply(EpochMap(weights, places), epochs, np.zeros((2, 3)), shape[1])
        np.testing.assert_allclose(found, epochs @ weights, atol=1e-11)


def test_an_offset_costs_no_digits():
    """The weights of a map with a baseline sum to zero: what is left of an offset of a volt is rounding alone."""
    weights = resampling_weights(600, 1000.0, 250.0)
    weights -= weights.sum(axis=0) / 600
    epochs = 1e-6 * np.random.default_rng(2).standard_normal((1, 1, 600))
    mapping = EpochMap(weights, np.arange(600) / 4)
    found = apply(mapping, epochs, np.ones((1, 1)), 150)
    np.testing.assert_allclose(found, epochs @ weights, atol=1e-13)


def test_rows_of_weights_begin_at_lines_of_the_cache():
    mapping = EpochMap(resampling_weights(1201, 1000.0, 250.0), np.arange(1201) / 4)
    weights = [matrix for group in mapping._groups for matrix in (group.to_moments, group.to_near)]
    assert len({matrix.shape[1] for matrix in weights}) > 3
    assert {matrix.ctypes.data % 64 for matrix in weights} == {matrix.strides[0] % 64 for matrix in weights} == {0}
