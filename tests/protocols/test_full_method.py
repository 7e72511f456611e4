"""The recipe `neuroclip-intra` knows the whole method; each part is switched on or off, or changed, by a word."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from neuroclip_hf import NeuroCLIPModel, TrialStore
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.protocols import run as protocol
from neuroclip_hf.protocols.run import save_run, train_on_store, train_run
from neuroclip_hf.training import trainer
from neuroclip_hf.training.settings import load_recipe, parse_overrides

TINY = [
    *(f"tower_settings.{name}" for name in ("hidden_size=16", "intermediate_size=16", "num_hidden_layers=3")),
    *(f"tower_settings.{name}" for name in ("num_attention_heads=2", "image_size=16", "patch_size=8")),
    *("tower=random", "encoder_settings.hidden_size=8", "projection_dim=8", "prompt.fusion_width=8"),
    *(
        *(f"prompt.{part}=true" for part in ("shared_prompts", "dual_stream", "cross_attention")),
        "prompt.num_prompt_tokens=2",
        "prompt.filter_input_size=8",
        "softening=0.2",
        "epochs=1",
        "batch_size=16",
    ),
]
PROMPTS = ("neuro_prompt_tokens", "neuro_prompt_filter", "neuro_prompt_fusion")


def tiny(*words):
    return load_recipe("neuroclip-intra", parse_overrides([*TINY, *words]))


def parts_of(model):
    """Which parts of the method a model has, by the names of its weights."""
    names = " ".join(name for name, _ in model.named_parameters())
    return {part for part in (*PROMPTS, "to_queries", "mixture") if part in names}


ALL = {*PROMPTS, "to_queries"}
SWITCHES = [
    ("prompt=null", lambda model: parts_of(model) == set() and not model.needs_pictures),
    ("prompt.shared_prompts=false", lambda model: parts_of(model) == ALL - {"neuro_prompt_tokens"}),
    ("prompt.prompt_depth=1", lambda model: _tokens(model).shape[0] == 1),
    ("prompt.prompt_depth=null", lambda model: _tokens(model).shape[0] == 3),
    ("prompt.instance_prompts=false", lambda model: parts_of(model) == {"neuro_prompt_tokens"}),
    ("prompt.dual_stream=false", lambda model: not model.config.prompt_config["dual_stream"]),
    ("prompt.dynamic_filter=false", lambda model: parts_of(model) == ALL - {"neuro_prompt_filter"}),
    ("prompt.filter_domain=spectral", lambda model: any("tables" in name for name, _ in model.named_parameters())),
    ("prompt.cross_attention=false", lambda model: parts_of(model) == ALL - {"to_queries"}),
    ("vision_feature_layers=2", lambda model: parts_of(model) == ALL and model.config.feature_layers == [2]),
    ("vision_feature_layers=1,-1", lambda model: parts_of(model) == {*ALL, "mixture"}),
    ("brain_projection=linear", lambda model: isinstance(model.brain_projection, nn.Linear)),
    ("brain_projection=mlp", lambda model: len(model.brain_projection) == 3),
    ("image_projection=linear", lambda model: isinstance(model.image_projection.projections[0], nn.Linear)),
    ("softening=0", lambda model: model.config.softening == 0),
    ("tower_dtype=bfloat16", lambda model: model.vision_model.post_layernorm.weight.dtype == torch.bfloat16),
    ("picture_chunk_size=3", lambda model: model.picture_chunk_size == 3),
]


def _tokens(model):
    return next(value for name, value in model.named_parameters() if "neuro_prompt_tokens" in name)


@pytest.fixture
def pairs(array_store):
    return array_store()


def test_the_recipe_names_every_part_and_has_those_on_that_earned_it(pairs):
    recipe = load_recipe("neuroclip-intra")
    settings = {name: value for name, value in recipe.model.prompt.items() if isinstance(value, bool)}
    off, on = ("shared_prompts", "dual_stream", "cross_attention"), ("instance_prompts", "dynamic_filter")
    assert settings == dict.fromkeys(off, False) | dict.fromkeys(on, True)
    data = recipe.data
    assert {data.noise, data.shift, data.channel_dropout, data.time_mask, data.scaling} == {0}
    assert recipe.model.kind_settings["softening"] == 0
    assert (data.items, data.average) == ("targets", [4, 4])
    as_it_is = tiny(*(f"prompt.{part}=false" for part in off), "softening=0")
    assert parts_of(train_on_store(as_it_is, pairs).model) == ALL - {"neuro_prompt_tokens", "to_queries"}
    trained = train_on_store(tiny(), pairs)
    assert parts_of(trained.model) == ALL
    assert len(trained.result.history) == 1


@pytest.mark.parametrize(("word", "holds"), SWITCHES, ids=[word for word, _ in SWITCHES])
def test_each_part_is_a_word(pairs, tmp_path, monkeypatch, word, holds):
    recipe, real = tiny(word), trainer._refuse_idle  # whatever is to learn has a gradient in every step
    monkeypatch.setattr(trainer, "_refuse_idle", lambda model, processes: real(model, 2))
    trained = train_on_store(recipe, pairs)
    assert holds(trained.model)
    assert np.isfinite(trained.result.history[0]["loss"])
    save_run(trained, recipe, tmp_path / "run")
    assert load_recipe(tmp_path / "run" / "recipe.yaml") == recipe
    loaded = load_run(tmp_path / "run")[0].state_dict()
    assert all(torch.equal(loaded[name].cpu(), value) for name, value in trained.model.state_dict().items())


def test_layers_and_the_mean_of_patches_together(pairs):
    model = train_on_store(tiny("vision_feature_layers=2", "vision_feature_token=mean"), pairs).model
    assert model.config.vision_feature_token == "mean"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vision_feature_layers=4"], "names 4: the tower has 3 layers"),
        (["vision_feature_layers=deep"], "vision_feature_layers is"),
        (["vision_feature_token=mean"], "name vision_feature_layers"),
        (["brain_projection=deep"], "brain_projection is 'deep'"),
        (["image_projection=none"], "the features are 16 wide"),
        (["tower_dtype=int8"], "tower_dtype is 'int8'"),
        (
            ["smoothing=0.5", "smoothing_window=0.02"],
            "smoothing_window is 0.02: at 50 Hz that is less than two samples",
        ),
        (["encoder=braindecode"], "model_class is missing"),
        (["encoder=braindecode:EEGNeX"], "needs braindecode"),
    ],
)
def test_what_cannot_be_is_refused_before_any_training(pairs, monkeypatch, words, message):
    monkeypatch.setattr(protocol, "train", None)
    monkeypatch.setitem(sys.modules, "braindecode.models", None)
    with pytest.raises(InputError, match=message):
        train_on_store(tiny(*words), pairs)


KINDS = ("noise", "shift", "channel_dropout", "time_mask", "scaling", "smoothing")
NONE = [*(f"{name}=0" for name in KINDS), "smoothing_window=0.1", "items=trials"]


@pytest.mark.parametrize("on", [None, *KINDS, "average"])
def test_each_perturbation_has_a_strength_and_0_switches_it_off(pairs, monkeypatch, on):
    seen = {}

    def spy(model, dataset, *others, **options):
        dataset.set_epoch(3)
        seen["items"] = [dataset[item]["eeg_values"] for item in range(len(dataset))]
        seen["plain"] = [pairs.read([row])[0] for row in dataset._rows]
        raise InterruptedError

    monkeypatch.setattr(protocol, "train", spy)
    strength = {"average": "average=4", "shift": "shift=0.1", "time_mask": "time_mask=0.9"}.get(on, f"{on}=0.5")
    with pytest.raises(InterruptedError):
        train_on_store(tiny(*NONE, "average=1", *([] if on is None else [strength])), pairs)
    same = [np.array_equal(one, other) for one, other in zip(seen["items"], seen["plain"], strict=True)]
    assert all(same) if on is None else not all(same)


class StandIn(nn.Module):
    """What a class of braindecode looks like from outside."""

    def __init__(self, n_chans, n_outputs, n_times, sfreq):
        super().__init__()
        self.sfreq = sfreq
        self.final_layer = nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, eeg):
        return self.final_layer(eeg.flatten(1))


def test_a_model_of_braindecode_by_name(pairs, monkeypatch, tmp_path):
    models = ModuleType("braindecode.models")
    StandIn.__module__ = "braindecode.models.stand_in"
    models.StandIn = StandIn
    monkeypatch.setitem(sys.modules, "braindecode", ModuleType("braindecode"))
    monkeypatch.setitem(sys.modules, "braindecode.models", models)
    recipe = tiny("encoder=braindecode:StandIn")
    trained = train_on_store(recipe, pairs)
    inner = trained.model.encoder.model
    assert (inner.sfreq, inner.final_layer.in_features, inner.final_layer.out_features) == (50.0, 60, 8)
    save_run(trained, recipe, tmp_path / "run")
    assert isinstance(load_run(tmp_path / "run")[0].encoder.model, StandIn)


@pytest.fixture
def encoded(monkeypatch):
    """How many pictures went through the tower without prompts."""
    counts = []

    def spy(self, pixel_values):
        counts.append(len(pixel_values))
        return real(self, pixel_values)

    real = NeuroCLIPModel.get_frozen_image_features
    monkeypatch.setattr(NeuroCLIPModel, "get_frozen_image_features", spy)
    return counts


def test_the_control_and_other_seeds_do_not_encode_the_pictures_again(pairs, encoded, tmp_path):
    shared = {"image_features": tmp_path / "features"}
    words = ("tower=small-clip", "tower_settings={}")  # a random tower is another one with each seed
    train_run(tiny(*words), pairs, tmp_path / "one", control=True, **shared)
    assert sum(encoded) == 8
    train_run(tiny(*words, "seed=1", "softening=0.5"), TrialStore(pairs.path), tmp_path / "two", **shared)
    assert sum(encoded) == 8
    train_run(tiny(*words, "vision_feature_layers=2"), pairs, tmp_path / "three", **shared)
    assert sum(encoded) == 16
    train_run(tiny(*words), pairs, tmp_path / "four", control=True)  # in memory, for the control
    assert sum(encoded) == 24


def test_features_that_were_looked_up_train_to_the_same_bytes(pairs, tmp_path):
    words = ("tower=small-clip", "tower_settings={}")
    plain = train_on_store(tiny(*words), pairs)
    for _ in range(2):  # made, then looked up by a fresh cache
        known = train_on_store(tiny(*words), pairs, image_features=ImageFeatureCache(tmp_path / "features"))
        state = known.model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in plain.model.state_dict().items())
