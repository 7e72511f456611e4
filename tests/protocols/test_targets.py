"""Training looks at its pictures in views, validation at the pictures themselves."""

import pytest
import torch

from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.processing.picture_views import PictureView, ViewOpener
from neuroclip_hf.protocols import run as protocol
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.training.settings import load_recipe, parse_overrides

TINY = ["encoder_settings.hidden_size=8", "projection_dim=8", "epochs=1", "batch_size=16", "average=1"]
BLUR, COARSE = "{blur: 0.3}", "{mosaic: 2, noise: 0.1}"


def tiny(*words):
    return load_recipe("demo", parse_overrides([*TINY, *words]))


@pytest.fixture
def pairs(array_store):
    return array_store()


@pytest.fixture
def given(monkeypatch):
    """What a training is given: its model, collator and validation, before the first step."""
    seen = {}

    def spy(model, dataset, collator, settings, batches, validate, **others):
        seen.update(model=model, dataset=dataset, collator=collator, validate=validate)
        raise InterruptedError

    monkeypatch.setattr(protocol, "train", spy)

    def of(recipe, store, **options):
        with pytest.raises(InterruptedError):
            train_on_store(recipe, store, **options)
        return dict(seen)

    return of


def pixels_of(seen, store, view=None, number=0):
    """The picture of the first training item in a view, preprocessed."""
    name = store.gallery("train")["image_id"].iloc[seen["dataset"][0]["picture_index"]]
    opener = store.open_picture if view is None else ViewOpener(store.open_picture, view, 0, number)
    return seen["collator"]._processor(images=opener(name))["pixel_values"]


def features_of(seen, *view):
    """What the tower without adapters says of it."""
    return seen["model"].get_frozen_image_features(pixels_of(seen, *view))[0]


def test_the_target_is_the_mean_of_what_the_tower_says_of_the_views(pairs, given):
    seen = given(tiny("prompt=null", f"picture_views=[{BLUR}, {COARSE}]"), pairs)
    model, collator = seen["model"], seen["collator"]
    batch = collator([seen["dataset"][0]])
    assert "pixel_values" not in batch
    views = (PictureView(blur=0.3), PictureView(mosaic=2, noise=0.1))
    single = [features_of(seen, pairs, view, number) for number, view in enumerate(views)]
    torch.testing.assert_close(batch["image_features"][0], torch.stack(single).mean(dim=0))
    assert not torch.allclose(single[0], features_of(seen, pairs), atol=1e-3)
    everything = collator._of_pictures["image_features"]
    torch.testing.assert_close(model.image_features_mean, everything.mean(dim=0))
    embeds = model.embed_pictures(None, everything, False)[0]  # centred on what training looks at
    torch.testing.assert_close(embeds.mean(dim=0), torch.zeros(8), atol=1e-4, rtol=0)


def test_an_adapted_tower_looks_at_pictures_in_their_view(pairs, given):
    seen = given(tiny("picture_views=[{blur: 0.3}]"), pairs)
    batch = seen["collator"]([seen["dataset"][0]])
    assert torch.equal(batch["pixel_values"], pixels_of(seen, pairs, PictureView(blur=0.3)))
    assert not torch.equal(batch["pixel_values"], pixels_of(seen, pairs))
    torch.testing.assert_close(batch["image_features"][0], features_of(seen, pairs, PictureView(blur=0.3)))


@pytest.mark.parametrize("words", [["prompt=null", f"picture_views=[{BLUR}, {COARSE}]"], [f"picture_views=[{BLUR}]"]])
def test_validation_looks_at_the_pictures_themselves(pairs, given, words):
    seen, plain = given(tiny(*words), pairs), given(tiny(*words, "picture_views=[]"), pairs)
    numbers = range(len(plain["validate"]._pictures))
    assert torch.equal(
        seen["validate"]._pictures.pixel_values(numbers), plain["validate"]._pictures.pixel_values(numbers)
    )


def test_views_depend_on_the_seed_and_a_kept_feature_is_not_mistaken(pairs, given, tmp_path):
    def features(*words):
        cache = ImageFeatureCache(tmp_path)
        return given(tiny("prompt=null", *words), pairs, image_features=cache)["collator"]._of_pictures[
            "image_features"
        ]

    noisy = "picture_views=[{noise: 0.3}]"
    first = features(noisy)
    assert torch.equal(features(noisy), first)
    assert not torch.equal(features(noisy, "seed=1"), first)
    plain = features()
    assert not torch.equal(plain, first)
    assert torch.equal(features("picture_views=[{}]"), plain)  # the view that changes nothing


def test_a_run_says_how_it_looked_at_pictures(pairs, tmp_path):
    recipe = tiny("prompt=null", "picture_views=[{blur: 0.1, fovea: 3}]")
    save_run(train_on_store(recipe, pairs), recipe, tmp_path / "run")
    assert load_recipe(tmp_path / "run" / "recipe.yaml").data.picture_views == [{"blur": 0.1, "fovea": 3}]
    assert load_run(tmp_path / "run")[0].config.prompt_config is None
