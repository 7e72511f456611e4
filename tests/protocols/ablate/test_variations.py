"""What each ablation varies: only what the recipe has, each change alone, windows and regions of the store itself."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPromptConfig
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError
from neuroclip_hf.kinds import KINDS
from neuroclip_hf.models.registry import ENCODERS
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.protocols.ablate.parts import OF_KINDS
from neuroclip_hf.protocols.ablate.variations import OVER, region_of, variations
from neuroclip_hf.protocols.building import build_model
from neuroclip_hf.protocols.parts import choose_parts, used_part
from neuroclip_hf.training.settings import change_recipe, load_recipe

OFF = ("shared_prompts", "dual_stream", "cross_attention")
FULL = {"tower": "small-clip", "softening": 0.2, "noise": 0.1, **{f"prompt.{part}": True for part in OFF}}


@pytest.fixture(scope="module")
def full():
    return load_recipe("neuroclip-intra", FULL)


@pytest.mark.parametrize("over", OVER)
def test_the_recipe_is_first_and_no_other_row_is_the_same(over, full, store):
    made, _ = variations(over, full, store)
    assert made[0].apply(full) == full
    recipes = [one.apply(full) for one in made if not one.of_a_curve]
    assert all(recipes[first] != recipes[second] for first in range(len(recipes)) for second in range(first))
    assert len({one.slug for one in made}) == len(made)


def names(made):
    found, _ = made
    return [one.name for one in found]


def buildable(variation, recipe, store):
    """Build the model of a variation, as training would."""
    changed = variation.apply(recipe)
    part = used_part(changed, store, choose_parts(changed, store), store.trials)
    return build_model(changed.model, BrainFeatureExtractor.fit(part, store.select("train")))


def test_every_part_is_switched_off_alone(full, store):
    found, flags = variations("parts", full, store)
    shown = names((found, flags))
    for part in ("shared prompts", "instance prompts", "dual stream", "dynamic filter", "cross-attention"):
        assert f"without {part}" in shown
    assert "without prompts (frozen tower)" in shown
    assert flags == []
    frozen = change_recipe(full, {"prompt": None})
    assert not [name for name in names(variations("parts", frozen, store)) if "prompts" in name]
    assert "without LoRA" in names(variations("parts", change_recipe(full, {"lora": {"r": 2}}), store))


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
    made, _ = variations("parts", recipe, store)
    found = {one.name for one in made}
    assert offered <= found
    assert not not_offered & found
    for one in made:
        if (prompt := one.apply(recipe).model.prompt) is not None:
            NeuroPromptConfig(**prompt)


def test_parts_that_cannot_be_are_left_out_and_said(store):
    recipe = load_recipe("demo")
    found, flags = variations("parts", recipe, store)
    assert names((found, flags))[1:] == [
        "with instance prompts",
        "without prompts (frozen tower)",
        "without softened targets",
        "without perturbation",
        "without averaging of trials",
    ]
    assert flags == [
        "Left out: without shared prompts (shared_prompts and instance_prompts are both false: nothing is left of the "
        "method.)"
    ]
    for one in found:
        buildable(one, recipe, store)


def test_what_the_recipe_has_off_is_switched_on_alone_and_all_at_once(full, store):
    recipe = load_recipe("neuroclip-intra", {"tower": "small-clip"})
    found, flags = variations("parts", recipe, store)
    assert names((found, flags))[1:] == [
        "with shared prompts",
        "shared prompts alone",
        "with dual stream",
        "spectral dynamic filter",
        "with cross-attention",
        "without prompts (frozen tower)",
        "with softened targets",
        "all prompts and softened targets",
        "with perturbation",
        "without averaging of trials",
    ]
    assert len(flags) == 1
    assert flags[0].startswith("Left out: without dynamic filter (dynamic_filter and cross_attention are both false")
    everything = next(one for one in found if one.name == "all prompts and softened targets").apply(recipe)
    assert everything.model == change_recipe(full, {"prompt.num_prompt_tokens": 8}).model
    assert "all prompts and softened targets" not in names(variations("parts", full, store))
    one_off = change_recipe(full, {"prompt.dual_stream": False})
    assert "all prompts and softened targets" not in names(
        variations("parts", one_off, store)
    )  # is "with dual stream"


def test_settings_of_a_part_that_is_off_are_no_parts(full, store):
    unfiltered = change_recipe(full, {"prompt.dynamic_filter": False})
    found, flags = variations("parts", unfiltered, store)
    assert not {"without dual stream", "spectral dynamic filter"} & set(names((found, flags)))
    assert [flag.partition(" (")[0] for flag in flags] == ["Left out: without cross-attention"]
    instance = change_recipe(full, {"prompt.shared_prompts": False})
    for one in variations("prompts", instance, store)[0][1:]:
        assert one.apply(instance).model.prompt["shared_prompts"] is True


def test_every_kind_of_model_says_its_parts():
    assert set(OF_KINDS) == set(KINDS)
    for kind, parts in OF_KINDS.items():
        for overrides in parts.values():
            assert set(overrides) <= set(KINDS[kind].settings)


def test_supervision_is_a_part_of_brainclip(pattern_store):
    recipe = load_recipe("brainclip")
    found, flags = variations("parts", recipe, pattern_store)
    assert names((found, flags))[1:] == [
        "without supervision by pictures",
        "without supervision by texts",
        "without centring",
        "without mixed trials",
    ]
    assert flags == []
    texts_alone = change_recipe(recipe, {"image_weight": 0.0})
    _, [flag] = variations("parts", texts_alone, pattern_store)
    assert flag.startswith("Left out: without supervision by texts (pictures and texts both have no weight")


def test_a_recipe_without_parts_is_told_so(full, store):
    plain = {"prompt": None, "softening": 0.0, "average": [1, 1]}
    plain |= dict.fromkeys(("noise", "shift", "channel_dropout", "time_mask", "scaling"), 0.0)
    assert names(variations("parts", change_recipe(full, plain), store))[1:] == ["with perturbation"]
    with pytest.raises(InputError, match=r"recipe neuroclip-intra \(neuroclip\) has nothing of the kind"):
        variations("prompts", change_recipe(full, plain), store)


def test_windows_cover_the_epoch_and_grow_from_its_beginning_to_its_end(full, store):
    made = variations("segments", full, store)[0][1:]
    sliding, growing = ([one.overrides["window"] for one in some] for some in (made[:5], made[5:]))
    assert [start for start, _ in sliding] == pytest.approx([0.0, 0.12, 0.24, 0.36, 0.48])
    assert sliding[-1][1] == pytest.approx(0.6)
    assert [start for start, _ in growing] == [0.0] * 5
    assert [stop for _, stop in growing] == pytest.approx([0.12, 0.24, 0.36, 0.48, 0.6])
    assert made[5].apply(full) == made[0].apply(full)
    assert made[-1].apply(full) == full
    late = change_recipe(full, {"window": [0.1, 0.6]})
    assert variations("segments", late, store)[0][-1].apply(late) == full


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
    helmet = copy(store)
    helmet.info = replace(store.info, channels=["P7", "MEG0111", "Oz", "O2"], modality="meg")
    with pytest.raises(InputError, match=r"MEG0111 is no electrode.*1 such channels of meg.*prepare a store without"):
        variations("channels", full, helmet)


def test_encoders_that_read_the_trials_are_tried_and_the_others_said(full, array_store):
    store = array_store(brain=np.random.default_rng(0).standard_normal((50, 3, 200)) * 1e-5)
    found, flags = variations("encoders", full, store)
    assert found[0].name == "the recipe (eeg_project)"
    reasons = {flag.removeprefix("Left out: ").partition(" (")[0]: flag for flag in flags}
    of_recordings = {name for name, (_, encoder) in ENCODERS.items() if encoder.main_input_name == "eeg_values"}
    assert {one.name for one in found[1:]} | set(reasons) | {"eeg_project", "braindecode"} == of_recordings
    assert {"ts_conv", "eegnet", "atm_s"} <= {one.name for one in found}
    for one in found:
        buildable(one, full, store)


def test_the_window_of_the_recipe_decides_which_encoders_fit(full, array_store):
    store = array_store(brain=np.random.default_rng(0).standard_normal((50, 3, 200)) * 1e-5)
    found, flags = variations("encoders", change_recipe(full, {"window": [0.0, 0.4]}), store)
    assert names((found, flags)) == ["the recipe (eeg_project)", "eegnet"]
    assert [flag for flag in flags if flag.startswith("Left out: ts_conv (")]


@pytest.fixture(scope="module")
def pattern_store(pattern_stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("patterns") / "store"
    pattern_stores.write_patterns(folder)
    return TrialStore(folder)


def test_encoders_of_patterns_are_tried_on_patterns(pattern_store):
    recipe = load_recipe("brainclip")
    found, flags = variations("encoders", recipe, pattern_store)
    tried = {one.name: one for one in found[1:]}
    assert set(tried) == {"linear_map", "mlp_map", "ridge", "kernel_ridge", "banded_ridge"}
    assert flags == []
    assert tried["mlp_map"].overrides == {"encoder": "mlp_map", "encoder_settings": {}}
    assert tried["ridge"].apply(recipe).model.kind_settings["mixco"] == 0
    solved, flags = variations("encoders", load_recipe("brainclip-ridge"), pattern_store)
    assert names((solved, flags)) == ["the recipe (ridge)", "kernel_ridge", "banded_ridge"]
    assert [flag for flag in flags if "mlp_map (it is trained by gradients, and brainclip-ridge says how to" in flag]


@pytest.mark.parametrize(
    ("recipe", "why"), [("neuroclip-intra", "trains what its pictures become"), ("brainclip", "prompts or LoRA")]
)
def test_what_is_solved_for_needs_something_fixed(recipe, why, pattern_store):
    changes = {"tower": "small-clip"} | ({"prompt": {}} if recipe == "brainclip" else {})
    found, flags = variations("encoders", load_recipe(recipe, changes), pattern_store)
    assert "ridge" not in names((found, flags))
    assert [flag for flag in flags if flag.startswith("Left out: ridge (it is solved for") and why in flag]


def test_regions_of_interest_take_the_place_of_the_scalp(pattern_store):
    recipe = load_recipe("brainclip")
    found, flags = variations("channels", recipe, pattern_store)
    assert [(one.name, one.overrides) for one in found[1:]] == [
        ("V1 (3 voxels)", {"channels": None, "rois": ["V1"]}),
        ("V2 (3 voxels)", {"channels": None, "rois": ["V2"]}),
    ]
    assert flags == ["Left out: FFA (sub-01 has no such region.)"]
    larger, flags = variations("channels", recipe, pattern_store, ["2"])
    assert larger[-1].name == "FFA (1 voxel)"
    assert flags == []
    _, flags = variations("channels", change_recipe(recipe, {"voxels": 2}), pattern_store, ["2"])
    assert flags == ["Left out: FFA (the recipe chooses 2 voxels, and it has 1.)"]


def test_voxels_without_regions_are_refused_by_their_modality(array_store):
    brain = np.random.default_rng(0).standard_normal((50, 6))
    patterns = array_store(brain=brain, channel_names=None, sampling_rate=None, unit="au")
    with pytest.raises(InputError, match=r"the store holds fmri, whose voxels.*names no regions of interest"):
        variations("channels", load_recipe("brainclip"), patterns)


def test_layers_and_prompts_are_those_of_the_tower(full, store):
    layers = [one.overrides["vision_feature_layers"] for one in variations("layers", full, store)[0][1:]]
    assert layers[0] == [1]
    assert layers[-1] == [layer for [layer] in layers[:-1]]  # all of them mixed
    prompts, _ = variations("prompts", full, store)
    assert [one.name for one in prompts[1:3]] == ["1 prompt", "2 prompts"]
    depths = [one.overrides.get("prompt.prompt_depth") for one in prompts]
    assert max(depth for depth in depths if depth) == layers[-1][-1]
    deep = change_recipe(full, {"tower": "random", "tower_settings": {"num_hidden_layers": 24}})
    assert len(variations("layers", deep, store)[0]) == 10  # eight layers, all of them, and the recipe


@pytest.mark.parametrize(
    ("over", "changes", "words"),
    [("epochs", {}, "--over is 'epochs': choose one of"), ("prompts", {"prompt": None}, "nothing of the kind")],
)
def test_nothing_to_vary_is_said(full, store, over, changes, words):
    with pytest.raises(InputError, match=words):
        variations(over, change_recipe(full, changes), store)


def test_patterns_have_no_segments(full, array_store):
    brain = np.random.default_rng(0).standard_normal((50, 6))
    patterns = array_store(brain=brain, channel_names=None, sampling_rate=None, unit="au")
    with pytest.raises(InputError, match="no samples in time"):
        variations("segments", full, patterns)
