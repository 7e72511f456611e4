"""The contract that every encoder of the registry keeps."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import ENCODERS, build_encoder, encoder_config, encoders
from neuroclip_hf.models.encoders.base import EEGEncoderConfig

SIZES = [(5, 100), (17, 128)]


@pytest.fixture(params=list(ENCODERS))
def name(request):
    return request.param


def small(name, channels=5, samples=100, **settings):
    return encoder_config(name, num_channels=channels, num_timesteps=samples, hidden_size=12, **settings)


def test_every_folder_is_in_the_registry():
    folders = {path.parent.name for path in Path(encoders.__path__[0]).glob("*/__init__.py")}
    assert folders == set(ENCODERS)


def test_names_agree(name):
    config_class, model_class = ENCODERS[name]
    assert config_class.model_type == name
    assert model_class.config_class is config_class
    assert AutoConfig.for_model(name) == config_class()
    assert type(AutoModel.from_config(small(name))) is model_class


@pytest.mark.parametrize(("channels", "samples"), SIZES)
def test_shapes_follow_the_config(name, channels, samples):
    encoder = build_encoder(small(name, channels, samples)).eval()
    features = encoder(torch.randn(3, channels, samples)).features
    assert features.shape == (3, 12)
    assert features.isfinite().all()


def test_the_default_config_builds(name):
    config = encoder_config(name)
    features = build_encoder(config).eval()(torch.randn(2, config.num_channels, config.num_timesteps)).features
    assert features.shape == (2, config.hidden_size)


def test_rows_are_independent_in_evaluation(name):
    encoder, values = build_encoder(small(name)).eval(), torch.randn(4, 5, 100)
    torch.testing.assert_close(encoder(values).features[1:2], encoder(values[1:2]).features, rtol=1e-4, atol=1e-5)


def test_stored_half_precision_can_be_read(name):
    encoder, values = build_encoder(small(name)).eval(), torch.randn(2, 5, 100).half()
    assert torch.equal(encoder(values).features, encoder(values.float()).features)


def test_the_base_class_is_the_one_of_the_config(name):
    assert issubclass(ENCODERS[name][0], EEGEncoderConfig) == (ENCODERS[name][1].main_input_name == "eeg_values")


@pytest.mark.parametrize("shape", [(2, 4, 100), (2, 5, 99), (5, 100)])
def test_other_shapes_are_refused_by_name(name, shape):
    with pytest.raises(InputError, match=r"eeg_values is .*5 channels.*100 samples"):
        build_encoder(small(name))(torch.zeros(shape))


def test_gradients_reach_every_weight(name):
    encoder = build_encoder(small(name)).train()
    (encoder(torch.randn(8, 5, 100)).features @ torch.randn(12, 3)).square().sum().backward()
    dead = [key for key, each in encoder.named_parameters() if each.grad is None or each.grad.abs().max() < 1e-5]
    assert dead == []


def test_saved_and_loaded_to_the_bit(name, tmp_path):
    encoder, values = build_encoder(small(name, sampling_rate=250.0)), torch.randn(2, 5, 100)
    encoder.train()(values)  # so that running statistics have moved
    encoder.eval().save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(values).features, encoder(values).features)
    assert loaded.config.sampling_rate == 250.0


def test_the_seed_decides_the_start_weights_however_they_are_made(name):
    torch.manual_seed(3)
    first = build_encoder(small(name))
    torch.manual_seed(3)
    second = build_encoder(small(name))
    # A checkpoint that holds no weight of the encoder: all are drawn on loading.
    torch.manual_seed(3)
    loaded = type(first).from_pretrained(None, config=first.config, state_dict={})
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
        assert torch.equal(value, loaded.state_dict()[key]), key


def test_start_weights_are_torchs_own(name):
    for module in build_encoder(small(name)).modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            bound = module.weight[0].numel() ** -0.5
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.25)


def test_unknown_settings_are_refused(name):
    with pytest.raises(InputError, match=r"no setting hiden_size: .*hidden_size"):
        small(name, hiden_size=3)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"num_channels": 0}, "num_channels is 0"),
        ({"num_timesteps": 99.5}, "num_timesteps is 99.5"),
        ({"hidden_size": "wide"}, "hidden_size is 'wide'"),
        ({"sampling_rate": 0}, "sampling_rate is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"channel_names": ["Oz"]}, "channel_names has 1 names"),
        ({"num_channels": 2, "channel_names": ["Oz", "Oz"]}, "Oz more than once"),
    ],
)
def test_impossible_values_are_refused_by_name(name, settings, named):
    with pytest.raises(InputError, match=named):
        encoder_config(name, **settings)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(InputError, match=r"no encoder 'eegnet2': choose one of eeg_project"):
        encoder_config("eegnet2")
