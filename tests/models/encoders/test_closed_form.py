"""What encoders share that are solved for."""

import pytest
import torch
from transformers import AutoModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import build_encoder, encoder_config
from neuroclip_hf.models.encoders.banded_ridge.configuration_banded_ridge import bands_of

TRIALS, VOXELS, WIDTH = 48, 10, 3
NAMES = ("ridge", "kernel_ridge", "banded_ridge")
SIZES = {"num_voxels": VOXELS, "hidden_size": WIDTH}


def problem():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(TRIALS, VOXELS, generator=generator)
    targets = values @ torch.randn(VOXELS, WIDTH, generator=generator)
    return values, targets + 0.1 * torch.randn(TRIALS, WIDTH, generator=generator), [row // 2 for row in range(TRIALS)]


def fitted(name, **settings):
    if name == "banded_ridge":
        pytest.importorskip("himalaya")
        settings = {"draws": 3, **settings}
    encoder = build_encoder(encoder_config(name, **SIZES, **settings)).eval()
    return encoder, encoder.fit(*problem())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ridge", {}),
        ("kernel_ridge", {}),
        ("kernel_ridge", {"kernel": "linear"}),
        ("kernel_ridge", {"kernel": "polynomial", "degree": 3}),
        ("banded_ridge", {}),
    ],
)
def test_what_is_predicted_is_what_held_out_trials_promised(name, settings, tmp_path):
    encoder, facts = fitted(name, **settings)
    values, targets, _ = problem()
    error = (encoder(values).features - targets).square().sum() / (targets - targets.mean(dim=0)).square().sum()
    assert facts["cv_r2"] > 0.5
    assert 1 - float(error) >= facts["cv_r2"]  # these trials were not held out
    encoder.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(values).features, encoder(values).features)
    assert not any(each.requires_grad for each in encoder.parameters())


def test_a_kernel_keeps_its_trials():
    encoder, _ = fitted("kernel_ridge")
    assert encoder.config.num_trials == TRIALS
    assert torch.equal(encoder.patterns.weight, problem()[0])
    assert encoder.config.gamma > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_second_fit_forgets_the_first(name):
    encoder, _ = fitted(name)
    values, targets, groups = problem()
    encoder.fit(values[:30], -targets[:30], groups[:30])
    again = build_encoder(encoder.config.__class__(**SIZES, **({"draws": 3} if name == "banded_ridge" else {}))).eval()
    again.fit(values[:30], -targets[:30], groups[:30])
    assert torch.equal(encoder(values).features, again(values).features)


@pytest.mark.parametrize("name", NAMES)
def test_other_sizes_are_refused(name):
    encoder = build_encoder(encoder_config(name, **SIZES))
    values, targets, groups = problem()
    with pytest.raises(InputError, match=r"values is \(48, 9\): this encoder reads \(batch, 10 voxels\)"):
        encoder.fit(values[:, 1:], targets, groups)
    with pytest.raises(InputError, match=r"targets is \(48, 2\): its width must be 3"):
        encoder.fit(values, targets[:, 1:], groups)


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("ridge", {"alphas": []}, r"alphas is \[\]"),
        ("ridge", {"alphas": [2.0, 1.0]}, "ascending"),
        ("ridge", {"alphas": [True]}, r"alphas is \[True\]"),
        ("ridge", {"folds": 1}, "folds is 1"),
        ("kernel_ridge", {"kernel": "cosine"}, "kernel is 'cosine'"),
        ("kernel_ridge", {"gammas": [0.0]}, "gammas is"),
        ("banded_ridge", {"bands": {"V1": [0, 1]}}, "bands hold 2 places: each of the 10 voxels"),
        ("banded_ridge", {"bands": {"V1": list(range(10)), "V2": [9]}}, "bands hold 11 places"),
        ("banded_ridge", {"bands": {"V1": list(range(10)), "V2": []}}, "no band may be empty"),
    ],
)
def test_impossible_settings_are_named(name, settings, named):
    with pytest.raises(InputError, match=named):
        encoder_config(name, **SIZES, **settings)


def test_a_voxel_belongs_to_the_smallest_of_its_regions():
    rois = {"VC": [0, 1, 2, 3, 4], "V1": [1, 2], "FFA": [4], "LVC": [1, 2]}
    assert bands_of(rois, 6) == {"VC": [0, 3], "V1": [1, 2], "FFA": [4], "rest": [5]}  # of LVC nothing is left
