"""Cutting: what is kept, which values, and what is refused."""

import json

import mne
import numpy as np
import pytest

from neuroclip_hf.data import cutting as module
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings, choose_channels, modality_of
from neuroclip_hf.errors import InputError

CHANNELS = ["P7", "P8", "O1", "O2"]
ONSETS = np.array([100, 200, 300, 400])


def cut(raw, samples=ONSETS, channels=CHANNELS, **settings):
    settings = EpochSettings(**{"baseline": None, "window": (0.0, 0.5), **settings})
    parts = list(cut_epochs(raw, np.asarray(samples), settings, channels))
    rows = [row for kept, _ in parts for row in kept]
    return rows, np.concatenate([values for _, values in parts]) if parts else None


@pytest.fixture
def ramp(make_raw):
    """Each channel counts its samples in microvolts, from another start."""
    raw = make_raw(["cat"] * 4)
    raw._data[:] = 1e-6 * (np.arange(raw.n_times) + 1000 * np.arange(4)[:, None])
    return raw


def test_the_window_is_cut_without_its_end(ramp):
    rows, values = cut(ramp, window=(-0.1, 0.2))
    assert rows == [0, 1, 2, 3]
    assert values.shape == (4, 4, 30)
    np.testing.assert_allclose(values[1, 2], 1e-6 * (2000 + np.arange(190, 220)))


def test_two_events_at_one_sample_are_refused(ramp):
    with pytest.raises(InputError, match="two events stand at sample 200: leave one of them out"):
        cut(ramp, [100, 200, 300, 200])


@pytest.mark.parametrize("first_samp", [0, 7777])
def test_samples_count_from_the_first_stored_one(make_raw, first_samp: int):
    raw = make_raw(["cat"] * 4, first_samp=first_samp)
    _, values = cut(raw)
    np.testing.assert_allclose(values[0], raw.get_data()[:, 100:150])


def test_channels_come_in_the_order_asked_for(ramp):
    _, values = cut(ramp, channels=["O2", "P7"])
    np.testing.assert_allclose(values[0, :, 0], [3100e-6, 100e-6])


@pytest.mark.parametrize("baseline", [(-0.2, 0.0), (-0.2, -0.1), (0.6, 0.9)])
def test_a_baseline_may_lie_outside_the_window(ramp, baseline: tuple[float, float]):
    _, values = cut(ramp, window=(0.0, 0.5), baseline=baseline)
    mean = 100 * np.mean(baseline)  # of a ramp that counts a hundred microvolts a second; both ends belong to it
    np.testing.assert_allclose(values[3, 1], 1e-6 * (np.arange(50) - mean), atol=1e-12)


def test_events_at_the_ends_in_bad_segments_and_without_signal_are_left_out(make_raw):
    raw = make_raw(["cat"] * 4)
    raw.set_annotations(mne.Annotations([2.2], 0.1, ["BAD_blink"]))
    raw._data[:, 300:360] = 4e-5  # the amplifier was off
    rows, _ = cut(raw, [-5, 10, 100, 200, 300, 400, 560, 5000], window=(-0.2, 0.5))
    assert rows == [2, 4, 5]  # -5, 10, 560 and 5000 do not fit; 200 is bad; 300 begins with signal
    rows, _ = cut(raw, [100, 300, 320], window=(0.0, 0.5))
    assert rows == [0, 2]
    rows, _ = cut(raw, [-1, 0, 549, 550], window=(0.0, 0.5))  # of 600 samples; MNE's epochs hold the window's end too
    assert rows == [1, 2]


def test_rejection_takes_peak_to_peak_in_volts(ramp):
    ramp._data[1, 220] += 200e-6
    assert cut(ramp, reject=100e-6)[0] == [0, 2, 3]
    assert cut(ramp, reject=40e-6)[1] is None  # half a second counts 50 microvolts


def test_many_events_are_cut_in_chunks_and_keep_their_numbers(ramp, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    samples = np.arange(20, 500, 11)
    rows, values = cut(ramp, samples, window=(0.0, 0.1))
    assert rows == list(range(len(samples)))
    np.testing.assert_allclose(values[:, 0, 0], 1e-6 * samples)


@pytest.mark.parametrize("rate", [None, 125.0])
def test_a_window_may_start_half_a_sample_before_the_first_one(make_raw, rate):
    raw = make_raw(["cat"] * 4, rate=250.0)
    rows, values = cut(raw, [100, 300], window=(0.15, 0.65), sampling_rate=rate)
    assert rows == [0, 1]
    assert values.shape == (2, 4, round(0.5 * (rate or 250.0)))
    if rate is None:
        np.testing.assert_array_equal(values[1], raw.get_data()[:, 338:463])


def test_a_damaged_sample_spoils_only_the_epochs_that_hold_it(make_raw):
    raw = make_raw(["cat"] * 4)
    _, expected = cut(raw, [100, 130, 160], window=(0.0, 0.5), sampling_rate=50.0)
    raw._data[1, 100] = np.nan
    _, values = cut(raw, [100, 130, 160], window=(0.0, 0.5), sampling_rate=50.0)
    assert np.isnan(values[0, 1]).all()
    np.testing.assert_allclose(values[1:], expected[1:], rtol=0, atol=1e-11 * np.abs(expected).max())


def test_resampling_is_that_of_mne(make_raw):
    raw = make_raw(["cat"] * 4, rate=500.0)
    samples = np.array([500, 1000])
    _, values = cut(raw, samples, window=(0.0, 1.0), baseline=(-0.2, 0.0), sampling_rate=125.0)
    events = np.column_stack([samples, [0, 0], [1, 2]])
    expected = mne.Epochs(raw, events, tmin=-0.2, tmax=1.0, baseline=(-0.2, 0), preload=True, verbose="ERROR")
    expected = expected.resample(125.0).get_data(copy=True)[..., 25:150]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("rate", "new"),
    [
        (rate, new)
        for rate in (100.0, 128.0, 250.0, 256.0, 500.0, 512.0, 1000 / 3)
        for new in (None, 50.0, 64.0, 100.0, 128.0, 250.0)
        if new is None or new <= rate
    ],
)
@pytest.mark.parametrize("window", [(0.05, 0.333), (0.033, 0.777), (-0.1, 0.8)])
def test_an_epoch_always_has_the_length_that_the_settings_say(make_raw, rate, new, window):
    for baseline in (None, (-0.1, 0.0), (-0.15, -0.03)):
        settings = EpochSettings(window=window, baseline=baseline, sampling_rate=new)
        raw = make_raw(["cat"] * 2, rate=rate)
        (_, values), *_ = cut_epochs(raw, np.array([raw.n_times // 2]), settings, CHANNELS)
        assert values.shape[2] == settings.num_timesteps(rate) == round((window[1] - window[0]) * (new or rate))


def test_the_filter_runs_over_the_whole_recording_and_leaves_it_as_it_was(make_raw):
    raw = make_raw(["cat"] * 18, rate=100.0)
    times = raw.times
    raw._data[:] = 1e-5 * (np.sin(2 * np.pi * 10 * times) + np.sin(2 * np.pi * 40 * times) + 5)
    before = raw.get_data()
    _, values = cut(raw, [1000], band=(1.0, 25.0))
    np.testing.assert_allclose(values[0, 0], 1e-5 * np.sin(2 * np.pi * 10 * times[1000:1050]), atol=3e-7)
    np.testing.assert_array_equal(raw.get_data(), before)
    _, values = cut(raw, [1000], band=(None, 25.0))
    np.testing.assert_allclose(values[0, 0].mean(), 5e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling_rate": 128.0}, "has 100 Hz, less than the 128 Hz asked for: lower --rate"),
        (
            {"band": (1.0, 50.0)},
            r"has 100 Hz, and the band \(1.0, 50.0\) Hz reaches its Nyquist frequency, 50 Hz: lower",
        ),
        ({"band": (60.0, None)}, ".* reaches its Nyquist frequency, 50 Hz: lower --filter"),
    ],
)
def test_settings_that_do_not_suit_the_recording(make_fif, settings, message: str):
    raw = mne.io.read_raw(make_fif("a_raw.fif", ["cat"] * 4), verbose="ERROR")
    with pytest.raises(InputError, match=rf"a_raw\.fif {message}"):
        cut(raw, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": (0.5, 0.5)}, r"window \(0.5, 0.5\) s is empty: its end must come after its start"),
        ({"window": (float("nan"), 1.0)}, "is empty"),
        ({"baseline": (0.0, -0.2)}, r"baseline \(0.0, -0.2\) s is empty"),
        ({"sampling_rate": 0.0}, "sampling_rate is 0.0: it must be a number above zero"),
        ({"reject": -1.0}, "reject is -1.0"),
        ({"reject": float("nan")}, "reject is nan"),
        ({"band": (0.0, 30.0)}, "both edges must be above zero and the second above the first"),
        ({"band": (30.0, 1.0)}, "both edges must be above zero"),
    ],
)
def test_impossible_settings(settings, message: str):
    with pytest.raises(InputError, match=message):
        EpochSettings(**settings)


def test_settings_survive_json():
    settings = EpochSettings(window=(-0.1, 0.8), band=(1.0, None), reject=1e-4, channels=("P7", "O1"))
    assert EpochSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_channels_by_default_are_eeg_or_else_meg(make_raw):
    mixed = make_raw(["cat"], channels=("A", "B", "C"), kinds=["mag", "eeg", "stim"])
    assert choose_channels(mixed, (), "a.fif") == ["B"]
    mixed.info["bads"] = ["B"]
    assert choose_channels(mixed, (), "a.fif") == ["B"]  # a bad channel is not left out in silence
    meg = make_raw(["cat"], channels=("A", "B", "C"), kinds=["mag", "grad", "misc"])
    assert choose_channels(meg, (), "a.fif") == ["A", "B"]
    assert modality_of(meg, ["A", "B"], "a.fif") == "meg"


@pytest.mark.parametrize(
    ("kinds", "channels", "message"),
    [
        (["eeg", "eeg", "eeg"], ["A", "Fz"], r"a\.fif has no channel Fz; it has A, B, C\. Correct --channels"),
        (["eeg", "eeg", "eeg"], ["A", "A"], "a name occurs twice"),
        (["eeg", "mag", "eeg"], ["A", "B"], r"a\.fif: channels A and B are EEG and MEG: name one kind in --channels"),
        (["eeg", "misc", "eeg"], ["A", "B"], r"a\.fif: channel B is of type misc, neither EEG nor MEG: leave it out"),
        (["misc", "misc", "stim"], [], r"a\.fif has no EEG or MEG channel \(types of its channels: misc, stim\)"),
    ],
)
def test_channels_that_cannot_be_used(make_raw, kinds, channels, message: str):
    with pytest.raises(InputError, match=message):
        choose_channels(make_raw(["cat"], channels=("A", "B", "C"), kinds=kinds), channels, "a.fif")


def test_rejection_in_volts_is_refused_for_meg(make_raw):
    raw = make_raw(["cat"], channels=("A", "B"), kinds="mag", scale=1e-13)
    with pytest.raises(InputError, match=r"is MEG, and --reject 0.0001 is in volts: leave it out"):
        cut(raw, [100], channels=["A", "B"], reject=1e-4)
    assert cut(raw, [100], channels=["A", "B"])[1].shape == (1, 2, 50)
