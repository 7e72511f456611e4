"""Each kind of perturbation alone, with its answer known."""

import numpy as np
import pytest

from neuroclip_hf.data.perturbation import Perturbation, perturb
from neuroclip_hf.errors import InputError


@pytest.fixture
def trial() -> np.ndarray:
    return 1e-5 * np.random.default_rng(5).standard_normal((8, 200)).astype(np.float32)


ZERO = np.zeros((), dtype=np.float32)


def changed(trial: np.ndarray, seed: int = 0, **how) -> np.ndarray:
    result = trial[None].copy()
    perturb(result, Perturbation(**how), [np.random.default_rng(seed)], ZERO)
    return result[0]


def said_step_by_step(trial: np.ndarray, how: Perturbation, generator: np.random.Generator) -> np.ndarray:
    """What the docstring says, with nothing saved: the values that runs were trained on."""
    made = trial.copy()
    channels, samples = made.shape
    if how.smoothing:
        smoothed = generator.random(channels) < how.smoothing
        reach = how.smoothing_window // 2
        sums = np.cumsum(np.pad(made.astype(np.float64), ((0, 0), (1, 0))), axis=1)
        first, last = np.arange(samples) - reach, np.arange(samples) + reach + 1
        first, last = np.clip(first, 0, samples), np.clip(last, 0, samples)
        made[smoothed] = ((sums[:, last] - sums[:, first]) / (last - first)).astype(np.float32)[smoothed]
    if how.shift:
        steps = generator.integers(-how.shift, how.shift + 1)
        made = made[:, np.clip(np.arange(samples) - steps, 0, samples - 1)]
    if how.scaling:
        made = made * np.float32(np.exp(generator.uniform(-how.scaling, how.scaling)))
    if how.noise:
        noise = generator.standard_normal(made.shape, dtype=np.float32)
        made = made + np.float32(how.noise * trial.std()) * noise
    if how.time_mask:
        length = int(generator.uniform(0, how.time_mask) * samples)
        start = generator.integers(0, samples - length + 1)
        made[:, start : start + length] = 0
    if how.channel_dropout:
        dropped = generator.random(channels) < how.channel_dropout
        dropped[generator.integers(channels)] = False
        made[dropped] = 0
    return made


ALL = {"noise": 0.5, "shift": 9, "channel_dropout": 0.3, "time_mask": 0.2, "scaling": 0.2, "smoothing": 0.4}


@pytest.mark.parametrize("how", [ALL, *({name: value} for name, value in ALL.items())])
@pytest.mark.parametrize("samples", [200, 7])  # a shift may be longer than the trial
def test_trials_of_a_batch_have_the_bits_that_each_has_alone(how: dict[str, float], samples: int):
    how = Perturbation(**how)
    trials = np.random.default_rng(3).standard_normal((5, 8, samples)).astype(np.float32)
    centre = np.linspace(-2, 2, 8, dtype=np.float32)[:, None]
    for zero in (np.zeros_like(centre), centre):
        together = trials.copy()
        perturb(together, how, [np.random.default_rng([1, seed]) for seed in range(5)], zero)
        for seed, (trial, result) in enumerate(zip(trials, together, strict=True)):
            alone = said_step_by_step(trial - zero, how, np.random.default_rng([1, seed])) + zero
            np.testing.assert_array_equal(result, alone)


def test_a_pattern_of_voxels_has_the_bits_of_a_trial_of_one_sample():
    patterns = np.random.default_rng(3).standard_normal((4, 30)).astype(np.float32)
    trials = patterns[:, :, None].copy()
    for values in (patterns, trials):
        perturb(values, Perturbation(**ALL), [np.random.default_rng([2, seed]) for seed in range(4)], ZERO)
    np.testing.assert_array_equal(patterns, trials[:, :, 0])


def test_nothing_is_changed_by_default(trial: np.ndarray):
    np.testing.assert_array_equal(changed(trial), trial)


def test_equal_seeds_give_equal_results(trial: np.ndarray):
    how = {"noise": 0.5, "shift": 9, "channel_dropout": 0.3, "time_mask": 0.2, "scaling": 0.2}
    np.testing.assert_array_equal(changed(trial, 1, **how), changed(trial, 1, **how))
    assert not np.array_equal(changed(trial, 1, **how), changed(trial, 2, **how))


def test_noise_is_measured_in_standard_deviations_of_the_trial(trial: np.ndarray):
    added = changed(trial, noise=0.5) - trial
    assert added.std() / trial.std() == pytest.approx(0.5, rel=0.1)


def test_a_shift_moves_all_channels_alike_and_repeats_the_edge(trial: np.ndarray):
    steps = set()
    for seed in range(40):
        moved = changed(trial, seed, shift=3)
        (step,) = [one for one in range(-3, 4) if np.array_equal(np.roll(trial, one, axis=1)[:, 3:-3], moved[:, 3:-3])]
        edge = moved[:, :step] - trial[:, :1] if step > 0 else moved[:, 200 + step :] - trial[:, -1:]
        assert not edge.any()
        steps.add(step)
    assert steps == set(range(-3, 4))


def test_dropped_channels_are_zero_and_one_always_stays(trial: np.ndarray):
    left = [np.abs(changed(trial, seed, channel_dropout=0.99)).max(axis=1) > 0 for seed in range(50)]
    assert min(kept.sum() for kept in left) == 1
    kept = np.abs(changed(trial, channel_dropout=0.5)).max(axis=1) > 0
    np.testing.assert_array_equal(changed(trial, channel_dropout=0.5)[kept], trial[kept])


def test_one_window_of_at_most_that_length_is_masked(trial: np.ndarray):
    lengths = []
    for seed in range(60):
        masked = (changed(trial, seed, time_mask=0.25) == 0).all(axis=0)
        lengths.append(masked.sum())
        assert np.abs(np.diff(masked.astype(int))).sum() <= 2
    assert max(lengths) < 50
    assert max(lengths) > 40


def test_scaling_is_one_factor_for_the_whole_trial(trial: np.ndarray):
    factors = np.array([np.median(changed(trial, seed, scaling=0.4) / trial) for seed in range(60)])
    assert np.abs(np.log(factors)).max() < 0.4001
    assert np.log(factors).min() < -0.3
    assert np.log(factors).max() > 0.3
    np.testing.assert_allclose(changed(trial, 0, scaling=0.4), factors[0] * trial, rtol=1e-5)


def test_smoothed_channels_are_their_moving_average(trial: np.ndarray):
    smoothed = changed(trial, smoothing=1.0, smoothing_window=5)
    for sample in (0, 1, 100, 199):
        around = trial[:, max(0, sample - 2) : sample + 3]
        np.testing.assert_allclose(smoothed[:, sample], around.mean(axis=1), rtol=1e-4, atol=1e-10)
    np.testing.assert_array_equal(changed(trial, smoothing=1.0, smoothing_window=4), smoothed)  # the next odd one
    np.testing.assert_allclose(changed(trial, smoothing=1.0, smoothing_window=1), trial, rtol=1e-5)
    kept = np.array([(changed(trial, seed, smoothing=0.3) == trial).all(axis=1) for seed in range(100)])
    assert kept.mean() == pytest.approx(0.7, abs=0.05)
    assert (kept.any(axis=1) & ~kept.all(axis=1)).mean() > 0.8  # each channel by itself


def test_patterns_of_voxels_are_perturbed_too(trial: np.ndarray):
    pattern = trial[:, 0]
    np.testing.assert_array_equal(changed(pattern, shift=3, time_mask=0.9), pattern)
    assert 0 < (changed(trial[0], channel_dropout=0.5) == 0).sum() < 200
    assert (changed(pattern, noise=0.1) != pattern).all()


def test_smoothing_is_a_probability():
    with pytest.raises(InputError, match=r"perturbation smoothing is 1.5: it is a probability, from 0 to 1"):
        Perturbation(smoothing=1.5)


@pytest.mark.parametrize(
    "how", [{"noise": -0.1}, {"shift": -1}, {"channel_dropout": 1.0}, {"time_mask": 1.5}, {"scaling": float("nan")}]
)
def test_impossible_strengths_are_named(how: dict[str, float]):
    ((name, value),) = how.items()
    with pytest.raises(
        InputError, match=f"perturbation {name} is {value}: it must be zero or more, and a part below 1"
    ):
        Perturbation(**how)
