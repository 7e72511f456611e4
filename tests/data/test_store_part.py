"""Some channels and samples of a store: the same numbers as if the whole had been read and cut."""

import numpy as np
import pytest

from neuroclip_hf.data.rewhitened import can_be_rewhitened, whitened_by
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.errors import InputError


def test_channels_and_window_are_those_of_the_whole_cut(store):
    channels, window = ["O2", "P7"], [0.1, 0.4]
    part = part_of_store(store, channels, window)
    picks, samples = [store.info.channels.index(name) for name in channels], slice(5, 20)  # 50 Hz from the onset
    rows = store.select("train")[[3, 0, 3]]
    np.testing.assert_array_equal(part.read(rows), store.read(rows)[:, picks, samples])
    groups = [rows, rows[:1]]
    np.testing.assert_array_equal(part.read_means(groups), store.read_means(groups)[:, picks, samples])
    assert part.covariances() is None  # nothing was whitened by these channels alone
    assert not can_be_rewhitened(part)
    with pytest.raises(InputError, match="stores its trials otherwise"):
        part.read_stored(rows)
    assert part.info.trial_shape == (2, 15)
    assert part.info.channels == channels
    assert part.info.window == pytest.approx((0.1, 0.4))
    assert part.info.epochs is None
    assert part.info.scale == [store.info.scale[pick] for pick in picks]
    assert part.trials is store.trials
    assert part.subjects == store.subjects
    image_id = store.gallery("test")["image_id"][0]
    assert part.open_picture(image_id) == store.open_picture(image_id)


def test_a_window_of_all_channels_keeps_what_they_were_whitened_by(store):
    part = part_of_store(store, None, [0.1, 0.4])
    np.testing.assert_array_equal(part.covariances(), store.covariances())
    rows = store.select("test", ["sub-01"])[:4]
    again = part_of_store(whitened_by(store, ["sub-02"]), None, [0.1, 0.4]).read(rows)
    np.testing.assert_allclose(whitened_by(part, ["sub-02"]).read(rows), again, rtol=1e-5, atol=1e-5)


def test_the_whole_is_the_store_itself(store):
    assert part_of_store(store) is store
    assert part_of_store(store, store.info.channels, store.info.window) is store


@pytest.mark.parametrize(
    ("channels", "window", "words"),
    [
        (["Cz"], None, r"channels is \['Cz'\].*lacks Cz; it has P7, O1, Oz, O2"),
        ([], None, "asked for none"),
        (["Oz", "Oz"], None, "twice"),
        (["occipital"], None, "lacks P5"),
        (None, [0.2, 0.1], r"window is \[0.2, 0.1\].*within 0 to 0.6"),
        (None, [0.0, 0.7], "within 0 to 0.6"),
        (None, [-0.1, 0.3], "within 0 to 0.6"),
        (None, [0.1], "a start and an end"),
        (None, [0.105, 0.3], r"between samples: \[0.1, 0.3\]"),
    ],
)
def test_what_the_store_does_not_hold_is_refused(store, channels, window, words):
    with pytest.raises(InputError, match=words):
        part_of_store(store, channels, window)


def test_patterns_have_no_window(array_store):
    brain = np.random.default_rng(0).standard_normal((50, 6))
    patterns = array_store(brain=brain, channel_names=None, sampling_rate=None, unit="au")
    with pytest.raises(InputError, match="without samples in time"):
        part_of_store(patterns, None, [0.0, 0.1])
    rows = patterns.select("train")
    part = part_of_store(patterns, patterns.info.channels[:2])
    np.testing.assert_array_equal(part.read(rows), patterns.read(rows)[:, :2])
