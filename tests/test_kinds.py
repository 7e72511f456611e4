"""The contract that every kind of model keeps: built, trained, saved, loaded and described by its entry alone."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml
from transformers import AutoConfig, AutoModel, AutoProcessor

import neuroclip_hf
from neuroclip_hf import models
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.errors import InputError
from neuroclip_hf.kinds import KINDS, find_kind
from neuroclip_hf.models.brain_image.configuration_brain_image import BrainImageConfig
from neuroclip_hf.models.configuration import setting_names
from neuroclip_hf.protocols.building import build_model
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.sharing.card import write_card
from neuroclip_hf.training.settings import ModelSettings, load_recipe

# What a kind of model asks of a recipe that was written for another.
OWN = {"brainclip": {"projection_dim": None, "image_projection": "none"}}


@pytest.fixture(params=list(KINDS))
def kind(request):
    return KINDS[request.param]


def test_every_model_is_in_the_table():
    # and thereby in these tests, which run over the table
    folders = {path.parent.name for path in Path(models.__path__[0]).glob("*/modeling_*.py")}
    assert folders - {"brain_image"} == set(KINDS)


def test_classes_belong_together(kind):
    assert kind.model_class.config_class is kind.config_class
    assert issubclass(kind.config_class, BrainImageConfig)
    assert find_kind(kind.name) is kind
    for part in kind.model_class.tower_parts:
        assert {part.fingerprint, part.config or part.fingerprint} <= set(setting_names(kind.config_class))


def test_its_classes_are_public(kind):
    names = {one.__name__ for one in (kind.config_class, kind.model_class, kind.processor_class)}
    assert names <= set(neuroclip_hf.__all__)


def test_what_is_unused_when_solved_are_its_settings_and_the_targets_are_its_own(kind):
    unused = kind.model_class.unused_when_solved
    assert set(unused or ()) <= set(setting_names(kind.config_class))
    assert (unused is None) == ("fixed_targets" not in vars(kind.model_class))


def test_its_own_settings_hide_none_of_all_kinds(kind):
    assert not set(kind.settings) & {one.name for one in fields(ModelSettings)}


def test_a_recipe_trains_it_and_its_run_is_loaded_and_described(kind, recipe, store, tmp_path):
    own = {"kind": kind.name, "kind_settings": {}, **OWN.get(kind.name, {})}
    settings = replace(recipe, model=replace(recipe.model, **own))
    trained = train_on_store(settings, store)
    save_run(trained, settings, tmp_path / "run")
    model, processor = load_run(tmp_path / "run")
    assert (type(model), type(processor)) == (kind.model_class, kind.processor_class)
    neuroclip_hf.register()
    assert type(AutoConfig.from_pretrained(tmp_path / "run")) is kind.config_class
    assert type(AutoModel.from_pretrained(tmp_path / "run")) is kind.model_class
    assert type(AutoProcessor.from_pretrained(tmp_path / "run")) is kind.processor_class
    text = write_card(tmp_path / "run").read_text()
    assert kind.name in yaml.safe_load(text.split("---")[1])["tags"]
    assert f"[{kind.title}]({kind.paper})" in text
    assert f"from neuroclip_hf import {kind.model_class.__name__}, {kind.processor_class.__name__}" in text


def test_settings_of_a_kind_stand_among_the_others(trained):
    alone = load_recipe("neuroclip-intra", {"softening": 0, "tower": "small-clip"})
    assert alone.model.kind_settings == {"softening": 0.0, "softening_temperature": 0.05}
    assert alone == load_recipe("neuroclip-intra", {"model.kind_settings.softening": 0, "tower": "small-clip"})
    model = build_model(replace(alone.model, prompt=None), trained.processor.feature_extractor)
    assert model.config.softening == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "brain"}, "kind is 'brain': there are models of the kinds neuroclip"),
        ({"softening": "much"}, r"model\.softening is 'much'"),
        ({"softning": 0.1}, "did you mean 'softening'"),
        ({"model.softning": 0.1}, "did you mean 'softening'"),
        ({"kind_settings.soft": 0.1}, "kind_settings.soft is unknown: neuroclip has softening"),
    ],
)
def test_settings_that_no_kind_has_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        load_recipe("neuroclip-intra", changes)


def test_a_recipe_is_the_same_after_it_was_saved(tmp_path):
    recipe = load_recipe("neuroclip-intra", {"softening": 0.3})
    recipe.save(tmp_path / "neuroclip.yaml")
    assert load_recipe(tmp_path / "neuroclip.yaml") == recipe
