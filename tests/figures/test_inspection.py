"""What is computed from a model for figures, on models whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import accuracy_of, rank_test_split
from neuroclip_hf.figures.inspection.channels import channel_importance
from neuroclip_hf.figures.inspection.pictures import filter_pictures, look_at_pictures
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.training.settings import load_recipe


class OneChannel(torch.nn.Module):
    """Knows the picture from the mean of one channel, and nothing from any other."""

    device = torch.device("cpu")

    def __init__(self, channel):
        super().__init__()
        self.channel = channel

    def get_brain_features(self, values, subject_index=None):
        signal = values[:, self.channel].mean(dim=1)
        return torch.stack([signal, torch.ones_like(signal)], dim=1)

    def get_image_features(self, pixel_values):
        place = torch.linspace(-1, 1, len(pixel_values))
        return torch.stack([place, 1 - place.abs()], dim=1)


@pytest.mark.parametrize("method", ["occlusion", "gradient"])
@pytest.mark.parametrize("channel", [0, 2])
def test_only_the_channel_that_a_model_reads_matters(trained, store, method, channel):
    found = channel_importance(OneChannel(channel), trained.processor, store, method=method)
    others = np.delete(found.values, channel)
    assert np.abs(others).max() < 1e-6
    assert abs(found.values[channel]) > 1e-4
    assert list(found.channels) == ["P7", "O1", "Oz", "O2"]
    assert found.num_queries == 12
    if method == "occlusion":
        assert np.delete(found.top1, channel).tolist() == [0, 0, 0]


def test_one_subject_and_the_whole_are_measured_as_the_evaluation_does(trained, store):
    ranking = rank_test_split(trained.model, trained.processor, store, subjects=["sub-02"])
    found = channel_importance(trained.model, trained.processor, store, subjects=["sub-02"])
    assert found.num_queries == 6
    assert found.whole_top1 == accuracy_of(ranking)["top1"]
    right, wrong = ranking.scores[ranking.mask], ranking.scores[~ranking.mask]
    assert found.whole_score == pytest.approx(float(right.mean() - wrong.mean()), abs=1e-5)


def test_a_checkpoint_of_some_channels_and_a_part_of_the_epoch_gets_no_more(store, tiny_overrides):
    overrides = {**tiny_overrides, "epochs": 1, "channels": ["Oz", "P7"], "window": [0.1, 0.4]}
    recipe = load_recipe("demo", overrides)
    trained = train_on_store(recipe, store)
    found = channel_importance(trained.model, trained.processor, store)
    ranking = rank_test_split(trained.model, trained.processor, store)
    assert sorted(found.channels) == ["Oz", "P7"]
    assert found.values.shape == (2,)
    assert found.whole_top1 == accuracy_of(ranking)["top1"]


class Fainter(OneChannel):
    """The same, given a channel at a part of its strength."""

    def get_brain_features(self, values, subject_index=None):
        return super().get_brain_features(values * self.strength, subject_index)


def test_gradient_times_input_is_the_slope_when_a_channel_fades(trained, store):
    found = channel_importance(OneChannel(1), trained.processor, store, method="gradient", subjects=["sub-01"])
    assert found.top1 is None
    scores = []
    for strength in (0.999, 1.001):
        model = Fainter(1)
        model.strength = strength
        scores.append(channel_importance(model, trained.processor, store, subjects=["sub-01"]).whole_score)
    assert found.values[1] == pytest.approx((scores[1] - scores[0]) / 0.002, rel=0.02, abs=1e-4)


def test_another_method_is_refused(trained, store):
    model = OneChannel(1)
    with pytest.raises(InputError, match="method is 'shapley': choose one of occlusion, gradient"):
        channel_importance(model, trained.processor, store, method="shapley")


@pytest.fixture(scope="session")
def full_run(store, tiny_overrides, tmp_path_factory):
    """A run with every part of the method, its filters in the spectral domain moved from their start."""
    recipe = load_recipe("neuroclip-intra", {**tiny_overrides, "epochs": 1, "tower": "small-clip"})
    trained = train_on_store(recipe, store)
    folder = tmp_path_factory.mktemp("full") / "run"
    save_run(trained, recipe, folder)
    return folder


@pytest.fixture
def pictures(store):
    def read(processor):
        names = list(store.gallery(columns.TEST)[columns.IMAGE_ID])[:2]
        return PictureSet(store.open_picture, names, processor).pixel_values([0, 1])

    return read


def test_filters_and_attention_of_a_whole_model(full_run, pictures, store):
    model, processor = load_run(full_run)
    pixel_values = pictures(processor)
    found = filter_pictures(model, processor, pixel_values)
    assert len(found) == 2
    assert found[0].before.shape == (*pixel_values.shape[2:], 3)
    assert found[0].response.shape == (7, 7)
    assert found[0].response.sum() == pytest.approx(1, abs=1e-5)
    assert 0 < np.abs(found[0].after - found[0].before).max() < 0.5
    shown = np.asarray(store.open_picture(store.gallery(columns.TEST)[columns.IMAGE_ID][0])) / 255
    assert found[0].before.mean() == pytest.approx(shown.mean(), abs=0.03)
    layer, looked = look_at_pictures(model, processor, pixel_values)
    assert layer == model.config.vision_config.num_hidden_layers
    assert looked[0].fusion.sum() == pytest.approx(1, abs=1e-4)
    assert looked[0].prompts.shape == looked[0].prefix.shape == looked[0].fusion.shape
    assert 0 < looked[1].share < 1
    assert looked[1].prefix.sum() + looked[1].share < 1


def test_a_tower_without_prompts_has_no_filter_and_only_its_own_attention(trained, pictures):
    tower = trained.model.vision_model
    config = SimpleNamespace(feature_layers=[1, 2])
    bare = SimpleNamespace(vision_model=type(tower)(tower.config), device=torch.device("cpu"), config=config)
    pixel_values = pictures(trained.processor)
    assert filter_pictures(bare, trained.processor, pixel_values) is None
    layer, (looked, _) = look_at_pictures(bare, trained.processor, pixel_values)
    assert layer == 2
    assert (looked.fusion, looked.prompts, looked.share) == (None, None, None)
    assert 0 < looked.prefix.sum() < 1


def test_spectral_gains_have_no_frequency_in_the_middle(trained, pictures):
    from neuroclip_hf.figures.inspection.pictures import _whole_plane

    frequencies = np.sqrt(np.fft.fftfreq(8)[:, None] ** 2 + np.fft.rfftfreq(8)[None] ** 2)
    plane = _whole_plane(frequencies, 8)
    assert plane.shape == (8, 8)
    assert np.unravel_index(plane.argmin(), plane.shape) == (4, 4)
    assert plane[4, 5] == plane[4, 3] == plane[3, 4] == 1 / 8
