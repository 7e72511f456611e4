"""What is particular to one encoder. Sizes are derived here again, from what the sources say."""

import math

import pytest
import torch
from torch.nn import functional

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import build_encoder, encoder_config
from neuroclip_hf.models.encoders.base import TrialFacts

FOUR_SECONDS = {"num_channels": 22, "num_timesteps": 1000, "hidden_size": 4}


def count(module):
    return sum(each.numel() for each in module.parameters())


def projector(flat, width):
    """Weights of linear, linear and layer norm."""
    return flat * width + width + width * width + width + 2 * width


def reading(encoder):
    """Weights of an encoder without its projector."""
    return count(encoder) - count(encoder.projector)


def places(samples, kernel, pool, stride):
    """Counted by listing where an average can begin."""
    return len([start for start in range(0, samples, stride) if start + pool <= samples - kernel + 1])


def test_eeg_project_is_what_its_docstring_says():
    encoder = build_encoder(encoder_config("eeg_project", num_channels=3, num_timesteps=7, hidden_size=6)).eval()
    values, weights = torch.randn(2, 3, 7), encoder.state_dict()
    hidden = values.reshape(2, 21) @ weights["projector.linear.weight"].T + weights["projector.linear.bias"]
    branch = functional.gelu(hidden) @ weights["projector.block.1.weight"].T + weights["projector.block.1.bias"]
    torch.testing.assert_close(encoder(values).features, functional.layer_norm(hidden + branch, (6,)))


def test_eeg_project_has_the_weights_of_its_source():
    # UBP: 17 channels of one second at 250 Hz, to 1024.
    assert count(build_encoder(encoder_config("eeg_project"))) == projector(17 * 250, 1024)


def test_eeg_project_reads_patterns_given_as_one_sample():
    encoder = build_encoder(encoder_config("eeg_project", num_channels=40, num_timesteps=1, hidden_size=6))
    assert encoder(torch.randn(2, 40, 1)).features.shape == (2, 6)


def test_tsconv_flattens_to_1440_as_in_its_source():
    config = encoder_config("ts_conv")
    assert (config.num_channels, config.num_timesteps, config.flat_size) == (63, 250, 1440)
    assert build_encoder(config).projector.linear.in_features == 1440


def test_tsconv_has_the_weights_of_its_source():
    # NICE: Conv 1->40 (1, 25), batch norm, Conv 40->40 (63, 1), batch norm, Conv 40->40, each convolution with 40
    # biases, of which the first two are dead; then 1440 -> 768.
    source = (40 * 25 + 40) + 80 + (40 * 40 * 63 + 40) + 80 + (40 * 40 + 40)
    encoder = build_encoder(encoder_config("ts_conv", hidden_size=768))
    assert reading(encoder) == source - 40 - 40
    assert count(encoder.projector) == projector(1440, 768)


@pytest.mark.parametrize("name", ["ts_conv", "shallow_fbcsp", "eeg_conformer"])
def test_convolutions_count_their_places_as_torch_does(name):
    for samples in range(120, 150):
        config = encoder_config(name, num_channels=2, num_timesteps=samples, hidden_size=4)
        expected = places(samples, config.kernel_size, config.pool_size, config.pool_stride)
        assert (config.num_positions, config.flat_size) == (expected, 40 * expected)
        assert build_encoder(config).eval()(torch.zeros(1, 2, samples)).features.shape == (1, 4)


@pytest.mark.parametrize(
    ("name", "settings", "shortest"),
    [
        ("ts_conv", {}, 25 + 51 - 1),
        ("shallow_fbcsp", {}, 25 + 75 - 1),
        ("eeg_conformer", {}, 25 + 75 - 1 + 15),
        ("atm_s", {}, 25 + 51 - 1),
        ("eegnet", {}, 4 * 8),
        ("eegnet", {"sampling_rate": 250.0}, 8 * 8),
        ("eegnet", {"second_pool_size": 3, "pool_size": 5}, 15),
    ],
)
def test_trials_that_are_too_short_are_refused(name, settings, shortest):
    sizes = {"num_channels": 2, "hidden_size": 4, **settings}
    config = encoder_config(name, num_timesteps=shortest, **sizes)
    assert build_encoder(config).eval()(torch.zeros(1, 2, shortest)).features.shape == (1, 4)
    with pytest.raises(InputError, match=rf"num_timesteps is {shortest - 1}: {name} .*needs at least {shortest}"):
        encoder_config(name, num_timesteps=shortest - 1, **sizes)


def test_shallow_fbcsp_has_the_weights_of_its_source():
    # braindecode lists 46,084 for 22 channels, 1000 samples and 4 classes; its classifier is a convolution over 61
    # places, and the convolution over time has 40 dead biases.
    encoder = build_encoder(encoder_config("shallow_fbcsp", **FOUR_SECONDS))
    assert encoder.config.flat_size == 40 * 61
    assert reading(encoder) == 46_084 - (40 * 61 * 4 + 4) - 40
    assert count(encoder.projector) == projector(40 * 61, 4)


def test_shallow_fbcsp_sees_power():
    encoder = build_encoder(encoder_config("shallow_fbcsp", num_channels=3, num_timesteps=120, hidden_size=4)).eval()
    values = torch.randn(2, 3, 120)
    torch.testing.assert_close(encoder(-values).features, encoder(values).features)
    filtered = encoder.filters(values[:, None])[:, :, 0]  # (B, filters, samples)
    power = torch.stack([filtered[..., start : start + 75].square().mean(-1) for start in (0, 15)], dim=-1)
    torch.testing.assert_close(encoder(values).features, encoder.projector(power.clamp(min=1e-6).log().flatten(1)))


def test_eeg_conformer_has_the_weights_of_its_source():
    # braindecode lists 789,572 for 22 channels, 1000 samples and 4 classes; its head is 2440 -> 256 -> 32 -> 4. Dead
    # are the biases of two convolutions and of the keys in six layers.
    head = (2440 * 256 + 256) + (256 * 32 + 32) + (32 * 4 + 4)
    encoder = build_encoder(encoder_config("eeg_conformer", **FOUR_SECONDS))
    assert encoder.config.flat_size == 2440
    assert reading(encoder) == 789_572 - head - 2 * 40 - 6 * 40


def test_eeg_conformer_attends_as_in_its_source():
    encoder = build_encoder(encoder_config("eeg_conformer", num_channels=3, num_timesteps=200, hidden_size=4)).eval()
    attention, tokens = encoder.layers[0].attention, torch.randn(2, 7, 40)
    mixed = torch.zeros(2, 7, 40)
    for head in range(10):
        own = slice(4 * head, 4 * head + 4)
        scores = attention.queries(tokens)[..., own] @ attention.keys(tokens)[..., own].transpose(1, 2)
        mixed[..., own] = torch.softmax(scores / math.sqrt(40), dim=-1) @ attention.values(tokens)[..., own]
    torch.testing.assert_close(attention(tokens), attention.projection(mixed))


def test_eeg_conformer_refuses_heads_that_do_not_divide_its_width():
    with pytest.raises(InputError, match="num_heads is 7: it must divide num_filters, which is 40"):
        encoder_config("eeg_conformer", num_heads=7)


def test_eegnet_has_the_weights_of_its_source():
    # braindecode lists 2,484 for 22 channels, 512 samples and 4 classes, of which its classifier over 16 places of 16
    # maps has 1,028; the 16 weights of the first batch norm are dead.
    settings = {"num_channels": 22, "num_timesteps": 512, "sampling_rate": 128.0, "hidden_size": 4}
    encoder = build_encoder(encoder_config("eegnet", **settings))
    assert encoder.config.flat_size == 16 * 16
    assert reading(encoder) == 2_484 - (16 * 16 * 4 + 4) - 16


@pytest.mark.parametrize(
    ("rate", "kernel", "pool"), [(None, 64, 4), (128.0, 64, 4), (250.0, 125, 8), (1000.0, 500, 31), (1.0, 1, 1)]
)
def test_eegnet_follows_the_sampling_rate_as_its_source_wants(rate, kernel, pool):
    config = encoder_config("eegnet", num_timesteps=1000, sampling_rate=rate)
    assert (config.temporal_kernel_size, config.first_pool_size) == (kernel, pool)
    assert config.flat_size == 16 * (1000 // pool // 8)
    set_by_hand = encoder_config("eegnet", num_timesteps=1000, sampling_rate=rate, kernel_size=7, pool_size=3)
    assert (set_by_hand.temporal_kernel_size, set_by_hand.first_pool_size) == (7, 3)


@pytest.mark.parametrize("kernel", [1, 2, 7, 16])
def test_eegnet_pads_as_keras_does(kernel):
    encoder = build_encoder(encoder_config("eegnet", num_channels=2, num_timesteps=40, kernel_size=kernel))
    pad, filters = encoder.features[:2]
    values = torch.randn(1, 1, 2, 40)
    before = (kernel - 1) // 2
    expected = functional.conv2d(functional.pad(values, (before, kernel - 1 - before)), filters.weight)
    assert expected.shape[-1] == 40
    torch.testing.assert_close(filters(pad(values)), expected)


def test_eegnet_bounds_its_spatial_filters():
    encoder = build_encoder(encoder_config("eegnet", num_channels=3, num_timesteps=40, max_norm=0.5)).eval()
    filters = encoder.features[3]
    maps = torch.randn(2, 8, 3, 40)
    with torch.no_grad():
        filters.weight.copy_(torch.randn_like(filters.weight) * 5)
        filters.weight[0] *= 0.01  # within the bound: stays as it is
    rows = filters.weight.detach().reshape(16, 3)
    bounded = torch.stack([row if row.norm() <= 0.5 else 0.5 * row / row.norm() for row in rows])
    expected = torch.einsum("mc,bmct->bmt", bounded, maps.repeat_interleave(2, dim=1))[:, :, None]
    torch.testing.assert_close(filters(maps), expected)


def test_atm_s_has_the_weights_of_its_source():
    # Linear 250 -> 250; a table of 10 subjects and one shared token; one layer of 4 heads of 62 (250 // 4) and a
    # network of 256, with two layer norms; a layer norm; NICE's convolutions and 1440 -> 1024. Dead there: the biases
    # of the keys and of two convolutions. Left out: mask tokens, time features, linear layers of subjects.
    attention = 3 * (250 * 248 + 248) + (248 * 250 + 250)
    layer = attention + (250 * 256 + 256) + (256 * 250 + 250) + 2 * 2 * 250
    convolutions = (40 * 25 + 40) + 80 + (40 * 40 * 63 + 40) + 80 + (40 * 40 + 40)
    source = (250 * 250 + 250) + 10 * 250 + 250 + layer + 2 * 250 + convolutions + projector(1440, 1024)
    config = encoder_config("atm_s")
    assert config.flat_size == 1440
    assert count(build_encoder(config)) == source - 248 - 2 * 40


def test_atm_s_tokens_can_have_another_width():
    config = encoder_config("atm_s", num_channels=3, num_timesteps=30, token_size=90, num_heads=7, hidden_size=4)
    assert config.flat_size == 40 * places(90, 25, 51, 5)
    assert build_encoder(config).eval()(torch.randn(2, 3, 30)).features.shape == (2, 4)
    with pytest.raises(InputError, match=r"token_size is 74: atm_s .*at least 75"):
        encoder_config("atm_s", token_size=74)
    with pytest.raises(InputError, match="num_heads is 91, but a token has 90 numbers"):
        encoder_config("atm_s", token_size=90, num_heads=91)


@pytest.fixture
def atm_s(small):
    def make(**settings):
        return build_encoder(small("atm_s", **{"num_subjects": 3, **settings}))

    return make


def test_atm_s_knows_its_subjects_row_by_row(atm_s):
    encoder = atm_s().eval()
    values = torch.randn(1, 5, 160).expand(5, -1, -1)
    of = encoder(values, subject_index=torch.tensor([0, 1, 2, -1, 1])).features
    unknown = encoder(values).features[0]
    torch.testing.assert_close(of[3], unknown)
    torch.testing.assert_close(of[1], of[4])
    for row in range(3):
        assert (of[row] - of[(row + 1) % 3]).abs().max() > 1e-4
        assert (of[row] - unknown).abs().max() > 1e-4


@pytest.mark.parametrize("place", [3, 99, -2])
def test_atm_s_refuses_a_subject_beyond_its_list(atm_s, place):
    with pytest.raises(InputError, match=f"subject_index names subject {place}: there are 3, from 0 to 2, and -1"):
        atm_s()(torch.randn(2, 5, 160), subject_index=torch.tensor([0, place]))


def test_atm_s_trains_the_unknown_token_by_dropout(atm_s):
    for dropout, learns in ((0.0, False), (0.5, True)):
        encoder = atm_s(subject_dropout=dropout).train()
        encoder(torch.randn(64, 5, 160), subject_index=torch.arange(64) % 3).features[:, 0].sum().backward()
        gradient = encoder.subjects.tokens.weight.grad.abs().amax(dim=1)
        assert (gradient[:3] > 1e-8).all()
        assert (gradient[3] > 1e-8) == learns


def test_atm_s_drops_as_many_subjects_as_it_says(atm_s):
    subjects = atm_s(subject_dropout=0.3).train().subjects
    given = torch.zeros(4000, dtype=torch.int64)
    unknown = (subjects(given, 4000)[:, 0] == subjects.tokens.weight[3]).all(dim=1)
    assert unknown.float().mean().item() == pytest.approx(0.3, abs=0.03)
    subjects.eval()
    assert torch.equal(subjects(given, 4000)[:, 0], subjects.tokens.weight[0].expand(4000, -1))


def test_atm_s_reads_every_channel_itself(atm_s):
    encoder = atm_s().eval()
    encoder.layers = torch.nn.Identity()  # now no channel is seen through another
    values = torch.randn(1, 5, 160, requires_grad=True)
    encoder(values).features[0, 0].backward()
    assert (values.grad[0].abs().amax(dim=1) > 1e-8).all()


def test_atm_s_without_subjects_has_one_token(atm_s):
    encoder = atm_s(num_subjects=0).eval()
    assert encoder.subjects.tokens.weight.shape == (1, 160)
    values = torch.randn(2, 5, 160)
    assert torch.equal(encoder(values, subject_index=torch.tensor([0, 4])).features, encoder(values).features)


def test_atm_s_takes_its_number_of_subjects_from_the_trials():
    config_class = type(encoder_config("atm_s"))
    trials = TrialFacts((5, 160), 250.0, list("abcde"), 4)
    assert config_class.sizes(trials)["num_subjects"] == 4
    assert "num_subjects" not in type(encoder_config("ts_conv")).sizes(trials)
