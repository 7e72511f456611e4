"""A stream gives what its recording gives; whatever happens to it is said, and survived."""

from dataclasses import replace

import mne
import numpy as np
import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.live import Block, Epocher, Marker, StreamLost


def alike(found, wanted):
    """Names, counts, entries and marks are the same, cosines to rounding."""
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    for (_, _, mine), (_, _, theirs) in zip(found, wanted, strict=True):
        assert [(name, right) for name, _, right in mine] == [(name, right) for name, _, right in theirs]
        np.testing.assert_allclose([s for _, s, _ in mine], [s for _, s, _ in theirs], atol=2e-6)


def by_name(answers, scripts):
    latest = {answer.mean.name: scripts.as_found(answer.mean) for answer in answers}
    first = list(dict.fromkeys(answer.mean.name for answer in answers))
    return [latest[name] for name in first]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_stream_gives_what_its_recording_gives(raw, play, offline, scripts, chunk):
    session, answers, _ = play(scripts.form_of(raw), *scripts.blocks_of(raw, chunk))
    assert (session.answers, session.left_out) == (12, 0)
    alike([scripts.as_found(answer.single) for answer in answers], offline(raw, single_trials=True))
    alike(by_name(answers, scripts), offline(raw))


def test_the_mean_grows_by_each_repeat(raw, play, offline, scripts, decoder):
    _, answers, _ = play(scripts.form_of(raw), *scripts.blocks_of(raw))
    assert sorted(answer.mean.trials for answer in answers) == [1] * 6 + [2] * 6
    assert all(answer.latency > 0 for answer in answers)
    assert list(decoder.latest)[-2:] == [answer.mean.name for answer in answers[-2:]]
    first = answers[0]
    assert [m.score for m in first.mean.matches] == pytest.approx([m.score for m in first.single.matches])


def test_all_is_warm_before_the_stream_is_opened(raw, play, scripts, decoder, embedded, monkeypatch):
    asked, found = [], type(embedded).search
    monkeypatch.setattr(type(embedded), "search", lambda self, *given: asked.append(given) or found(self, *given))
    cut = Epocher._finish
    monkeypatch.setattr(Epocher, "_finish", lambda self, *given: asked.append(given) or cut(self, *given))
    session, answers, _ = play(scripts.form_of(raw))
    assert (session.answers, answers, len(asked)) == (0, [], 2)
    assert (decoder.latest, decoder.right_so_far()) == ({}, (0, 0))


def test_nothing_after_an_epoch_is_looked_at(raw, play, scripts, decoder):
    """The answer comes with the block that brings the epoch's last sample, whatever follows."""
    onset = raw.time_as_index(raw.annotations.onset[:1], use_rounding=True)[0]
    last = onset + round(0.6 * raw.info["sfreq"])  # of the window; a recording is cut with its end
    before = replace(scripts.blocks_of(raw, last)[0], markers=[])
    marker = Marker("one", scripts.clock + onset / raw.info["sfreq"])
    _, answers, _ = play(scripts.form_of(raw), replace(before, markers=[marker]))
    assert answers == []
    whole = replace(scripts.blocks_of(raw, last + 1)[0], markers=[marker])
    _, answers, _ = play(scripts.form_of(raw), whole)
    assert len(answers) == 1
    changed = raw.copy()
    changed._data[:, last + 1 :] = 1.0
    _, others, _ = play(scripts.form_of(raw), *scripts.blocks_of(changed, 1))
    assert others[0].single.matches[0].score == pytest.approx(answers[0].single.matches[0].score, abs=1e-6)


@pytest.mark.parametrize("unit", ["uV", "mV"])
def test_units_channels_and_spellings_are_those_of_the_pipeline(raw, play, offline, scripts, unit):
    turned = raw.copy().reorder_channels(raw.ch_names[::-1])
    form = scripts.form_of(turned, units=(unit,) * 5, channel_names=("EEG O2-REF", "OZ", "O1.", "P8", "P7"))
    scale = {"uV": 1e6, "mV": 1e3}[unit]
    blocks = [replace(block, values=block.values * scale) for block in scripts.blocks_of(turned)]
    _, answers, notices = play(form, *blocks)
    alike(by_name(answers, scripts), offline(raw))
    assert any("found under other names" in text for text in notices)


def test_another_rate_is_resampled_as_the_recording_is(raw, play, offline, scripts):
    faster = raw.copy().resample(250, verbose="ERROR")
    _, answers, notices = play(scripts.form_of(faster), *scripts.blocks_of(faster))
    alike(by_name(answers, scripts), offline(faster))
    assert "Resampled from 250 to 50 Hz." in notices


def test_steps_of_a_stimulus_channel_are_events(simulated, raw, play, offline, scripts):
    codes = np.zeros((1, len(raw.times)))
    names = list(dict.fromkeys(raw.annotations.description))
    for onset, name in zip(
        raw.time_as_index(raw.annotations.onset, use_rounding=True), raw.annotations.description, strict=True
    ):
        codes[0, onset : onset + 3] = 1 + names.index(name)
    info = mne.create_info(["STI"], raw.info["sfreq"], "stim")
    with_stim = raw.copy().add_channels([mne.io.RawArray(codes, info, verbose="ERROR")], force_update_info=True)
    with_stim.set_annotations(None)
    meaning = {str(code): name for code, name in enumerate(names, start=1)}
    settings = replace(scripts.quick, rename=meaning)
    _, answers, _ = play(scripts.form_of(with_stim, ""), *scripts.blocks_of(with_stim), settings=settings)
    alike(by_name(answers, scripts), offline(raw))
    settings = replace(settings, ignore=("1", "2"))
    session, _, _ = play(scripts.form_of(with_stim, ""), *scripts.blocks_of(with_stim), settings=settings)
    assert session.answers == 8


def test_a_delay_moves_the_onsets(raw, play, scripts):
    early = [
        replace(block, markers=[Marker(one.name, one.time - 0.05) for one in block.markers])
        for block in scripts.blocks_of(raw)
    ]
    _, straight, _ = play(scripts.form_of(raw), *scripts.blocks_of(raw))
    _, moved, _ = play(scripts.form_of(raw), *early, settings=replace(scripts.quick, marker_delay=0.05))
    assert [a.single.matches[0].score for a in moved] == pytest.approx([a.single.matches[0].score for a in straight])


def test_times_that_jitter_are_put_on_a_steady_line(raw, play, offline, scripts):
    generator = np.random.default_rng(0)
    shaken = [
        replace(block, times=block.times + generator.uniform(-0.004, 0.004, len(block.times)))
        for block in scripts.blocks_of(raw)
    ]
    _, answers, _ = play(scripts.form_of(raw), *shaken)
    alike(by_name(answers, scripts), offline(raw))


def test_nan_is_said_and_its_epochs_are_left_out(raw, play, offline, scripts):
    broken = raw.copy()
    broken._data[1, 300:305] = np.nan  # P8, which the checkpoint does not read
    session, answers, notices = play(scripts.form_of(raw), *scripts.blocks_of(broken))
    assert (session.answers, session.left_out) == (12, 0)
    broken._data[2, 300:305] = np.nan
    session, answers, notices = play(scripts.form_of(raw), *scripts.blocks_of(broken))
    assert session.left_out > 0
    assert session.answers + session.left_out == 12
    assert "NaN or infinite values come from O1." in notices
    assert "Numbers come again from O1." in notices
    (said,) = [text for text in notices if "left out" in text]  # once, though several epochs were
    assert "channels O1 hold NaN or infinite values" in said
    assert np.isfinite([answer.mean.matches[0].score for answer in answers]).all()


def test_nan_is_interpolated_where_that_is_asked_for(raw, play, offline, scripts):
    broken = raw.copy()
    broken._data[2, 300:305] = np.nan
    settings = replace(scripts.quick, interpolate=True)
    session, answers, _ = play(scripts.form_of(raw), *scripts.blocks_of(broken), settings=settings)
    assert (session.answers, session.left_out) == (12, 0)
    assert all(np.isfinite(one.score) for answer in answers for one in answer.single.matches)


def test_a_stream_that_ends_and_comes_back_is_read_on(raw, play, offline, scripts):
    blocks, form = scripts.blocks_of(raw, 10), scripts.form_of(raw)
    again = scripts.blocks_of(raw, 10, begin=scripts.clock + 60)
    session, answers, notices = play(form, *blocks[:30], StreamLost("The stream cap has ended"), form, *again)
    lost = [text for text in notices if text.startswith("The stream cap has ended")]
    assert len(lost) == 1
    assert "epochs under way are lost" in lost[0]
    assert "cap is back." in notices
    assert notices[-1] == "cap did not come back."
    assert session.answers > 12  # those of before count on
    assert max(answer.mean.trials for answer in answers) == 3


def test_a_stream_that_falls_silent_is_looked_for(raw, play, scripts):
    form = scripts.form_of(raw)
    _, _, notices = play(form, *scripts.blocks_of(raw)[:5], form, *scripts.blocks_of(raw, begin=9000.0))
    assert any(text.startswith("No sample has come from cap for 0.05 s") for text in notices)
    assert "cap is back." in notices


def test_another_rate_on_coming_back_is_said_and_read(raw, play, offline, scripts):
    faster = raw.copy().resample(250, verbose="ERROR")
    lost = StreamLost("The stream cap has ended")
    script = [scripts.form_of(raw), *scripts.blocks_of(raw)[:3], lost, scripts.form_of(faster)]
    _, answers, notices = play(*script, *scripts.blocks_of(faster))
    assert "Its rate is 250 Hz, and was 100 Hz." in notices
    alike(by_name(answers, scripts), offline(faster))


def test_a_rate_too_low_or_a_lost_channel_is_said_and_waited_out(raw, play, offline, scripts):
    form, lost = scripts.form_of(raw), StreamLost("The stream cap has ended")
    slow = replace(form, sampling_rate=40.0)
    fewer = scripts.form_of(raw.copy().drop_channels(["O1"]))
    script = [form, *scripts.blocks_of(raw)[:3], lost, slow, fewer, form, *scripts.blocks_of(raw)]
    _, answers, notices = play(*script, settings=replace(scripts.quick, wait=2.0))
    assert any("has 40 Hz, less than the 50 Hz of the checkpoint" in text for text in notices)
    assert any("does not fit" in text and "channels O1 are missing" in text for text in notices)
    assert "cap is back." in notices
    alike(by_name(answers, scripts), offline(raw))


def test_a_lost_channel_is_interpolated_where_that_is_asked_for(raw, play, scripts):
    fewer = raw.copy().drop_channels(["O1"])
    script = [scripts.form_of(raw), StreamLost("gone"), scripts.form_of(fewer), *scripts.blocks_of(fewer)]
    session, _, notices = play(*script, settings=replace(scripts.quick, interpolate=True))
    assert session.answers == 12
    assert "Lost channels: O1." in notices
    assert any("Interpolated from 4 electrodes: O1" in text for text in notices)


def test_lost_samples_and_a_rate_other_than_announced_are_said(raw, play, scripts):
    blocks = scripts.blocks_of(raw, 10)
    session, _, notices = play(scripts.form_of(raw), *blocks[:25], *blocks[28:])
    assert 0 < session.left_out < 12
    assert any("samples were lost" in text for text in notices)
    begin = blocks[0].times[0]
    slower = [replace(block, times=begin + (block.times - begin) * 1.25) for block in blocks]
    marked = [replace(b, markers=[Marker(m.name, begin + 1.25 * (m.time - begin)) for m in b.markers]) for b in slower]
    session, answers, notices = play(scripts.form_of(raw), *marked)
    assert (answers, session.left_out >= 11) == ([], True)
    assert any("off a steady 100 Hz (they come at 80 Hz)" in text for text in notices)


def test_markers_that_cannot_be_served_are_said(raw, play, scripts):
    blocks = scripts.blocks_of(raw, 50)
    odd = [Marker("early", scripts.clock - 1.0), Marker("far", scripts.clock + 1e6), Marker("BAD boundary", 0.0)]
    session, _, notices = play(scripts.form_of(raw), replace(blocks[0], markers=odd), *blocks[1:])
    assert (session.answers, session.left_out) == (12, 2)  # a recorder's own marks name no picture
    assert any("'early' was left out: its samples were gone" in text for text in notices)
    assert any("ahead of the samples: their clocks differ" in text for text in notices)


def test_an_amplifier_that_is_off_gives_no_answer(raw, play, scripts):
    off = raw.copy()
    off._data[:] = 1e-5
    session, answers, notices = play(scripts.form_of(off), *scripts.blocks_of(off))
    assert (answers, session.left_out) == ([], 12)
    assert any("no channel changes" in text for text in notices)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampling_rate": 0.0}, "no steady rate"),
        ({"sampling_rate": 30.0}, "30 Hz, less than the 50 Hz"),
        ({"units": ("",) * 5}, "does not say the unit of P7"),
        ({"units": ("fT",) * 5}, "P7 is in fT, not in V"),
        ({"channel_names": ("A", "B", "C", "D", "E")}, "channels P7, O1, Oz, O2 are missing"),
        ({"markers": ""}, "Nothing says when events are"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused_at_the_beginning(raw, play, scripts, changes, words):
    with pytest.raises(InputError, match=words):
        play(replace(scripts.form_of(raw), **changes))


def test_no_stream_at_all(play):
    with pytest.raises(InputError, match=r"No stream was found in 0\.2 s: start it"):
        play()


def test_a_session_ends_in_time(raw, play, scripts):
    _, answers, notices = play(scripts.form_of(raw), *scripts.blocks_of(raw), seconds=1e-9)
    assert answers == []
    assert len(notices) == 2


@pytest.mark.parametrize("setting", ["jitter", "silence", "wait"])
def test_settings_are_seconds(scripts, setting):
    with pytest.raises(InputError, match=f"{setting} is -1"):
        replace(scripts.quick, **{setting: -1})
    with pytest.raises(InputError, match="marker_delay is nan"):
        replace(scripts.quick, marker_delay=float("nan"))


def test_a_block_without_samples_may_bring_markers(raw, play, scripts):
    form, blocks = scripts.form_of(raw), scripts.blocks_of(raw, 10)
    markers = [one for block in blocks for one in block.markers]
    bare = [replace(block, markers=[]) for block in blocks]
    late = Block(np.empty((0, 5)), np.empty(0), 0.0, markers)
    session, _, _ = play(form, *bare[:40], late, *bare[40:])
    assert session.answers == 12
