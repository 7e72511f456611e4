"""Voxels before they are stored: their mean and deviation by numpy's own, and those without a signal."""

import numpy as np
import pytest

from neuroclip_hf.data.voxels import VoxelStatistics, usable_voxels
from neuroclip_hf.errors import InputError

NAMES = [f"voxel_{number}" for number in range(6)]


def gather(values, training, size=4):
    statistics = VoxelStatistics(values.shape[1])
    for start in range(0, len(values), size):
        statistics.add(values[start : start + size], training[start : start + size])
    return statistics


@pytest.fixture
def values():
    generator = np.random.default_rng(0)
    return 1e6 + generator.standard_normal((21, 6)) * np.array([1e-2, 1, 5, 1, 1, 1])


def test_blocks_give_what_the_whole_would(values):
    training = np.arange(21) % 3 != 0
    statistics = gather(values, training)
    np.testing.assert_allclose(statistics.mean, values[training].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.deviation, values[training].std(axis=0), rtol=1e-6)
    assert usable_voxels(statistics, NAMES, "here", drop=False).mask.all()


def test_voxels_without_a_signal_are_named_or_left_out(values):
    training = np.arange(21) < 14
    values[3, 1] = np.nan
    values[20, 2] = np.inf  # in a test trial
    statistics = gather(values, training)
    with pytest.raises(InputError, match=r"here: 2 of 6 voxels hold NaN.*first: voxel_1.*--drop-bad-voxels"):
        usable_voxels(statistics, NAMES, "here", drop=False)
    usable = usable_voxels(statistics, NAMES, "here", drop=True)
    assert usable.mask.tolist() == [True, False, False, True, True, True]
    assert usable.warnings == (
        "here: 2 of 6 voxels hold NaN or infinite values (first: voxel_1); they were left out.",
    )


def test_a_voxel_that_changes_only_in_the_test_is_constant(values):
    training = np.arange(21) < 14
    values[:14, 4] = 1e6 + 0.1
    with pytest.raises(InputError, match=r"1 of 6 voxels never change in training \(first: voxel_4\)"):
        usable_voxels(gather(values, training), NAMES, "here", drop=False)
    values[:14] = 0
    with pytest.raises(InputError, match="no voxel is left"):
        usable_voxels(gather(values, training), NAMES, "here", drop=True)
