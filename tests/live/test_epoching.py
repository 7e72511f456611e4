"""Filter, rejection and the kinds of channels: as the recording would be cut, as far as that can be known yet."""

from dataclasses import replace

import mne
import numpy as np
import pytest

from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.recordings import recording_of_raw
from neuroclip_hf.errors import InputError
from neuroclip_hf.live import Epocher, LiveSettings
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.recordings import trials_of_recording


def form_with(**changes):
    epochs = EpochSettings(**{"window": (0.0, 0.6), "baseline": (-0.2, 0.0), "sampling_rate": 50.0, **changes})
    return BrainFeatureExtractor(["P7", "O1"], 50.0, 30, std=1e-5, epochs=epochs.to_dict())


def cut(form, raw, scripts, blocks=None):
    epocher = Epocher(form, scripts.form_of(raw), LiveSettings())
    return epocher, [one for block in blocks or scripts.blocks_of(raw) for one in epocher.feed(block)]


def test_a_filter_uses_what_there_is_up_to_the_end_of_the_epoch(raw, scripts):
    form = form_with(band=(1.0, 20.0))
    epocher, found = cut(form, raw, scripts)
    assert any("filtered (1 to 20 Hz) up to the end of each epoch" in note for note in epocher.plan.notes)
    onset = raw.time_as_index(raw.annotations.onset[:1], use_rounding=True)[0]
    span, history = epocher.plan.span, epocher.plan.history
    assert history > 100
    first = onset + span.first
    part = raw.get_data(["P7", "O1"], max(0, first - history), first + span.count)
    filtered = mne.filter.filter_data(part, 100.0, 1.0, 20.0, verbose="ERROR")[:, -span.count :]
    unfiltered = without_band(form)
    again = unfiltered(
        filtered[None], channel_names=["P7", "O1"], sampling_rate=100.0, unit="V", window_start=span.first / 100.0
    )["eeg_values"][0].numpy()
    np.testing.assert_allclose(form.standardise(found[0].values[None])["eeg_values"][0], again, atol=1e-4)


def without_band(form):
    return BrainFeatureExtractor(
        form.channel_names, 50.0, 30, std=1e-5, epochs=replace(form.epoch_settings, band=(None, None)).to_dict()
    )


def test_epochs_beyond_the_limit_are_rejected_as_in_a_recording(raw, scripts):
    loud = raw.copy()
    loud._data[0, 300] += 1.0
    form = form_with(reject=1e-2)
    _, found = cut(form, loud, scripts)
    kept = [one for one in found if hasattr(one, "values")]
    names, values, _ = trials_of_recording(recording_of_raw(loud), form)
    assert [one.name for one in kept] == names
    assert 0 < len(kept) < 12
    np.testing.assert_allclose([one.values for one in kept], values, rtol=1e-4, atol=1e-12)
    assert {one.reason for one in found if hasattr(one, "reason")} == {
        "a channel moves by more than 10000 uV, the checkpoint's limit"
    }


def test_channels_of_other_kinds_are_no_electrodes(raw, scripts):
    form = replace(scripts.form_of(raw), kinds=("misc", "eeg", "eeg", "eeg", "eeg"))
    with pytest.raises(InputError, match="channels P7 are missing"):
        Epocher(form_with(), form, LiveSettings())


def test_patterns_and_a_filter_beyond_nyquist_are_refused(raw, scripts):
    with pytest.raises(InputError, match="reads patterns"):
        Epocher(BrainFeatureExtractor(["v1", "v2"], std=1.0), scripts.form_of(raw), LiveSettings())
    with pytest.raises(InputError, match=r"filter \(to 50 Hz\) reaches its Nyquist frequency"):
        Epocher(form_with(band=(None, 50.0)), scripts.form_of(raw), LiveSettings())


def test_one_unit_of_all_where_it_is_said(raw, scripts):
    form = replace(scripts.form_of(raw), units=("",) * 5)
    plan = Epocher(form_with(), form, LiveSettings(unit="uV")).plan
    np.testing.assert_allclose(plan.scales, 1e-6)
