"""Training on voxels: some regions, the most responsive ones, one subject at a time; evaluation reads the same."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from neuroclip_hf import TrialStore, columns
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import registry
from neuroclip_hf.models.encoders.base import BrainEncoder, BrainEncoderConfig, BrainEncoderOutput
from neuroclip_hf.processing.fitting import fitting_part
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import train_on_store, train_run
from neuroclip_hf.training.settings import change_recipe

OWN = {"split": "intra-subject", "subjects": ["sub-01"]}


class VoxelsConfig(BrainEncoderConfig):
    """Of a linear encoder of voxels."""

    model_type = "voxels"
    num_voxels: int = 6

    @classmethod
    def sizes(cls, trials):
        return {"num_voxels": trials.trial_shape[0]}

    @property
    def trial_shape(self):
        return (self.num_voxels,)

    @property
    def batch_layout(self):
        return f"(batch, {self.num_voxels} voxels)"


class VoxelsEncoder(BrainEncoder):
    config_class = VoxelsConfig
    main_input_name = "fmri_values"

    def build(self, config):
        self.linear = nn.Linear(config.num_voxels, config.hidden_size)

    def forward(self, fmri_values, subject_index=None):
        return self.encode_checked(fmri_values, subject_index)

    def encode(self, values, subject_index):
        return BrainEncoderOutput(self.linear(values))


@pytest.fixture
def voxel_recipe(recipe, monkeypatch):
    """One epoch of a linear encoder of voxels."""
    monkeypatch.setattr(registry, "ENCODERS", {**registry.ENCODERS, "voxels": (VoxelsConfig, VoxelsEncoder)})
    fields = {"encoder": "voxels", "encoder_settings": {}, "epochs": 1, "batch_size": 4}
    plain = dict.fromkeys(("noise", "shift", "channel_dropout", "time_mask", "scaling", "smoothing"), 0.0)
    return change_recipe(recipe, {**fields, **plain, "average": [1, 1]})


@pytest.fixture
def opened(pattern_stores, tmp_path):
    pattern_stores.write_patterns(tmp_path / "store")
    return TrialStore(tmp_path / "store")


def names_of(trained):
    return trained.processor.feature_extractor.channel_names


@pytest.mark.parametrize(("rois", "places"), [("V1", [0, 1, 2]), (["V2", "V1"], [0, 1, 2, 3, 4]), (None, range(6))])
def test_training_reads_the_regions_asked_for(voxel_recipe, opened, tmp_path, rois, places):
    chosen = change_recipe(voxel_recipe, {**OWN, "rois": rois})
    run = train_run(chosen, opened, tmp_path / "run")
    report = evaluate_run(run, opened)
    assert report.run["store"] == opened.info.fingerprint
    trained = train_on_store(chosen, opened)
    assert names_of(trained) == [f"sub-01_{place}" for place in places]
    assert trained.model.config.encoder_config.trial_shape == (len(places),)
    assert set(trained.processor.feature_extractor.rois) == {"V1", "V2"}


def spoilt(store, tmp_path, splits, place=0):
    """The store with one voxel of the first subject answering to nothing but the concept, in these splits."""
    copy = shutil.copytree(store.path, tmp_path / "spoilt")
    for split in splits:
        values = np.load(copy / "sub-01" / f"{split}.npy")
        concepts = store.trials[columns.CONCEPT].iloc[store.select(split, ["sub-01"])]
        values[:, place] = pd.factorize(concepts)[0] * 30.0
        np.save(copy / "sub-01" / f"{split}.npy", values)
    return TrialStore(copy)


def test_voxels_are_chosen_without_a_look_at_test_or_validation(voxel_recipe, opened, tmp_path):
    chosen = change_recipe(voxel_recipe, {**OWN, "voxels": 2})
    clean = train_on_store(chosen, opened)
    assert len(names_of(clean)) == 2
    assert "sub-01_0" not in names_of(clean)  # or the next lines would show nothing
    tested = train_on_store(chosen, spoilt(opened, tmp_path, ["test", "imagery"]))
    assert names_of(tested) == names_of(clean)
    mine, theirs = clean.model.state_dict(), tested.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    shutil.rmtree(tmp_path / "spoilt")
    trained = train_on_store(chosen, spoilt(opened, tmp_path, ["train"]))
    assert "sub-01_0" in names_of(trained)


def test_evaluation_reads_the_voxels_that_training_chose(voxel_recipe, opened, tmp_path):
    chosen = change_recipe(voxel_recipe, {**OWN, "subjects": ["sub-02"], "rois": ["V1", "FFA"], "voxels": 2})
    run = train_run(chosen, opened, tmp_path / "run")
    _, processor = load_run(run)
    names = processor.feature_extractor.channel_names
    assert len(names) == 2
    assert set(names) < {f"sub-02_{place}" for place in (0, 1, 2, 7)}
    evaluate_run(run, opened)
    rows = opened.select("test", ["sub-02"])
    read = fitting_part(processor, opened).read(rows)
    np.testing.assert_array_equal(read, opened.read(rows)[:, [int(name.rpartition("_")[2]) for name in names]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**OWN, "rois": ["FFA"]}, r"rois is \['FFA'\], and .* has no ROI FFA: it knows V1, V2"),
        ({**OWN, "voxels": 7}, "voxels is 7, and there are 6 to choose from"),
        ({**OWN, "rois": ["V1"], "voxels": 4}, "voxels is 4, and there are 3"),
        ({}, r"channels of sub-01 and sub-02 differ \(6 and 8\).*split=intra-subject"),
        (
            {"split": "leave-one-subject-out", "held_out_subject": "sub-02"},
            "channels of sub-01 and sub-02 differ",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_before_training(voxel_recipe, opened, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        train_run(change_recipe(voxel_recipe, changes), opened, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rois": []}, r"rois is \[\], and none is named"),
        ({"rois": ["V1"], "channels": ["sub-01_0"]}, r"rois is \['V1'\], and channels is \['sub-01_0'\]"),
        ({"voxels": 0}, "voxels is 0: it must be 1 or more, or null"),
    ],
)
def test_settings_that_cannot_be_are_refused(voxel_recipe, changes, message):
    with pytest.raises(InputError, match=message):
        change_recipe(voxel_recipe, changes)


def test_a_store_of_recordings_has_no_regions(recipe, store):
    with pytest.raises(InputError, match="has no ROI V1: it knows no regions of interest"):
        train_on_store(change_recipe(recipe, {"rois": ["V1"]}), store)
    with pytest.raises(InputError, match=r"voxels is 2, but .* with samples in time: leave it out"):
        train_on_store(change_recipe(recipe, {"voxels": 2}), store)
