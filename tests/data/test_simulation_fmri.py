"""Simulated visual cortex: where areas lie, what voxels answer to, and the noise around it."""

import numpy as np
import pytest

from neuroclip_hf.data.god import FACTS
from neuroclip_hf.data.simulation.cortex import AREAS, make_cortex
from neuroclip_hf.data.simulation.fmri import NOISE_PERCENT, SubjectBrain
from neuroclip_hf.data.simulation.pictures import APPEARANCE_SIZE, CODE_SIZE


def test_the_largest_number_of_voxels_has_room() -> None:
    assert len(make_cortex(30_000, np.random.default_rng(0)).places) == 30_000


def test_areas_lie_apart_and_overlap_at_their_borders() -> None:
    cortex = make_cortex(4500, np.random.default_rng(0))
    assert len({tuple(place) for place in cortex.places}) == 4500
    assert (cortex.places[:, 0] > 0).sum() == pytest.approx(2250, abs=len(AREAS))
    masks = cortex.masks
    assert set(masks) == {*FACTS.areas, *FACTS.regions}
    np.testing.assert_array_equal(masks["LVC"], masks["V1"] | masks["V2"] | masks["V3"])
    assert not (masks["HVC"] & masks["LVC"]).any()
    np.testing.assert_array_equal(masks["HVC"] | masks["LVC"] | masks["V4"], masks["VC"])
    sizes = {name: int(mask.sum()) for name, mask in masks.items()}
    assert 1.02 < sum(sizes[name] for name in FACTS.areas) / 4500 < 1.3
    assert sizes["V1"] > sizes["V4"] > sizes["LOC"] > sizes["PPA"] > 200
    assert cortex.places[masks["V1"], 1].mean() < cortex.places[masks["PPA"], 1].mean() - 30, "V1 is at the back"


def test_noise_has_its_size_and_is_shared_by_neighbours() -> None:
    brain = SubjectBrain(0, 1, 400, snr=0.0)
    runs = [brain.scan("training", run, np.zeros((20, CODE_SIZE)), imagined=False) for run in range(1, 41)]
    trials = np.concatenate([run - run.mean(axis=0) for run in runs])
    assert abs(np.corrcoef(runs[0].ravel(), runs[1].ravel())[0, 1]) < 0.9, "runs have noise of their own"
    # The gain of a trial and the drift add to the noise.
    assert NOISE_PERCENT < np.sqrt((trials**2).mean()) < 1.25 * NOISE_PERCENT
    residual = trials[1:] - trials[:-1]
    correlation = np.corrcoef(residual.T)
    distance = np.linalg.norm(brain.cortex.places[:, None] - brain.cortex.places[None], axis=2)
    near, far = correlation[distance == 3].mean(), correlation[distance > 60].mean()
    assert near > far + 0.3


def test_snr_is_the_strength_of_what_tells_pictures_apart() -> None:
    weights = SubjectBrain(0, 1, 400, snr=0.4).weights
    assert np.sqrt((weights**2).sum(axis=1).mean()) == pytest.approx(0.4 * NOISE_PERCENT)
    assert not SubjectBrain(0, 1, 400, snr=0.0).weights.any()


def test_people_differ_and_have_something_in_common() -> None:
    brains = [SubjectBrain(0, subject, 2000, snr=0.4) for subject in (1, 2)]
    found = []
    for brain in brains:
        inside = brain.cortex.homes == 0
        places = map(tuple, brain.cortex.places[inside])
        found.append(dict(zip(places, brain.weights[inside, :APPEARANCE_SIZE], strict=True)))
    common = found[0].keys() & found[1].keys()
    assert len(common) > 200
    first, second = (np.concatenate([weights[place] for place in sorted(common)]) for weights in found)
    assert 0.4 < np.corrcoef(first, second)[0, 1] < 0.9
