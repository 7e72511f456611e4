"""What each ablation varies: only what the recipe has, each change alone, windows and regions of the store itself."""

from dataclasses import replace

import pytest

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPromptConfig
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.registry import ENCODERS
from neuroclip_hf.protocols.ablate.variations import OVER, region_of, variations
from neuroclip_hf.training.settings import change_recipe, load_recipe

FULL = {"tower": "small-clip", "prompt.shared_prompts": True, "noise": 0.1}


@pytest.fixture(scope="module")
def full():
    return load_recipe("neuroclip-intra", FULL)


@pytest.mark.parametrize("over", OVER)
def test_the_recipe_is_first_and_no_other_row_is_the_same(over, full, store):
    made = variations(over, full, store.info)
    assert made[0].apply(full) == full
    recipes = [one.apply(full) for one in made]
    assert all(recipes[first] != recipes[second] for first in range(len(made)) for second in range(first))
    assert len({one.slug for one in made}) == len(made)


def test_every_part_is_switched_off_alone(full, store):
    names = [one.name for one in variations("parts", full, store.info)]
    for part in ("shared prompts", "instance prompts", "dual stream", "dynamic filter", "cross-attention"):
        assert f"without {part}" in names
    assert "without prompts (frozen tower)" in names
    frozen = change_recipe(full, {"prompt": None})
    assert not [one.name for one in variations("parts", frozen, store.info) if "prompts" in one.name]


@pytest.mark.parametrize(
    ("off", "offered", "not_offered"),
    [
        (
            "shared_prompts",
            {"with shared prompts", "shared prompts alone"},
            {"without shared prompts", "without instance prompts"},
        ),
        (
            "instance_prompts",
            {"with instance prompts"},
            {"without shared prompts", "with shared prompts", "without instance prompts", "without dual stream"},
        ),
    ],
)
def test_a_part_that_is_off_is_switched_on_and_some_prompts_are_always_left(full, store, off, offered, not_offered):
    recipe = change_recipe(full, {f"prompt.{off}": False})
    made = variations("parts", recipe, store.info)
    names = {one.name for one in made}
    assert offered <= names
    assert not not_offered & names
    for one in made:
        if (prompt := one.apply(recipe).model.prompt) is not None:
            NeuroPromptConfig(**prompt)


def test_windows_cover_the_epoch_and_grow_from_its_beginning(full, store):
    made = [one.overrides["window"] for one in variations("segments", full, store.info)[1:]]
    sliding, growing = made[:5], made[5:]
    assert [start for start, _ in sliding] == pytest.approx([0.0, 0.12, 0.24, 0.36, 0.48])
    assert sliding[-1][1] == pytest.approx(0.6)
    assert [start for start, _ in growing] == [0.0] * 3
    assert [stop for _, stop in growing] == pytest.approx([0.24, 0.36, 0.48])


@pytest.mark.parametrize(
    ("channel", "region"),
    [
        ("Fp1", "frontal"),
        ("AFz", "frontal"),
        ("FC3", "central"),
        ("Cz", "central"),
        ("FT9", "temporal"),
        ("TP10", "temporal"),
        ("CP1", "parietal"),
        ("P7", "parietal"),
        ("PO8", "occipital"),
        ("Oz", "occipital"),
        ("MEG0111", None),
        ("V1-3", None),
        ("EOG", None),
    ],
)
def test_regions_of_the_scalp(channel, region):
    assert region_of(channel) == region


def test_every_electrode_of_things_eeg2_has_a_region():
    assert {region_of(name) for name in FACTS.channels} == {"frontal", "central", "temporal", "parietal", "occipital"}


def test_channels_without_a_place_are_refused(full, store):
    info = replace(store.info, channels=["P7", "MEG0111", "Oz", "O2"])
    with pytest.raises(InputError, match=r"MEG0111 is no electrode.*prepare a store without it"):
        variations("channels", full, info)


def test_all_encoders_but_braindecode_are_tried(full, store):
    names = [one.name for one in variations("encoders", full, store.info)][1:]
    assert {*names, full.model.encoder, "braindecode"} == set(ENCODERS)


def test_layers_and_prompts_are_those_of_the_tower(full, store):
    layers = [one.overrides["vision_feature_layers"] for one in variations("layers", full, store.info)[1:]]
    assert layers[0] == [1]
    assert layers[-1] == [layer for [layer] in layers[:-1]]  # all of them mixed
    depths = [one.overrides.get("prompt.prompt_depth") for one in variations("prompts", full, store.info)]
    assert max(depth for depth in depths if depth) == layers[-1][-1]
    deep = change_recipe(full, {"tower": "random", "tower_settings": {"num_hidden_layers": 24}})
    assert len(variations("layers", deep, store.info)) == 10  # eight layers, all of them, and the recipe


@pytest.mark.parametrize(
    ("over", "changes", "words"),
    [("epochs", {}, "--over is 'epochs': choose one of"), ("prompts", {"prompt": None}, "nothing of the kind")],
)
def test_nothing_to_vary_is_said(full, store, over, changes, words):
    with pytest.raises(InputError, match=words):
        variations(over, change_recipe(full, changes), store.info)


def test_patterns_have_no_segments(full, array_store):
    import numpy as np

    brain = np.random.default_rng(0).standard_normal((50, 6))
    patterns = array_store(brain=brain, channel_names=None, sampling_rate=None, unit="au")
    with pytest.raises(InputError, match="no samples in time"):
        variations("segments", full, patterns.info)
