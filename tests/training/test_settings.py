"""Recipes and overrides: what is right is read as meant, what is wrong is refused with the right name."""

import dataclasses

import pytest

from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.training.settings import Recipe, load_recipe, parse_overrides


def test_overrides_by_name_by_section_and_deeper():
    overrides = parse_overrides(
        ["epochs=3", "training.seed=7", "prompt.num_prompt_tokens=4", "model.encoder_settings.dropout=1e-1",
         "mixed_precision=no", "learning_rate=1E-5", "weight_decay=0", "average=[1,4]", "tower=a/b=c"]
    )  # fmt: skip
    recipe = load_recipe("neuroclip-intra", overrides)
    assert (recipe.training.epochs, recipe.training.seed) == (3, 7)
    assert recipe.model.prompt["num_prompt_tokens"] == 4
    assert recipe.model.encoder_settings["dropout"] == 0.1
    assert recipe.training.mixed_precision == "no"
    assert (recipe.training.learning_rate, recipe.training.weight_decay) == (1e-5, 0.0)
    assert isinstance(recipe.training.weight_decay, float)
    assert (recipe.data.average, recipe.model.tower) == ([1, 4], "a/b=c")


@pytest.mark.parametrize(("text", "expected"), [("sub-01", ["sub-01"]), ("sub-01,sub-02", ["sub-01", "sub-02"])])
def test_lists_take_commas_and_one_entry_is_a_list_too(text, expected):
    assert load_recipe("demo", parse_overrides([f"subjects={text}"])).data.subjects == expected
    assert load_recipe("demo", parse_overrides(["average=1,3"])).data.average == [1, 3]


def test_null_switches_off_what_may_be_absent():
    recipe = load_recipe("demo", parse_overrides(["prompt=null", "subjects=null"]))
    assert recipe.model.prompt is None
    assert recipe.data.subjects is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epoch=3"], "did you mean 'epochs'"),
        (["training.epoch=3"], "did you mean 'epochs'"),
        (["model.foo=3"], "there are encoder"),
        (["epochs=three"], "training.epochs is 'three': it must be a whole number"),
        (["epochs=2.5"], "must be a whole number"),
        (["epochs=true"], "must be a whole number"),
        (["epochs="], "must be a whole number"),
        (["epochs=0"], "above zero"),
        (["epochs.x=1"], "must be a whole number"),
        (["batch_size=1"], "at least 2"),
        (["learning_rate=nan"], "must be a number"),
        (["learning_rate=fast"], "must be a number"),
        (["prompt_learning_rate=-1"], "prompt_learning_rate"),
        (["learning_rate=1e38"], r"learning_rate is 1e\+38: float32 works with .* to 1.15e\+18"),
        (["learning_rate=1e-46"], "learning_rate is 1e-46: float32 works with 1.18e-38 to"),
        (["tower_learning_rate=1e20"], r"tower_learning_rate is 1e\+20: float32"),
        (["prompt_learning_rate=1e39"], r"prompt_learning_rate is 1e\+39: float32"),
        (["weight_decay=1e300"], r"weight_decay is 1e\+300: float32"),
        (["tower_weight_decay=1e-300"], "tower_weight_decay is 1e-300: float32"),
        (["max_grad_norm=1e-46"], "max_grad_norm is 1e-46: float32"),
        (["weight_decay=-1"], "zero or more"),
        (["seed=-1"], "zero or more"),
        (["seed=4294967296"], "below"),
        (["warmup=1"], "warmup"),
        (["picture_chunk_size=0"], "picture_chunk_size is 0"),
        (["checkpoint_minutes=-1"], "checkpoint_minutes is -1.0"),
        (["checkpoint_minutes=often"], "must be a number"),
        (["gradient_accumulation_steps=4"], "fewer others.*chunks"),
        (["training.gradient_accumulation_steps=4"], "fewer others.*chunks"),
        (["selection=best"], "loss, top1, last"),
        (["mixed_precision=fp8"], "no, fp16, bf16"),
        (["split=inter"], "pooled, intra-subject, leave-one-subject-out"),
        (["validation=session"], "auto, store, concepts, pictures, trials, sessions, subjects"),
        (["sampling=balanced"], "auto, shuffled, subjects-by-pictures, class-balanced"),
        (["average=0"], "two whole numbers"),
        (["average=[3,1]"], "two whole numbers"),
        (["average=0,1"], "two whole numbers"),
        (["subjects=[]"], "at least one"),
        (["subjects=[[1]]"], "must be"),
        (["noise=-1"], "zero or more"),
        (["noise=1e39"], r"noise is 1e\+39: .* at most 1.15e\+18"),
        (["scaling=100"], "scaling is 100.0: .* at most 41.6"),
        (["shift=1e300"], r"shift is 1e\+300: .* at most 3.6e\+03"),
        (["num_workers=129"], "num_workers is 129: it must be at most 128"),
        (["items=pictures"], "trials, targets"),
        (["smoothing=1.5"], "smoothing is 1.5"),
        (["smoothing_window=0"], "smoothing_window is 0"),
        (["picture_views=[{blurr: 1}]", "prompt=null"], "'blurr' is unknown"),
        (["picture_views=[{blur: -1}]", "prompt=null"], "blur is -1"),
        (["picture_views={blur: 1}"], "must be a list"),
        (["picture_views=[{blur: 0.1}, {noise: 0.1}]"], "names 2 views.*prompt=null and lora=null"),
        (["picture_views=[{blur: 0.1}, {}]", "prompt=null", "lora={r: 2}"], "names 2 views"),
        (["lora=4"], "must be"),
        (["lora_r=4"], "unknown"),
        (["betas=0.9"], "betas is"),
        (["betas=0.9,1"], "betas is"),
        (["schedule=step"], "cosine, constant"),
        (["halve_after=0"], "halve_after is 0"),
        (["tower_learning_rate=0"], "tower_learning_rate is 0.0: it must be above zero, or null"),
        (["tower_weight_decay=-1"], "tower_weight_decay is -1.0: it must be zero or more, or null"),
        (["max_grad_norm=0"], "max_grad_norm is 0.0: it must be above zero, or null"),
        (["mmd_weight=0.5"], "mmd_weight is"),
        (["mmd_weight=0.5,2"], "mmd_weight is"),
        (["mmd_epochs=3"], "mmd_epochs is 3, but mmd_weight is null"),
        (["gradient_checkpointing=1"], "must be true or false"),
        (["time_mask=1"], "below 1"),
        (["model=3"], "must hold settings"),
        (["prompt=3"], "must be"),
        (["name=7"], "must be text"),
        (["epochs"], "name=value"),
        (["=3"], "name=value"),
        (["epochs={a: 1"], "cannot be read"),
    ],
)
def test_bad_overrides(words, message):
    with pytest.raises(InputError, match=message):
        load_recipe("demo", parse_overrides(words))


def test_unknown_recipes_name_the_nearest():
    with pytest.raises(InputError, match="did you mean 'neuroclip-intra'"):
        load_recipe("neuroclp-intra")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [1", "cannot be read"),
        ("- 1", "sections"),
        ("training:\n  epoch: 3", "epochs"),
        ("trainig: {}", "training"),
        ("training:\n  epochs: 3\n  epochs: 5", "'epochs' stands there twice"),
        ("model: !!map [1]", "cannot be read"),
        ("model:", "must hold settings"),
        ("1: 2", "setting 1 is unknown"),
        ("model: !!python/object/apply:os.getcwd []", "cannot be read"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(path)
    assert "mine.yaml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml"):
        load_recipe(tmp_path / "none.yaml")


def test_saved_recipes_load_as_they_were(tmp_path):
    recipe = load_recipe("demo", parse_overrides(["mixed_precision=no", "learning_rate=1e-7", "subjects=sub-01"]))
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().training.epochs = 3


@pytest.mark.parametrize(
    ("words", "subjects", "average"),
    [(["subjects=1"], ["1"], [1, 4]), (["subjects=1,sub-02", "average=3"], ["1", "sub-02"], [3, 3])],
)
def test_one_entry_is_a_list_too(words, subjects, average):
    data = load_recipe("demo", parse_overrides(words)).data
    assert (data.subjects, data.average) == (subjects, average)


@pytest.mark.parametrize(("word", "expected"), [("2", "2"), ("sub-02", "sub-02"), ("null", None)])
def test_a_subject_may_be_a_number(word, expected):
    assert load_recipe("demo", parse_overrides([f"held_out_subject={word}"])).data.held_out_subject == expected


def test_no_tower_means_the_one_that_ships():
    assert load_recipe("neuroclip-intra", parse_overrides(["tower=null"])).model.tower == SMALL_CLIP


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("window=0,0.5", [0.0, 0.5]),
        ("window=[0,1]", [0.0, 1.0]),
        ("betas=[0,0.999]", [0.0, 0.999]),
        ("mmd_weight=[1,0.5]", [1.0, 0.5]),
    ],
)
def test_whole_numbers_stand_for_reals_in_lists_too(words, found):
    name = words.partition("=")[0]
    recipe = load_recipe("demo", parse_overrides([words]))
    section = recipe.data if name == "window" else recipe.training
    assert getattr(section, name) == found
    assert all(isinstance(one, float) for one in getattr(section, name))
