"""Runs: a line and a scale of their own are taken out of each, and runs that differ are noticed."""

import numpy as np
import pytest

from neuroclip_hf.data.run_scaling import refuse_crossing, run_differences, scale_runs, unscaled_hint
from neuroclip_hf.errors import InputError

RUNS = np.repeat([3, 1, 2], 20)


def drifting(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A signal (60, 5), and the same with a drift, a mean and a scale of each run."""
    generator = np.random.default_rng(seed)
    signal = generator.standard_normal((60, 5))
    values = signal.copy()
    for place, run in enumerate((3, 1, 2)):
        rows = run == RUNS
        values[rows] = 1000 * run + 50 * place + (place + 1) * (signal[rows] + np.arange(20)[:, None])
    return signal, values


def test_means_drifts_and_scales_of_runs_are_gone():
    signal, values = drifting()
    found = scale_runs(values, RUNS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scale_runs(signal, RUNS), atol=1e-4)
    for run in (1, 2, 3):
        mine = found[run == RUNS]
        np.testing.assert_allclose(mine.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(mine.std(axis=0), 1, atol=1e-6)
        np.testing.assert_allclose(np.polyfit(np.arange(20), mine, 1)[0], 0, atol=1e-6)


def test_no_run_is_told_of_another():
    _, values = drifting()
    other = values.copy()
    other[RUNS == 2] = 7 * values[RUNS == 2][::-1] ** 2
    np.testing.assert_array_equal(scale_runs(values, RUNS)[RUNS != 2], scale_runs(other, RUNS)[RUNS != 2])


def test_integers_constants_and_holes_keep_to_their_voxel():
    _, values = drifting()
    whole = values.astype(np.int16)
    whole[RUNS == 1, 0] = 12345
    found = scale_runs(whole, RUNS)
    assert (found[RUNS == 1, 0] == 0).all()
    assert np.isfinite(found).all()
    values[7, 2] = np.nan
    holed = scale_runs(values, RUNS)
    assert np.isnan(holed[RUNS == 3, 2]).all()
    assert np.isfinite(np.delete(holed, 2, axis=1)).all()


def test_short_runs_and_runs_on_both_sides_are_refused():
    with pytest.raises(InputError, match=r"run b has 3 rows, too few"):
        scale_runs(np.eye(8), list("aaaaabbb"))
    with pytest.raises(InputError, match=r"run b holds trials that train and trials that are tested"):
        refuse_crossing(list("aabbc"), ["train", "validation", "train", "imagery", "test"])
    refuse_crossing(list("aabbc"), ["train", "validation", "test", "imagery", "test"])


def test_runs_that_differ_are_noticed_and_others_are_not():
    signal, values = drifting()
    assert run_differences(values, RUNS) > 0.9
    assert "lies between runs" in unscaled_hint(run_differences(values, RUNS))
    few = np.arange(60) // 3  # by chance the means of three rows hold a third of the variance
    for runs in (RUNS, few, np.zeros(60), np.arange(60)):
        assert unscaled_hint(run_differences(signal, runs)) is None
    assert run_differences(np.full((60, 5), np.nan), RUNS) == 0
