"""The squared distance from weighted directions, against numbers known by hand."""

import torch

from neuroclip_hf.losses import squared_distance, weighted_directions


def test_directions_are_of_length_one_and_weighted():
    image, text = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    torch.testing.assert_close(weighted_directions([(image, 1.0)]), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(weighted_directions([(image, 3.0), (text, 1.0)]), torch.tensor([[0.45, 0.85]]))


def test_distances_are_summed_over_the_width():
    embeds, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.6, 0.8]])
    assert squared_distance(embeds, targets).tolist() == [5.0, 1.0]
    assert squared_distance(embeds.bfloat16(), targets).dtype == torch.float32
    assert squared_distance(embeds.double(), targets).dtype == torch.float64
