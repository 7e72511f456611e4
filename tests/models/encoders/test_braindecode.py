"""Models of braindecode as encoders, with a stand-in for the package."""

import json
import sys
from types import ModuleType

import pytest
import torch
from transformers import AutoConfig, AutoModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel, build_encoder, encoder_config

SIZES = {"num_channels": 5, "num_timesteps": 160, "hidden_size": 12}


def test_the_model_is_made_with_the_sizes_of_trials_and_features(braindecode):
    config = encoder_config("braindecode:StandIn", **SIZES, sampling_rate=200.0, model_settings={"n_filters": 4})
    model = build_encoder(config).model
    assert (model.filters.in_channels, model.filters.out_channels, model.sfreq) == (5, 4, 200.0)
    assert (model.final_layer.in_features, model.final_layer.out_features) == (4 * 19, 12)


def test_features_are_what_the_model_returns(braindecode):
    encoder = build_encoder(encoder_config("braindecode:StandIn", **SIZES)).eval()
    values = torch.randn(3, 5, 160)
    assert torch.equal(encoder(values).features, encoder.model(values))


def test_start_weights_are_those_of_the_class(braindecode):
    torch.manual_seed(1)
    alone = braindecode.StandIn(n_chans=5, n_outputs=12, n_times=160)
    torch.manual_seed(1)
    encoder = build_encoder(encoder_config("braindecode:StandIn", **SIZES))
    for key, value in alone.state_dict().items():
        assert torch.equal(encoder.model.state_dict()[key], value), key
    assert torch.equal(encoder.model.window, alone.window)


def test_it_keeps_its_start_weights_inside_the_whole_model(braindecode, make_config):
    model = NeuroCLIPModel(make_config(encoder_config={"model_type": "braindecode:StandIn", **SIZES}))
    assert torch.equal(model.encoder.model.final_layer.bias, torch.full((12,), 0.5))
    assert model.config.encoder_config.model_class == "StandIn"


def test_the_class_is_in_the_saved_config(braindecode, tmp_path):
    encoder = build_encoder(encoder_config("braindecode:StandIn", **SIZES, model_settings={"n_filters": 4})).eval()
    encoder.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["model_type"], written["model_class"]) == ("braindecode", "StandIn")
    assert written["model_settings"] == {"n_filters": 4}
    assert AutoConfig.from_pretrained(tmp_path).model_class == "StandIn"
    loaded = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.model.window, encoder.model.window)  # which the checkpoint does not hold
    values = torch.randn(2, 5, 160)
    assert torch.equal(loaded(values).features, encoder(values).features)


def test_loading_draws_what_is_missing_and_keeps_the_rest(braindecode, tmp_path):
    encoder = build_encoder(encoder_config("braindecode:StandIn", **SIZES))
    weights = {key: value + 1 for key, value in encoder.state_dict().items() if "final_layer" not in key}
    loaded = type(encoder).from_pretrained(None, config=encoder.config, state_dict=weights)
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in weights.items())
    assert torch.equal(loaded.model.final_layer.bias, torch.full((12,), 0.5))


def test_a_missing_braindecode_is_said_with_the_way_to_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "braindecode", None)
    with pytest.raises(InputError, match=r"braindecode:EEGNeX needs braindecode.*pip install braindecode"):
        build_encoder(encoder_config("braindecode:EEGNeX", **SIZES))


def test_a_config_can_be_read_where_braindecode_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "braindecode", None)
    encoder_config("braindecode:EEGNeX", **SIZES).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).model_class == "EEGNeX"


@pytest.mark.parametrize("wrong", ["os.system", "braindecode.models.StandIn", "_Hidden", "", "a-b", "__class__"])
def test_anything_but_a_bare_name_is_refused(braindecode, wrong):
    with pytest.raises(InputError, match=rf"model_class is '{wrong}': it must be the bare name of a class"):
        encoder_config(f"braindecode:{wrong}", **SIZES)


@pytest.mark.parametrize("wrong", ["nn", "np", "build", "Linear", "EEGModuleMixin", "Unknown"])
def test_only_model_classes_of_braindecode_can_be_named(braindecode, wrong):
    config = encoder_config(f"braindecode:{wrong}", **SIZES)
    with pytest.raises(InputError, match=rf"no model class '{wrong}': choose one of StandIn, TwoOutputs\.$"):
        build_encoder(config)


def test_a_class_of_a_package_with_a_similar_name_is_refused(braindecode, monkeypatch):
    braindecode.Impostor = type("Impostor", (torch.nn.Module,), {"__module__": "braindecode.models_of_others"})
    with pytest.raises(InputError, match="no model class 'Impostor'"):
        build_encoder(encoder_config("braindecode:Impostor", **SIZES))


def test_no_class_is_refused():
    with pytest.raises(InputError, match=r"model_class is missing: .*braindecode:EEGNeX"):
        build_encoder(encoder_config("braindecode", **SIZES))


def test_two_classes_are_refused(braindecode):
    with pytest.raises(InputError, match="the encoder is braindecode:StandIn, but model_class is 'TwoOutputs'"):
        encoder_config("braindecode:StandIn", model_class="TwoOutputs")
    assert encoder_config("braindecode", model_class="StandIn") == encoder_config("braindecode:StandIn")


@pytest.mark.parametrize("key", ["n_chans", "n_times", "n_outputs", "sfreq", "chs_info", "input_window_seconds"])
def test_sizes_cannot_be_set_twice(braindecode, key):
    with pytest.raises(InputError, match=rf"model_settings\.{key} follows from the sizes"):
        encoder_config("braindecode:StandIn", **SIZES, model_settings={key: 3})


@pytest.mark.parametrize("value", ["torch.nn.ELU", "max", {"a": 1}, [1, "os"], float("nan"), torch.nn.ELU])
def test_settings_that_could_be_imported_are_refused(braindecode, value):
    with pytest.raises(InputError, match=r"model_settings\.activation is .*must be a number"):
        encoder_config("braindecode:StandIn", **SIZES, model_settings={"activation": value})


@pytest.mark.parametrize(("settings", "said"), [({"depth": 3}, "depth"), ({"n_filters": -1}, "n_filters=-1")])
def test_what_the_class_refuses_is_said_with_the_arguments(braindecode, settings, said):
    config = encoder_config("braindecode:StandIn", **SIZES, model_settings=settings)
    with pytest.raises(InputError, match=rf"braindecode:StandIn cannot be made with n_chans=5.*{said}"):
        build_encoder(config)


def test_a_trial_that_is_too_short_is_said(braindecode):
    config = encoder_config("braindecode:StandIn", num_channels=5, num_timesteps=4, hidden_size=12)
    with pytest.raises(InputError, match="cannot be made with n_chans=5, n_times=4"):
        build_encoder(config)


def test_outputs_of_another_shape_are_refused(braindecode):
    encoder = build_encoder(encoder_config("braindecode:TwoOutputs", **SIZES))
    with pytest.raises(InputError, match=r"braindecode:TwoOutputs returns \(3, 2, 12\) where .*\(3, 12\), is wanted"):
        encoder(torch.randn(3, 5, 160))


def test_dead_weights_must_exist(braindecode):
    config = encoder_config("braindecode:StandIn", **SIZES, dead_weights=["filters.bias", "filters.bais"])
    with pytest.raises(InputError, match=r"dead_weights has filters\.bais: StandIn has no such parameter"):
        build_encoder(config)


def test_a_broken_torchaudio_is_said(monkeypatch, tmp_path):
    package = ModuleType("braindecode")
    package.__path__ = [str(tmp_path)]
    (tmp_path / "models.py").write_text("raise OSError('libtorchaudio.so: undefined symbol')")
    monkeypatch.setitem(sys.modules, "braindecode", package)
    with pytest.raises(InputError, match=r"cannot be imported \(libtorchaudio.so: undefined symbol\): pip install"):
        build_encoder(encoder_config("braindecode:EEGNeX", **SIZES))
