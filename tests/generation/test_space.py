"""Embeddings arrive in the pipeline's space with the moments of its pictures."""

import pytest
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.generation.moments import Moments, match_moments
from neuroclip_hf.generation.space import fit_space_map, to_pipeline


def drawn(count, width, seed, scale=1.0, shift=0.0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * scale + shift


def names(count, concepts):
    return [str(number % concepts) for number in range(count)]


def test_matched_embeddings_have_the_target_moments():
    brain, pictures = drawn(50, 6, 1, 0.01, 3.0), drawn(80, 6, 2, torch.arange(1.0, 7.0), -2.0)
    matched = match_moments(brain, Moments.of(brain, "brain"), Moments.of(pictures, "pictures"))
    torch.testing.assert_close(matched.mean(dim=0), pictures.mean(dim=0), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(matched.std(dim=0, correction=0), pictures.std(dim=0, correction=0))


def test_a_dimension_without_spread_becomes_the_mean():
    brain = drawn(20, 3, 1)
    brain[:, 1] = 7.0
    source, target = Moments.of(brain, "brain"), Moments.of(drawn(20, 3, 2, 2.0, 5.0), "pictures")
    matched = match_moments(drawn(9, 3, 3), source, target)  # others, which do spread there
    assert torch.equal(matched[:, 1], target.mean[1].expand(9))
    assert matched.isfinite().all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_embeddings_that_are_no_numbers_are_refused(value):
    brain, pictures = drawn(5, 4, 1), drawn(9, 4, 2)
    space, broken = fit_space_map(pictures, pictures, names(9, 3)), brain.clone()
    broken[3, 1] = value
    with pytest.raises(InputError, match=r"brain embeddings of the queries: 1 of 5 hold NaN or infinity, .* number 3"):
        to_pipeline(broken, brain, space, pictures)
    with pytest.raises(InputError, match="recordings that moments are taken from: 1 of 5 hold NaN"):
        to_pipeline(brain, broken, space, pictures)


def test_one_embedding_has_no_moments():
    with pytest.raises(InputError, match="there is 1, and a standard deviation needs at least two"):
        Moments.of(drawn(1, 4, 1), "these")


def test_the_same_tower_needs_no_map_even_if_centred_and_rounded():
    pictures = drawn(40, 8, 1)
    space = fit_space_map(pictures - 0.3 + drawn(40, 8, 2, 0.02), pictures, names(40, 10))
    assert space.kind.startswith("direct")
    assert space.likeness > 0.99
    brain = drawn(12, 8, 3, 0.2, 1.0)
    expected = match_moments(brain, Moments.of(brain, ""), Moments.of(pictures, ""))
    torch.testing.assert_close(to_pipeline(brain, brain, space, pictures), expected)


@pytest.mark.parametrize("width", [8, 11])
def test_another_tower_is_reached_by_ridge_on_training_pictures(width):
    """A brain embedding that is its picture's, scaled, arrives where the pipeline has that picture."""
    run = drawn(400, 8, 1, torch.linspace(0.5, 2.0, 8))
    turn = drawn(8, width, 2)
    pictures = run @ turn + 3.0
    space = fit_space_map(run, pictures, names(400, 40))
    assert space.kind == "ridge on training pictures"
    assert space.explained > 0.99
    new = drawn(300, 8, 3, torch.linspace(0.5, 2.0, 8))
    brain = new * torch.linspace(0.5, 0.01, 8) + 5.0  # a scale of its own in every dimension
    found = to_pipeline(brain, brain, space, pictures)
    centred = [each - each.mean(dim=0) for each in (found, new @ turn + 3.0)]
    assert torch.cosine_similarity(*centred, dim=1).mean() > 0.98


def test_towers_that_share_nothing_explain_nothing():
    space = fit_space_map(drawn(60, 5, 1), drawn(60, 7, 2), names(60, 20))
    assert space.explained < 0.05


def test_without_concepts_to_hold_out_no_map_is_made():
    with pytest.raises(
        InputError, match=r"5 wide and another than the pipeline's, which is 7 wide.*needs at least two"
    ):
        fit_space_map(drawn(6, 5, 1), drawn(6, 7, 2), ["one"] * 6)
