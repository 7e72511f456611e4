"""The simulated signal: background, evoked components, adaptation and broken channels."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from neuroclip_hf.columns import TEST
from neuroclip_hf.data.simulation import SimulationSettings
from neuroclip_hf.data.simulation.background import Background, _noise_filter
from neuroclip_hf.data.simulation.eeg import background_of, response_kernel, simulate_session, simulate_signal
from neuroclip_hf.data.simulation.evoked import (
    ADAPTATION,
    BACKGROUND_AMPLITUDE,
    TRIAL_GAIN,
    TRIAL_JITTER,
    Adaptation,
    adapted_drive,
    add_responses,
)
from neuroclip_hf.data.simulation.pictures import CODE_SIZE
from neuroclip_hf.data.simulation.sensors import eeg_sensors
from neuroclip_hf.data.things_eeg2 import FACTS

SETTINGS = SimulationSettings(
    concepts=4, test_concepts=6, images_per_concept=1, test_repeats=16, sampling_rate=250, snr=0.5
)
CODES = np.random.default_rng(3).standard_normal((6, CODE_SIZE))


def test_background_has_a_spectrum_like_1_over_f_with_alpha_at_the_back() -> None:
    rate = 250
    data = np.zeros((63, 120 * rate))
    background = Background(eeg_sensors(), rate, np.random.default_rng(0))
    background.fill(data, np.random.default_rng(1))
    frequencies, power = signal.welch(data, rate, nperseg=4 * rate)

    def band(low: float, high: float, channel: str) -> float:
        inside = (frequencies >= low) & (frequencies <= high)
        return float(np.log10(power[FACTS.channels.index(channel), inside].mean()))

    for channel in ("Cz", "T7"):
        slope = (band(28, 36, channel) - band(3.5, 4.5, channel)) / np.log10(32 / 4)
        assert -1.7 < slope < -0.8
    assert band(9, 11, "Oz") - band(5, 7, "Oz") > band(9, 11, "Fp1") - band(5, 7, "Fp1") + 0.3
    assert band(50, 50, "Oz") > band(45, 47, "Oz")
    correlation = np.corrcoef(data)
    names = [FACTS.channels.index(name) for name in ("PO7", "PO3", "F8")]
    assert correlation[names[0], names[1]] > correlation[names[0], names[2]] + 0.2
    slow = signal.sosfiltfilt(signal.butter(2, (1, 6), "bandpass", fs=rate, output="sos"), data)
    steps = np.ptp(slow, axis=1)
    assert steps[0] > 1.7 * steps[FACTS.channels.index("Pz")], "blinks are largest at the forehead"


@pytest.mark.parametrize("rate", [100, 250, 1000])
def test_the_activity_that_the_snr_refers_to_has_its_amplitude(rate):
    impulse = np.zeros(60 * rate)
    impulse[0] = 1
    without_drift = _noise_filter(rate)[1:]
    assert np.linalg.norm(signal.sosfilt(without_drift, impulse)) == pytest.approx(BACKGROUND_AMPLITUDE, rel=1e-6)
    unreferenced = Background(replace(eeg_sensors(), reference=None), rate, np.random.default_rng(0))._mixing
    np.testing.assert_allclose((unreferenced**2).sum(axis=1), 1)


def test_far_electrodes_share_noise_as_volume_conduction_and_the_reference_make_them() -> None:
    mixing = Background(eeg_sensors(), 250, np.random.default_rng(0))._mixing
    covariance = mixing @ mixing.T
    strength = np.linalg.eigvalsh(covariance)[::-1].cumsum() / np.trace(covariance)
    assert 10 < np.searchsorted(strength, 0.95) < 30
    left, right = (FACTS.channels.index(name) for name in ("TP9", "TP10"))
    apart = covariance[left, right] / np.sqrt(covariance[left, left] * covariance[right, right])
    assert 0.3 < apart < 0.8


def test_background_goes_on_smoothly_from_piece_to_piece() -> None:
    data = np.zeros((63, (1 << 15) + 1000))
    Background(eeg_sensors(), 250, np.random.default_rng(0)).fill(data, np.random.default_rng(1))
    steps = np.abs(np.diff(data, axis=1))
    seam = (1 << 15) - 1
    assert steps[:, seam].mean() < 2 * steps.mean()


def session(**changes) -> np.ndarray:
    return simulate_session(replace(SETTINGS, **changes), 1, 1, TEST, CODES)


def test_bad_channels_are_bad_and_leave_the_others_as_they_are():
    bad = ("P7", "Oz", "Fp1")
    clean, spoiled = session(), session(bad_channels=bad)
    rows = [FACTS.channels.index(name) for name in bad]
    others = np.delete(np.arange(64), rows)
    np.testing.assert_array_equal(clean[others], spoiled[others])
    spreads = {number: spoiled[row].std() * 1e6 for number, row in enumerate(rows)}
    flat = min(spreads, key=spreads.get)
    assert 0.05 < spreads.pop(flat) < 0.3
    assert min(spreads.values()) > 80
    highest = [np.abs(spoiled[rows[number]]).max() * 1e6 for number in spreads]
    assert max(highest) == pytest.approx(3000), "one is at its ceiling now and then"
    assert not np.array_equal(spoiled[rows[0]], session(bad_channels=bad, seed=1)[rows[0]])
    np.testing.assert_array_equal(spoiled, session(bad_channels=bad))
    np.testing.assert_array_equal(spoiled[rows[1:2]], session(bad_channels=("Cz", "C1", "C2", "C3", "Oz"))[rows[1:2]])


def test_which_fault_a_channel_has_depends_on_the_seed():
    spreads = {seed: session(bad_channels=("Oz",), seed=seed)[61].std() * 1e6 for seed in range(3)}
    assert sum(spread < 1 for spread in spreads.values()) == 1
    assert len({round(spread, 2) for spread in spreads.values()}) == 3


def test_the_first_pictures_after_a_pause_evoke_more():
    times = np.concatenate([np.arange(20), np.arange(20)]) * 0.2 + np.repeat([0, 4.8], 20)
    drive = adapted_drive(times, np.zeros((40, 2)), 0.2)[:, 0]
    assert drive[0] > drive[20] > 1.2, "a second of pause is not enough to forget everything"
    assert (np.diff(drive[:20]) < 0).all()
    assert drive[19] == pytest.approx(1, abs=0.01), "the stated amplitudes are those of a long stream"
    assert adapted_drive(np.zeros(1), np.zeros((1, 2)), 0.2)[0, 0] == pytest.approx(drive[0])
    still = adapted_drive(times, np.zeros((40, 2)), 0.2, Adaptation(depth=0))
    np.testing.assert_allclose(still[:, 0], 1)


def test_what_was_just_seen_evokes_less():
    codes = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    drive = adapted_drive(np.array([0, 0.2, 0.4, 0.6, 30]), codes, 0.2)[:, 1:]
    faded = ADAPTATION.suppression * np.exp(-0.2 / ADAPTATION.memory)
    np.testing.assert_allclose(drive[0], [1, 0])
    np.testing.assert_allclose(drive[1], [1 - faded, 0], rtol=1e-12)
    assert 0.7 < 1 - faded < 0.9
    assert drive[2, 0] < 0
    assert drive[2, 1] == 1, "only what pictures share is suppressed"
    np.testing.assert_allclose(drive[4], [1, 0], atol=1e-9), "after a long pause nothing is left"
    catch = adapted_drive(np.array([0, 0.2]), np.array([[0.0, 0.0], [1.0, 0.0]]), 0.2)
    assert catch[1, 1] == 1
    assert catch[1, 0] < catch[0, 0], "a catch trial tires like a picture"


def test_recordings_are_adapted():
    onsets = np.array([250, 300, 350])
    codes = np.ones((3, CODE_SIZE))
    quiet, loud = np.zeros((63, 700)), np.zeros((63, 700))
    simulate_signal(SETTINGS, 1, onsets, codes, loud, np.random.default_rng(0))
    random = np.random.default_rng(0)
    background_of(SETTINGS, 1).fill(quiet, random, onsets)
    add_responses(quiet, onsets, adapted_drive(onsets / 250, codes, 0.2), response_kernel(SETTINGS, 1), 250, random)
    np.testing.assert_array_equal(loud, quiet)
    unadapted = np.concatenate([np.ones((3, 1)), codes], axis=1)
    random = np.random.default_rng(0)
    background_of(SETTINGS, 1).fill(quiet, random, onsets)
    add_responses(quiet, onsets, unadapted, response_kernel(SETTINGS, 1), 250, random)
    assert not np.allclose(loud, quiet)


def test_the_kernel_is_what_stands_in_a_recording_without_background():
    kernel = response_kernel(SETTINGS, 1)
    assert kernel.shape == (1 + CODE_SIZE, 63, 200)
    window = slice(13, 126)  # 0.05 to 0.5 s
    back = [FACTS.channels.index(name) for name in FACTS.occipital_channels]
    strength = np.sqrt((kernel[1:, back, window] ** 2).sum(axis=0).mean())
    assert strength == pytest.approx(0.5 * BACKGROUND_AMPLITUDE), (
        "root mean square over that of the background: the snr"
    )
    few = response_kernel(replace(SETTINGS, channels=("Oz", "P7")), 1)
    np.testing.assert_array_equal(few, kernel[:, [FACTS.channels.index("Oz"), FACTS.channels.index("P7")]])
    data = np.zeros((63, 400))
    add_responses(data, np.array([100]), np.eye(1 + CODE_SIZE)[[3]], kernel, 250, np.random.default_rng(5))
    found = data / np.abs(data).max() * np.abs(kernel[3]).max()
    assert any(np.allclose(found[:, shift : shift + 200], kernel[3]) for shift in range(80, 121))


def test_responses_vary_in_strength_and_time_from_trial_to_trial():
    kernel = np.zeros((1, 1, 101))
    kernel[0, 0, 50] = 1
    data, onsets = np.zeros((1, 200_000)), np.arange(500, 199_000, 300)
    add_responses(data, onsets, np.ones((len(onsets), 1)), kernel, 1000, np.random.default_rng(5))
    places = np.flatnonzero(data[0])
    assert len(places) == len(onsets)
    assert np.std(places - onsets) == pytest.approx(TRIAL_JITTER * 1000, rel=0.1)
    assert np.mean(places - onsets) == pytest.approx(50, abs=1)
    assert np.log(data[0, places]).std() == pytest.approx(TRIAL_GAIN, rel=0.1)
    assert 0.15 < TRIAL_GAIN < 0.5
    assert 0.002 < TRIAL_JITTER < 0.02


def test_responses_at_the_edges_and_close_together_add_up():
    kernel = response_kernel(SETTINGS, 1)
    drive = np.ones((2, 1 + CODE_SIZE))
    both = np.zeros((63, 300))
    add_responses(both, np.array([0, 50]), drive, kernel, 250, np.random.default_rng(0))
    single = np.zeros((63, 300))
    late = np.concatenate([drive[:1], 0 * drive[1:]])
    early = np.concatenate([0 * drive[:1], drive[1:]])
    for part in (late, early):
        add_responses(single, np.array([0, 50]), part, kernel, 250, np.random.default_rng(0))
    np.testing.assert_allclose(both, single, atol=1e-9)
    add_responses(both, np.array([0, 290]), drive, kernel, 250, np.random.default_rng(1))  # reaches beyond the end


def test_occipital_channels_answer_first_and_appearance_before_attributes():
    kernel = response_kernel(replace(SETTINGS, sampling_rate=1000), 1)
    power = {name: kernel[:, FACTS.channels.index(name)] ** 2 for name in ("Oz", "P8", "Fp1")}
    peak = {name: float(np.argmax(np.abs(values[0]))) for name, values in power.items()}
    assert 80 < peak["Oz"] < 135
    assert peak["Oz"] + 30 < peak["P8"]
    assert power["Fp1"][0].max() < 0.05 * power["Oz"][0].max()
    power = (kernel[1:] ** 2).sum(axis=1)
    early, late = ((power[:, part].sum(axis=1) / power.sum(axis=1)) for part in (slice(140), slice(280, None)))
    assert early[:12].mean() > 0.4, "appearance, on the way"
    assert early[12:].max() < 0.01
    assert late[:12].max() < 0.01
    assert late[12:].mean() > 0.3, "attributes, at the end"


def test_subjects_share_their_response_only_in_part():
    subjects = range(1, 7)
    kernels = [response_kernel(SETTINGS, subject)[1:].ravel() for subject in subjects]
    correlation = np.corrcoef(kernels)[~np.eye(len(kernels), dtype=bool)]
    assert correlation.min() > 0
    assert 0.4 < correlation.mean() < 0.7
    assert correlation.max() < 0.85, "everybody has own sources"
    precise = replace(SETTINGS, sampling_rate=1000, channels=("Oz",))
    latencies = [int(np.argmax(response_kernel(precise, subject)[0, 0])) for subject in subjects]
    assert 2 < np.std(latencies) < 10, "milliseconds"


def alpha_power(data: np.ndarray, rate: int) -> np.ndarray:
    band = signal.sosfiltfilt(signal.butter(3, (8, 12), "bandpass", fs=rate, output="sos"), data)
    return np.abs(signal.hilbert(band)) ** 2


def test_alpha_waxes_and_wanes_and_is_weaker_while_pictures_are_shown():
    rate, seconds = 100, 400
    settings = replace(SETTINGS, channels=("Oz", "O1"), sampling_rate=rate)
    onsets = np.concatenate([np.arange(start, start + 10, 0.2) for start in range(5, seconds - 10, 20)]) * rate
    watched, free = np.zeros((2, seconds * rate)), np.zeros((2, seconds * rate))
    background_of(settings, 1).fill(watched, np.random.default_rng(0), np.rint(onsets).astype(int))
    background_of(settings, 1).fill(free, np.random.default_rng(0))
    during = (np.arange(seconds * rate) / rate - 5) % 20
    looking, resting = (during > 1) & (during < 10), (during > 12) & (during < 19)
    ratio = alpha_power(watched, rate) / alpha_power(free, rate)
    assert np.median(ratio[:, looking]) < 0.7, "of a band that holds 1/f activity too"
    assert np.median(ratio[:, resting]) == pytest.approx(1, abs=0.02)
    envelope = np.sqrt(alpha_power(free, rate))[0].reshape(-1, 2 * rate).mean(axis=1)
    assert np.std(envelope) / np.mean(envelope) > 0.27


def test_background_can_be_had_alone():
    data = np.zeros((3, 5000))
    settings = replace(SETTINGS, channels=("Oz", "Cz", "Fp1"))
    background_of(settings, 1).fill(data, np.random.default_rng(0))
    assert (data.std(axis=1) > 8).all()
    assert (data.std(axis=1) < 60).all()
