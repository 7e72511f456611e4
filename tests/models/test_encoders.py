"""What is particular to one encoder."""

import pytest
import torch
from torch.nn import functional

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import build_encoder, encoder_config


def test_tsconv_flattens_to_1440_as_in_its_source():
    config = encoder_config("ts_conv")
    assert (config.num_channels, config.num_timesteps, config.flat_size) == (63, 250, 1440)
    assert build_encoder(config).projector.linear.in_features == 1440


def test_tsconv_counts_its_positions_as_torch_does():
    for samples in range(75, 100):
        config = encoder_config("ts_conv", num_channels=2, num_timesteps=samples, hidden_size=4)
        assert build_encoder(config).eval()(torch.zeros(1, 2, samples)).features.shape == (1, 4)


def test_tsconv_refuses_trials_that_are_too_short():
    with pytest.raises(InputError, match=r"num_timesteps is 74.*at least 75 samples"):
        encoder_config("ts_conv", num_timesteps=74)


def test_eeg_project_is_what_its_docstring_says():
    encoder = build_encoder(encoder_config("eeg_project", num_channels=3, num_timesteps=7, hidden_size=6)).eval()
    values, weights = torch.randn(2, 3, 7), encoder.state_dict()
    hidden = values.reshape(2, 21) @ weights["projector.linear.weight"].T + weights["projector.linear.bias"]
    branch = functional.gelu(hidden) @ weights["projector.block.1.weight"].T + weights["projector.block.1.bias"]
    torch.testing.assert_close(encoder(values).features, functional.layer_norm(hidden + branch, (6,)))


def test_eeg_project_reads_voxel_patterns():
    encoder = build_encoder(encoder_config("eeg_project", num_channels=40, num_timesteps=1, hidden_size=6))
    assert encoder(torch.randn(2, 40, 1)).features.shape == (2, 6)
