"""One pattern a trial: what nilearn's own model gives, and trials that cannot be told apart."""

import numpy as np
import pandas as pd
import pytest

from neuroclip_hf.data.responses import METHODS, ResponseSettings, estimate_responses
from neuroclip_hf.errors import InputError

pytest.importorskip("nilearn", reason="the extra fmri brings it")

TR, VOLUMES, VOXELS = 2.0, 80, 6
ONSETS = [5.0 + 17.0 * trial for trial in range(8)]


@pytest.fixture
def volumes():
    return 300 + np.random.default_rng(0).normal(0, 3, (VOLUMES, VOXELS))


def estimate(volumes, onsets=ONSETS, confounds=None, **settings):
    return estimate_responses(volumes, onsets, [1.0] * len(onsets), TR, ResponseSettings(**settings), confounds)


@pytest.mark.filterwarnings("ignore:.*Generation of a mask has been requested:RuntimeWarning")  # nilearn's, of itself
@pytest.mark.parametrize(("method", "other"), [("lsa", None), ("lss", "rest")])
def test_weights_are_those_of_nilearns_model(volumes, method, other):
    import nibabel
    from nilearn.glm.first_level import FirstLevelModel

    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    image = nibabel.Nifti1Image(volumes.T.reshape(VOXELS, 1, 1, VOLUMES), affine)
    mask = nibabel.Nifti1Image(np.ones((VOXELS, 1, 1), dtype=np.uint8), affine)
    found = estimate(volumes, method=method, hrf="glover")
    for trial in (0, 3, 7):
        kinds = [f"trial{number}" if other is None or number == trial else other for number in range(len(ONSETS))]
        events = pd.DataFrame({"onset": ONSETS, "duration": 1.0, "trial_type": kinds})
        model = FirstLevelModel(
            t_r=TR, hrf_model="glover", high_pass=0.01, noise_model="ols", mask_img=mask, signal_scaling=0
        )
        effect = model.fit(image, events).compute_contrast(f"trial{trial}", output_type="effect_size")
        np.testing.assert_allclose(found[trial], np.asarray(effect.dataobj).ravel(), rtol=1e-4, atol=1e-4)


def test_a_mean_is_that_of_the_volumes_in_the_window(volumes):
    found = estimate(volumes, method="mean", high_pass=0, window=(4.0, 8.0), percent=False)
    for trial, onset in enumerate(ONSETS):
        inside = [volume for volume in range(VOLUMES) if onset + 4 <= volume * TR <= onset + 8]
        assert len(inside) in (2, 3)
        np.testing.assert_allclose(found[trial], volumes[inside].mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize("method", ["lsa", "mean"])
def test_percent_make_voxels_of_any_size_alike_and_drifts_do_not_matter(volumes, method):
    once = estimate(volumes, method=method)
    np.testing.assert_allclose(estimate(7 * volumes, method=method), once, rtol=1e-6, atol=1e-8)
    scan = np.arange(VOLUMES)
    drift = np.cos(np.pi * (2 * scan + 1) / (2 * VOLUMES))[:, None]  # the slowest of nilearn's
    np.testing.assert_allclose(estimate(volumes + 20 * drift, method=method), once, rtol=1e-6, atol=1e-6)


def test_confounds_are_taken_out(volumes):
    confound = np.random.default_rng(1).standard_normal((VOLUMES, 1))
    spoilt = volumes + 30 * (confound - confound.mean())
    once = estimate(volumes, confounds=confound)
    np.testing.assert_allclose(estimate(spoilt, confounds=confound), once, atol=1e-6)
    assert np.abs(estimate(spoilt) - once).max() > 1


def test_voxels_without_numbers_give_none(volumes):
    volumes[3, 1] = np.nan
    volumes[:, 4] -= 600  # of a mean below zero there are no percent
    found = estimate(volumes)
    assert np.isnan(found[:, [1, 4]]).all()
    assert np.isfinite(found[:, [0, 2, 3, 5]]).all()


@pytest.mark.parametrize("method", ["lsa", "lss", "mean"])
def test_a_trial_outside_the_scan_is_named(volumes, method):
    with pytest.raises(
        InputError, match=r"the run: trial 2 begins at 160 s, and the scan lasts from 0 to 160 s.*--tr"
    ):
        estimate(volumes, [5.0, 9.0, 160.0], method=method)
    if method == "mean":
        with pytest.raises(InputError, match=r"the scan ends at 160 s, before 8 s after trial 1 \(155 s\)"):
            estimate(volumes, [5.0, 155.0], method=method)


def test_trials_that_cannot_be_told_apart_are_refused(volumes):
    close = [20.0 + 0.5 * trial for trial in range(90)]
    with pytest.raises(InputError, match=r"90 trials in 80 volumes .*--method lss or mean"):
        estimate(volumes, close)
    assert estimate(volumes, close, method="lss").shape == (90, VOXELS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "glmsingle"}, f"method is 'glmsingle': choose one of {', '.join(METHODS)}"),
        ({"hrf": "fir"}, "hrf is 'fir': choose one of spm, glover"),
        ({"high_pass": -0.1}, "high_pass is -0.1"),
        ({"window": (8.0, 4.0)}, r"the window after the onset \(--delay\) is 8 to 4 s"),
        ({"tr": 0.0}, "tr is 0.0: it must be above zero"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ResponseSettings(**settings)
