"""Whitening undone and replaced gives what a store prepared so would hold, up to the rounding of float16."""

import numpy as np
import pytest

from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.rewhitened import can_be_rewhitened, whitened_by
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError


@pytest.fixture(scope="module")
def by_others(simulated, tmp_path_factory):
    settings = EpochSettings(window=(0.0, 0.6), baseline=(-0.2, 0.0), sampling_rate=50.0)
    folder = tmp_path_factory.mktemp("others") / "store"
    prepare_things_eeg2(
        simulated, folder, channels=("P7", "O1", "Oz", "O2"), epochs=settings, whitening="training-subjects"
    )
    return TrialStore(folder)


@pytest.mark.parametrize(("subject", "other"), [("sub-01", "sub-02"), ("sub-02", "sub-01")])
def test_it_is_the_store_that_was_prepared_so(store, by_others, subject, other):
    made = whitened_by(store, [other])
    keys = ["split", "session", "file", "sample"]
    mine, theirs = (each.trials[each.trials["subject"] == subject].sort_values(keys) for each in (made, by_others))
    assert mine[keys].to_numpy().tolist() == theirs[keys].to_numpy().tolist()
    wanted = by_others.read(theirs.index.to_numpy())
    found = made.read(mine.index.to_numpy())
    np.testing.assert_allclose(found, wanted, atol=4e-3 * np.abs(wanted).max())
    assert np.abs(store.read(mine.index.to_numpy()) - wanted).max() > 0.1 * np.abs(wanted).max()
    means = made.read_means([mine.index[:3].to_numpy()])
    np.testing.assert_allclose(means[0], found[:3].mean(axis=0), rtol=1e-5, atol=1e-5)
    assert made.info.whitening_fit == by_others.info.whitening_fit


def test_only_stores_whitened_by_session_can_be(store, by_others, array_store):
    assert can_be_rewhitened(store)
    for other in (by_others, array_store()):
        assert not can_be_rewhitened(other)
        with pytest.raises(InputError, match="was not whitened session by session"):
            whitened_by(other, ["sub-01"])
    with pytest.raises(InputError, match="stores its trials otherwise"):
        whitened_by(store, ["sub-01"]).read_stored([0])
    with pytest.raises(InputError, match="holds no subject sub-09"):
        whitened_by(store, ["sub-09"])
