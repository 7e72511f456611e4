"""The contract that every encoder of the registry keeps."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import ENCODERS, NeuroCLIPConfig, NeuroCLIPModel, build_encoder, encoder_config, encoders
from neuroclip_hf.models.encoders.base import BrainEncoder, BrainEncoderConfig, EEGEncoderConfig, TrialFacts
from neuroclip_hf.models.encoders.pattern import PatternEncoderConfig
from neuroclip_hf.models.registry import encoder_config_class

ROWS, WIDTH = 4, 12
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
# Gradients below this share of the largest one are rounding, not learning.
DEAD = 1e-6


def values_for(encoder, rows=ROWS, **options):
    return torch.randn(rows, *encoder.config.trial_shape, **options)


def subjects(rows=ROWS):
    return torch.arange(rows) % 11 - 1  # from -1, for one that was not trained on, to the last of ten


def test_every_folder_is_in_the_registry():
    # and thereby in these tests, which run over the registry
    folders = {path.parent.name for path in Path(encoders.__path__[0]).glob("*/__init__.py")}
    assert folders == set(ENCODERS)


def test_names_agree(name, small):
    key = name.partition(":")[0]
    config_class, model_class = ENCODERS[key]
    assert encoder_config_class(name) is config_class
    assert config_class.model_type == key
    assert model_class.config_class is config_class
    assert AutoConfig.for_model(key) == config_class()
    assert type(AutoModel.from_config(small(name))) is model_class


def test_classes_are_those_of_the_input(name):
    config_class, model_class = ENCODERS[name.partition(":")[0]]
    assert issubclass(config_class, EEGEncoderConfig) == (model_class.main_input_name == "eeg_values")
    assert issubclass(config_class, PatternEncoderConfig) == (model_class.main_input_name == "fmri_values")
    assert list(inspect.signature(model_class.forward).parameters) == [
        "self",
        model_class.main_input_name,
        "subject_index",
    ]


@pytest.mark.parametrize("heading", ["Source:", "Shapes:", "Units:", "Differences from the source:"])
def test_docstrings_say_what_an_encoder_is(name, heading):
    paragraphs = inspect.getdoc(ENCODERS[name.partition(":")[0]][1]).split("\n\n")
    said = [each for each in paragraphs if each.startswith(heading)]
    assert len(said) == 1
    assert len(said[0]) > len(heading) + 20


def test_docstrings_name_every_setting(name):
    config_class = ENCODERS[name.partition(":")[0]][0]
    said = " ".join(inspect.getdoc(each) for each in config_class.__mro__ if issubclass(each, BrainEncoderConfig))
    missing = [each for each in config_class().to_dict() if each in vars_of(config_class) and f"{each} (`" not in said]
    assert missing == []


def vars_of(config_class):
    mine = [each for each in config_class.__mro__ if issubclass(each, BrainEncoderConfig)]
    return {key for each in mine for key in vars(each).get("__annotations__", {})}


@pytest.mark.parametrize(("channels", "samples"), [(1, 130), (5, 160), (17, 251), (64, 300)])
def test_shapes_follow_the_config(name, small, patterns_are_read, channels, samples):
    trials = {"num_channels": channels, "num_timesteps": samples}
    encoder = build_encoder(small(name, **({"num_voxels": samples} if patterns_are_read else trials))).eval()
    features = encoder(values_for(encoder), subject_index=subjects()).features
    assert features.shape == (ROWS, WIDTH)
    assert features.isfinite().all()


def test_penalties_are_those_that_have_weights(name, small):
    encoder = build_encoder(small(name)).train()
    found = encoder(values_for(encoder), subject_index=subjects()).penalties or {}
    assert set(found) == set(encoder.config.penalty_weights)
    assert all(each.shape == (ROWS,) for each in found.values())


def test_the_default_sizes_build(name):
    config = encoder_config(name)
    features = build_encoder(config).eval()(torch.randn(2, *config.trial_shape)).features
    assert features.shape == (2, config.hidden_size)


def test_patterns_say_the_sizes(name, patterns_are_read):
    if patterns_are_read:
        facts = TrialFacts((7,), None, [f"v{place}" for place in range(7)], 3, {"V1": [0, 1], "VC": range(5)})
        sizes = encoder_config_class(name).sizes(facts)
        config = encoder_config(name, **sizes, hidden_size=WIDTH)
        assert config.trial_shape == (7,)
        assert build_encoder(config).eval()(torch.randn(2, 7)).features.shape == (2, WIDTH)


def test_trials_say_the_sizes(name, patterns_are_read):
    if patterns_are_read:
        return
    channels = [f"E{place}" for place in range(7)]
    sizes = encoder_config_class(name).sizes(TrialFacts((7, 200), 200.0, channels, 3))
    config = encoder_config(name, **sizes, hidden_size=WIDTH)
    assert config.trial_shape == (7, 200)
    assert (config.sampling_rate, config.channel_names) == (200.0, channels)
    assert build_encoder(config).eval()(torch.randn(2, 7, 200)).features.shape == (2, WIDTH)


def test_patterns_are_refused_by_encoders_of_trials_and_the_other_way_round(name, patterns_are_read):
    if patterns_are_read:
        with pytest.raises(InputError, match=r"reads patterns of \(voxels,\).*\(channels, samples\), 3 x 9"):
            encoder_config_class(name).sizes(TrialFacts((3, 9), 100.0, ["a", "b", "c"], 1))
        return
    with pytest.raises(InputError, match=r"reads trials of \(channels, samples\).*9 voxels"):
        encoder_config_class(name).sizes(TrialFacts((9,), None, [f"v{place}" for place in range(9)], 1))


def test_evaluation_repeats_itself_and_training_does_not(name, small):
    encoder = build_encoder(small(name))
    values = values_for(encoder)
    encoder.eval()
    assert torch.equal(encoder(values).features, encoder(values).features)
    drops = any(isinstance(each, torch.nn.Dropout) and each.p > 0 for each in encoder.modules())
    if drops or name == "vae_map":
        encoder.train()
        assert not torch.equal(encoder(values).features, encoder(values).features)


def test_rows_are_independent_in_evaluation(name, small):
    encoder = build_encoder(small(name)).double().eval()
    values = values_for(encoder, dtype=torch.float64)
    together = encoder(values, subject_index=subjects()).features
    for row in range(ROWS):
        alone = encoder(values[row : row + 1], subject_index=subjects()[row : row + 1]).features
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-12, atol=1e-12)
    other = values.clone()
    other[0] = 1e3 * torch.randn_like(other[0])
    torch.testing.assert_close(together[1:], encoder(other, subject_index=subjects()).features[1:])


def test_no_rows_give_no_features(name, small):
    encoder = build_encoder(small(name)).eval()
    empty = encoder(values_for(encoder, rows=0), subject_index=subjects(0)).features
    assert empty.shape == (0, WIDTH)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-4), (torch.bfloat16, 0.15)])
def test_other_types_of_number(name, small, dtype, tolerance):
    encoder = build_encoder(small(name)).eval()
    values = values_for(encoder)
    before = encoder(values).features
    after = encoder.to(dtype)(values.to(dtype)).features
    assert after.dtype == dtype
    assert (after.float() - before).norm() < tolerance * before.norm()


def test_stored_half_precision_can_be_read(name, small):
    encoder = build_encoder(small(name)).eval()
    values = values_for(encoder).half()
    assert torch.equal(encoder(values).features, encoder(values.float()).features)


@pytest.mark.parametrize("shape", [(2, 4, 160), (2, 5, 159), (5, 160), (2, 1, 5, 160), (30,), (2, 29), (2, 1, 30)])
def test_other_shapes_are_refused_by_name(name, small, patterns_are_read, shape):
    said = "fmri_values is .*30 voxels" if patterns_are_read else r"eeg_values is .*5 channels.*160 samples"
    with pytest.raises(InputError, match=said):
        build_encoder(small(name))(torch.zeros(shape))


def test_other_kinds_of_number_are_refused(name, small):
    encoder = build_encoder(small(name))
    values = torch.zeros(2, *encoder.config.trial_shape)
    with pytest.raises(InputError, match=r"_values is torch.int16: it must be a floating type"):
        encoder(values.to(torch.int16))
    for wrong in (torch.zeros(3, dtype=torch.int64), torch.zeros(2), torch.zeros(2, 1, dtype=torch.int64)):
        with pytest.raises(InputError, match=r"subject_index is torch.*must be whole numbers of \(2,\)"):
            encoder(values, subject_index=wrong)


def test_gradients_reach_every_weight_but_those_declared_dead(name, small):
    encoder = build_encoder(small(name)).double().train()
    if encoder.closed_form:
        assert not any(each.requires_grad for each in encoder.parameters())
        assert set(encoder.dead_weights) == {key for key, _ in encoder.named_parameters()}
        return
    values = values_for(encoder, rows=16, dtype=torch.float64)
    weights = torch.randn(16, WIDTH, dtype=torch.float64)
    encoded = encoder(values, subject_index=subjects(16))
    penalties = [each.sum() for each in (encoded.penalties or {}).values()]
    ((encoded.features * weights).sum() + sum(penalties)).backward()
    gradients = {key: torch.zeros(1) if each.grad is None else each.grad for key, each in encoder.named_parameters()}
    sizes = {key: float(each.abs().max()) for key, each in gradients.items()}
    dead = {key for key, size in sizes.items() if size < DEAD * max(sizes.values())}
    assert dead == set(encoder.dead_weights)


def test_only_wrapped_models_and_closed_forms_may_have_dead_weights(name, small):
    if not (name.startswith("braindecode:") or build_encoder(small(name)).closed_form):
        assert ENCODERS[name][1].dead_weights is BrainEncoder.dead_weights


def test_saved_and_loaded_to_the_bit(name, small, patterns_are_read, tmp_path):
    more = {"sampling_rate": 250.0, "channel_names": ["Oz", "O1", "O2", "Pz", "Cz"]}
    encoder = build_encoder(small(name, **({} if patterns_are_read else more)))
    values = values_for(encoder)
    encoder.train()(values, subject_index=subjects())  # so that running statistics have moved
    encoder.eval().save_pretrained(tmp_path)
    before = torch.get_rng_state()
    loaded = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert type(loaded) is type(encoder)
    assert loaded.config.to_dict() == {**encoder.config.to_dict(), "_name_or_path": loaded.config._name_or_path}
    assert loaded.state_dict().keys() == encoder.state_dict().keys()
    for key, value in encoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    expected = encoder(values, subject_index=subjects()).features
    assert torch.equal(loaded(values, subject_index=subjects()).features, expected)


def test_the_seed_decides_the_start_weights_however_they_are_made(name, small):
    torch.manual_seed(3)
    first = build_encoder(small(name))
    torch.manual_seed(3)
    second = build_encoder(small(name))
    # A checkpoint that holds no weight of the encoder: all are drawn on loading.
    torch.manual_seed(3)
    loaded = type(first).from_pretrained(None, config=first.config, state_dict={})
    other = build_encoder(small(name))
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
        assert torch.equal(value, loaded.state_dict()[key]), key
    assert not all(torch.equal(value, other.state_dict()[key]) for key, value in first.state_dict().items())


def test_start_weights_are_torchs_own(name, small):
    if name.startswith("braindecode:"):
        return  # keeps those of its class, which its own tests look at
    encoder = build_encoder(small(name))
    scale = getattr(encoder.config, "start_scale", 1.0)  # of an encoder that says why its weights start smaller
    for module in encoder.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            bound = scale * module.weight[0].numel() ** -0.5
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.25)
        elif isinstance(module, torch.nn.Embedding):
            assert module.weight.std().item() == pytest.approx(1, rel=0.1)


def test_it_compiles_without_a_break(name, small):
    encoder = build_encoder(small(name)).eval()
    values, places = values_for(encoder), subjects()
    torch._dynamo.reset()
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    expected = encoder(values, subject_index=places).features
    assert torch.equal(compiled(values, subject_index=places).features, expected)


def test_unknown_settings_are_refused(name, small):
    with pytest.raises(InputError, match=r"no setting hiden_size: .*hidden_size"):
        small(name, hiden_size=3)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"num_channels": 0}, "num_channels is 0"),
        ({"num_timesteps": 99.5}, "num_timesteps is 99.5"),
        ({"num_timesteps": True}, "num_timesteps is True"),
        ({"hidden_size": "wide"}, "hidden_size is 'wide'"),
        ({"sampling_rate": 0}, "sampling_rate is 0"),
        ({"sampling_rate": "fast"}, "sampling_rate is 'fast'"),
        ({"channel_names": ["Oz"]}, "channel_names has 1 names"),
        ({"num_channels": 2, "channel_names": "Oz"}, "channel_names is 'Oz'"),
        ({"num_channels": 2, "channel_names": ["Oz", 3]}, r"channel_names is \['Oz', 3\]"),
        ({"num_channels": 2, "channel_names": ["Oz", "Oz"]}, "Oz more than once"),
    ],
)
def test_impossible_values_are_refused_by_name(name, patterns_are_read, settings, named):
    if patterns_are_read and "hidden_size" not in settings:
        return
    with pytest.raises(InputError, match=named):
        encoder_config(name, **settings)


@pytest.mark.parametrize("wrong", [0, 2.5, True, "many"])
def test_impossible_numbers_of_voxels_are_refused(name, patterns_are_read, wrong):
    if patterns_are_read:
        with pytest.raises(InputError, match=f"num_voxels is {wrong!r}"):
            encoder_config(name, num_voxels=wrong)


def test_every_other_setting_refuses_nonsense(name):
    config_class = encoder_config_class(name)
    shared = vars_of(EEGEncoderConfig) | vars_of(PatternEncoderConfig)
    for setting in vars_of(config_class) - shared:
        for wrong in (-1, [["x"]]):
            with pytest.raises(InputError, match=re.escape(f"{setting} is {wrong!r}")):
                config_class(**{setting: wrong})


def test_a_value_made_impossible_later_is_refused_in_building(name, small):
    config = small(name)
    config.hidden_size = 0
    with pytest.raises(InputError, match="hidden_size is 0"):
        build_encoder(config)


@pytest.mark.parametrize("wrong", ["eegnet2", "eegnet:EEGNeX", ""])
def test_an_unknown_encoder_is_refused(wrong):
    with pytest.raises(InputError, match=rf"no encoder '{wrong}': choose one of eeg_project.*braindecode:CLASS"):
        encoder_config(wrong)


def test_the_brain_side_alone_in_half_precision_on_a_cpu(name, small, tmp_path):
    torch.manual_seed(0)
    model = NeuroCLIPModel(NeuroCLIPConfig(encoder_config=small(name), vision_config=TOWER, projection_dim=8)).eval()
    values, expected = values_for(model.encoder), model.get_brain_features
    model.save_pretrained(tmp_path)
    half = NeuroCLIPModel.from_pretrained(tmp_path, vision=False, dtype=torch.bfloat16)
    found = half.get_brain_features(values)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected(values)).norm() < 0.15 * expected(values).norm()
    floating = {key: each for key, each in half.state_dict().items() if each.is_floating_point()}
    assert {key for key, each in floating.items() if each.dtype != torch.bfloat16} == {"scale.logit_scale"}
