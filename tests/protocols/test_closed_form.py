"""Encoders that are solved for, through the same door as those that are trained."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from transformers import Trainer, TrainingArguments

from neuroclip_hf import columns
from neuroclip_hf.cli.reproduce import reproduction_table
from neuroclip_hf.data.sources.arrays import prepare_arrays
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.brainclip import BrainCLIPModel
from neuroclip_hf.protocols.ablate.main import ablate
from neuroclip_hf.protocols.ablate.parts import changes_for_encoder
from neuroclip_hf.protocols.ablate.variations import Variation
from neuroclip_hf.protocols.groups import groups_of
from neuroclip_hf.protocols.reproduce.main import reproduce
from neuroclip_hf.protocols.run import train_on_store, train_run
from neuroclip_hf.training.settings import load_recipe

VOXELS, CONCEPTS, TEST_CONCEPTS, PICTURES = 40, 10, 3, 6
KINDS = ("ridge", "kernel-ridge", "banded-ridge")


def make_store(folder, protocol, regions=True):
    """Patterns that see the mean colours of nine parts of their picture, in one of two regions; the other is noise."""
    rng = np.random.default_rng(0)
    test_concepts = TEST_CONCEPTS if protocol == columns.NEW_CONCEPTS else 0
    concept = np.repeat(np.arange(CONCEPTS + test_concepts), PICTURES)
    colours = 0.8 * rng.uniform(0, 255, (CONCEPTS + test_concepts, 3, 3, 3))[concept]
    colours += 0.2 * rng.uniform(0, 255, (len(concept), 3, 3, 3))
    seen = (colours.reshape(len(concept), -1) - 127) / 60
    brain = rng.standard_normal((len(concept), VOXELS))
    brain[:, : VOXELS // 2] += seen @ rng.standard_normal((seen.shape[1], VOXELS // 2))
    masks = np.zeros((3, VOXELS), dtype=bool)
    masks[0, : VOXELS // 2] = masks[1, VOXELS // 2 : -2] = masks[2, :-2] = True  # two voxels are in none
    tested = concept >= CONCEPTS if test_concepts else np.arange(len(concept)) % PICTURES == 0
    arrays = {"rois": np.array(["V1", "LOC", "VC"]), "roi_masks": masks} if regions else {}
    np.savez(
        folder / "patterns.npz",
        brain=brain.astype(np.float32),
        images=colours.repeat(11, axis=1).repeat(11, axis=2).astype(np.uint8),
        image_id=np.arange(len(concept)),
        concept=np.array([f"concept {number}" for number in concept]),
        split=np.where(tested, columns.TEST, columns.TRAIN),
        **arrays,
    )
    return TrialStore(prepare_arrays(folder / "patterns.npz", folder / "store", protocol=protocol, simulated=True))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("patterns"), columns.NEW_PICTURES)


def recipe(kind="ridge", **changes):
    if kind == "banded-ridge":
        pytest.importorskip("himalaya")
        changes = {"encoder_settings.draws": 6} | changes
    return load_recipe(f"brainclip-{kind}", changes)


@pytest.fixture(scope="module", params=KINDS)
def run(request, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train_run(recipe(request.param), store, folder, control=True, keep_last=True)


def facts_of(run):
    return json.loads((run / "run.json").read_text(encoding="utf-8"))


def test_a_run_is_like_every_other(run, store):
    names = {"config.json", "model.safetensors", "processor_config.json", "recipe.yaml", "run.json", "training.jsonl"}
    assert names | {"trained_on.json", "control", "last_epoch"} <= {path.name for path in run.iterdir()}
    entries = [json.loads(line) for line in (run / "training.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["epoch"] for entry in entries] == [1]
    facts = facts_of(run)
    assert (facts["best_epoch"], facts["epochs"]) == (1, 1)
    fitted = facts["closed_form"]
    assert entries[0]["loss"] == pytest.approx(1 - fitted["cv_r2"])
    assert fitted["alpha"] in fitted["alphas"]
    assert fitted["folds"] == 5
    assert fitted["cv_r2"] > 0.2


def test_the_control_knows_nothing(run):
    mine, control = facts_of(run), facts_of(run / "control")
    assert control["shuffled_pairs"]
    assert control["closed_form"]["cv_r2"] < mine["closed_form"]["cv_r2"] - 0.2


def test_the_checkpoint_is_small_and_loads(run, store):
    model = BrainCLIPModel.from_pretrained(run).eval()
    assert (run / "model.safetensors").stat().st_size < 2 * 4 * VOXELS * 1024
    values = torch.randn(3, VOXELS)
    again = BrainCLIPModel.from_pretrained(run / "last_epoch").eval()
    assert torch.equal(model.get_brain_features(values), again.get_brain_features(values))
    frozen = {name for name, each in model.encoder.named_parameters() if not each.requires_grad}
    assert frozen == {name for name, _ in model.encoder.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_it_repeats_itself_to_the_byte(kind, store, tmp_path):
    folders = [train_run(recipe(kind), store, tmp_path / name) for name in ("one", "two")]
    for name in ("model.safetensors", "training.jsonl", "config.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_bands_are_the_regions_of_the_store(store):
    trained = train_on_store(recipe("banded-ridge"), store)
    bands = trained.model.config.encoder_config.bands
    assert {name: len(places) for name, places in bands.items()} == {"V1": 20, "LOC": 18, "rest": 2}
    weights = trained.facts["closed_form"]["band_weights"]
    assert weights["V1"] > 0.8


def test_targets_follow_the_weights(store):
    def weight(**weights):
        changes = {"encoder_settings.alphas": [1.0], **weights}
        return train_on_store(recipe("ridge", **changes), store).model.encoder.linear.weight

    # The penalty is the same, so that solutions add up as their targets do.
    picture, text = weight(text_weight=0), weight(image_weight=0)
    assert not torch.allclose(picture, text, atol=1e-3)
    torch.testing.assert_close(weight(), (picture + text) / 2, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(weight(text_weight=3.0), (picture + 3 * text) / 4, atol=1e-5, rtol=1e-4)


def test_groups_are_what_the_protocol_tests_anew():
    items = pd.DataFrame(
        {
            columns.SUBJECT: ["a", "a", "a", "b"],
            columns.SESSION: [1, 1, 2, 1],
            columns.RUN: [1, 2, 1, 1],
            columns.CONCEPT: ["x", "y", "x", "x"],
            columns.IMAGE_ID: ["p", "q", "r", "p"],
        }
    )
    assert groups_of(items, columns.BY_CONCEPTS, columns.NEW_CONCEPTS) == [0, 1, 0, 0]
    assert groups_of(items, columns.BY_PICTURES, columns.NEW_CONCEPTS) == [0, 1, 2, 0]
    assert groups_of(items, columns.BY_TRIALS, columns.NEW_TRIALS) == [0, 1, 2, 3]
    assert groups_of(items, columns.BY_SESSIONS, columns.NEW_TRIALS) == [0, 0, 1, 2]
    assert groups_of(items, columns.BY_SUBJECTS, columns.NEW_TRIALS) == [0, 0, 0, 1]
    assert groups_of(items, columns.BY_STORE, columns.NEW_PICTURES) == [0, 1, 2, 0]
    one_run = items.assign(subject="a", session=1, run=1)
    assert groups_of(one_run, columns.BY_TRIALS, columns.NEW_TRIALS) == [0, 1, 2, 3]


def test_concepts_are_held_out_together(tmp_path, monkeypatch):
    given = {}

    def fit(encoder, values, targets, groups):
        given["groups"] = groups
        return {"cv_r2": 0.0}

    monkeypatch.setattr("neuroclip_hf.models.encoders.closed_form.ClosedFormEncoder.fit", fit)
    train_on_store(recipe(), make_store(tmp_path, columns.NEW_CONCEPTS))
    sizes = np.bincount(given["groups"])
    assert set(sizes) == {PICTURES}
    assert len(sizes) < CONCEPTS  # the others validate


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mixco": 0.2}, "mixco is 0.2.*say mixco=0"),
        ({"soft_targets": 0.5}, "soft_targets is 0.5.*say soft_targets=0"),
        ({"mse_weight": 1.0}, "mse_weight is 1.0.*say mse_weight=0"),
        ({"brain_projection": "linear"}, "brain_projection is linear.*say brain_projection=none"),
        ({"prompt": {}}, "prompts or LoRA are trained: say prompt=null"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(store, changes, named):
    with pytest.raises(InputError, match=named):
        train_on_store(recipe("ridge", **changes), store)


def test_neuroclip_is_refused_in_words(store):
    neuroclip = load_recipe("demo", {"encoder": "ridge", "encoder_settings": {}, "prompt": None})
    with pytest.raises(InputError, match=r"ridge, which is solved for, and neuroclip trains.*say kind=brainclip"):
        train_on_store(neuroclip, store)


def test_regions_are_needed_for_bands(tmp_path):
    with pytest.raises(InputError, match="these trials name none"):
        train_on_store(recipe("banded-ridge"), make_store(tmp_path, columns.NEW_PICTURES, regions=False))


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """One picture a concept, shown twice, and two concepts tested."""
    folder = tmp_path_factory.mktemp("figures")
    images = np.random.default_rng(0).integers(0, 255, (6, 33, 33), dtype=np.uint8)
    shown = np.tile(np.arange(6), 2)
    seen = images[:, ::6, ::6].reshape(6, -1)[shown] / 100 + np.random.default_rng(1).standard_normal((12, 36))
    split = np.where(shown >= 4, columns.TEST, columns.TRAIN).astype("<U10")
    np.savez(folder / "figures.npz", brain=seen, images=images, image_id=shown, split=split)
    return folder / "figures.npz"


def test_one_picture_a_concept_validates_by_concepts(figures, tmp_path):
    store = TrialStore(prepare_arrays(figures, tmp_path / "store", protocol=columns.NEW_PICTURES))
    facts = train_on_store(recipe(), store).facts
    assert facts["validation"]["by"] == columns.BY_CONCEPTS
    assert facts["validation"]["shares_with_training"] == "nothing"
    linear = train_on_store(load_recipe("brainclip-linear", {"epochs": 1}), store).facts
    assert linear["validation"]["by"] == columns.BY_CONCEPTS


@pytest.mark.parametrize("control", [False, True])
def test_no_validation_stops_what_chooses_no_epoch(figures, tmp_path, caplog, control):
    arrays = dict(np.load(figures))
    arrays["split"][arrays["image_id"] >= 2] = columns.TEST  # two concepts are left, and no two can be held out
    np.savez(tmp_path / "two.npz", **arrays)
    store = TrialStore(prepare_arrays(tmp_path / "two.npz", tmp_path / "store", protocol=columns.NEW_PICTURES))
    trained = train_on_store(recipe(), store, shuffled=control)
    assert "Validation cannot be held out of 4 training trials by concepts" in caplog.text
    assert "ridge is solved for and chooses no epoch, so that all trials train" in caplog.text
    assert trained.facts["validation"] == {"by": "none", "trials": 0, "shares_with_training": "nothing"}
    assert "validation_top1" not in trained.result.history[0]
    with pytest.raises(InputError, match="Validation cannot be held out"):
        train_on_store(recipe(validation="concepts"), store)
    with pytest.raises(InputError, match="Validation cannot be held out"):
        train_on_store(load_recipe("brainclip-linear"), store)


def test_nothing_need_be_validated(store, figures, tmp_path):
    facts = train_on_store(recipe(validation="none"), store).facts
    assert facts["validation"]["by"] == "none"
    with pytest.raises(InputError, match="validation=none, and encoder linear_map is trained epoch by epoch"):
        train_on_store(load_recipe("brainclip-linear", {"validation": "none"}), store)
    arrays = dict(np.load(figures))
    arrays["split"][arrays["image_id"] == 3] = columns.VALIDATION
    np.savez(tmp_path / "declared.npz", **arrays)
    one = TrialStore(prepare_arrays(tmp_path / "declared.npz", tmp_path / "store", protocol=columns.NEW_PICTURES))
    assert "gallery_size" not in train_on_store(recipe(), one).facts["validation"]


def test_gradients_are_refused_by_name(store, tmp_path):
    trained = train_on_store(recipe(), store)
    model = trained.model.train()
    settings = TrainingArguments(tmp_path, max_steps=1, report_to=[], use_cpu=True, remove_unused_columns=False)
    size = model.config.vision_config.image_size
    batch = {"fmri_values": torch.randn(4, VOXELS), "pixel_values": torch.randn(4, 3, size, size)}
    items = [{name: each[row] for name, each in batch.items()} for row in range(4)]
    with pytest.raises(InputError, match=r"encoder ridge is solved for.*model.encoder.fit\(values, targets, groups\)"):
        Trainer(model, settings, train_dataset=items).train()


def test_a_reproduction_shows_no_epochs_where_there_are_none(store, tmp_path):
    report = reproduce(recipe(), store, tmp_path / "out", protocol="intra", seeds=1)
    rows = [row for row in report.results if row["tier"] == columns.INDUCTIVE]
    assert [row["selection"] for row in rows] == ["in closed form"]
    shown = Console(width=200, file=io.StringIO())
    shown.print(reproduction_table(report.to_dict()))
    header = next(line for line in shown.file.getvalue().splitlines() if "top-1" in line)
    assert header.split("top-1")[1:] == [", in closed form   top-5, in closed form  "]


def test_ablations_compare_solved_encoders_with_trained_ones(store, tmp_path, monkeypatch):
    linear = load_recipe("brainclip-linear", {"epochs": 1, "selection": "loss"})
    varied = [Variation("the recipe", {}), Variation("ridge", changes_for_encoder(linear, "ridge")[0])]
    monkeypatch.setattr("neuroclip_hf.protocols.ablate.main.variations", lambda *_: (varied, []))
    rows = ablate(linear, store, tmp_path / "out", over="encoders", seeds=1).rows
    assert rows[1]["difference"]["difference"] == pytest.approx(rows[1]["top1"]["mean"] - rows[0]["top1"]["mean"])


def test_fewer_trials_than_classes_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    shown = np.repeat(np.arange(12), 2)
    np.savez(
        tmp_path / "few.npz",
        brain=rng.standard_normal((24, 9)),
        images=rng.integers(0, 255, (12, 8, 8), dtype=np.uint8),
        image_id=shown,
        concept=np.array([f"concept {row // 2}" for row in range(12)]),
        subject=np.where(np.arange(24) < 4, "sub-01", "sub-02"),
        split=np.where(shown >= 10, columns.TEST, columns.TRAIN),
    )
    store = TrialStore(prepare_arrays(tmp_path / "few.npz", tmp_path / "store"))
    alone = {"split": "intra-subject", "subjects": ["sub-01"]}
    with pytest.raises(InputError, match="holds 4 training trials of sub-01 for 5 classes: too few to learn them"):
        train_on_store(recipe(**alone), store)
    train_on_store(recipe(), store)
