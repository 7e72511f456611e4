"""The processor: standardising by hand-known numbers, channels by name, saving and loading to the bit."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoFeatureExtractor, AutoProcessor, AutoTokenizer

import neuroclip_hf
from neuroclip_hf import BrainCLIPProcessor, BrainFeatureExtractor, InputError, NeuroCLIPProcessor
from neuroclip_hf.columns import RANDOM_TOWER, SMALL_CLIP
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.kinds import find_kind
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.protocols import building

CHANNELS = ["P7", "O1", "O2"]


def extractor(**changes) -> BrainFeatureExtractor:
    settings = {
        "channel_names": CHANNELS,
        "sampling_rate": 50.0,
        "num_timesteps": 4,
        "mean": [1.0, 2.0, 3.0],
        "std": 2.0,
        **changes,
    }
    return BrainFeatureExtractor(**settings)


def test_standardises_by_a_mean_a_channel_and_one_standard_deviation():
    values = np.ones((2, 3, 4)) * np.array([1.0, 4.0, 9.0])[:, None]
    found = extractor()(values)["eeg_values"]
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.tensor([0.0, 1.0, 3.0])[:, None].expand(2, 3, 4))


def test_one_trial_becomes_a_batch():
    assert extractor()(np.zeros((3, 4)))["eeg_values"].shape == (1, 3, 4)


def test_channels_are_picked_and_ordered_by_name():
    values = np.arange(4.0)[:, None] * np.ones((1, 4, 4))
    names = ["O2", "Fz", "P7", "O1"]
    found = extractor(mean=[0.0] * 3, std=1.0)(values, channel_names=names)["eeg_values"]
    assert found[0, :, 0].tolist() == [2.0, 3.0, 0.0]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 3, 4), {"channel_names": ["P7", "O1", "Oz"]}, "channels O2 are missing"),
        ((1, 4, 4), {"channel_names": CHANNELS}, "3 channel names"),
        ((4,), {"channel_names": CHANNELS}, "3 channel names"),
        ((1, 3, 5), {}, r"\(1, 3, 5\)"),
        ((4,), {}, r"\(4,\)"),
        ((1, 3, 4), {"sampling_rate": 100.0}, "4 samples at 100 Hz, 0.04 s.*0 to 0.08 s: say window_start"),
    ],
)
def test_what_does_not_fit_is_named(shape, options, message):
    with pytest.raises(InputError, match=message):
        extractor()(np.zeros(shape), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    values = np.zeros((2, 3, 4))
    values[1, 2, 3] = value
    with pytest.raises(InputError, match="NaN"):
        extractor()(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": [1.0]}, "1 means"),
        ({"std": 0.0}, "above zero"),
        ({"std": [1.0, 0.0, 1.0], "num_timesteps": None}, "std 0.0 for 3 channels: std must be above zero"),
        ({"std": [1.0, 1.0], "num_timesteps": None}, "2 std for 3 channels"),
        ({"std": [1.0, 1.0, 1.0]}, "give one number, or for patterns one a voxel"),
        ({"rois": {"V1": [0, 3]}}, "V1 lies outside the 3 channels"),
        ({"std": float("nan")}, "must be numbers"),
        ({"std": "wide"}, "must be numbers"),
        ({"sampling_rate": "fast"}, "must be numbers"),
        ({"whitening": [[1.0]]}, "whitening has shape"),
        ({"epochs": {"windw": [0, 1]}}, "windw"),
    ],
)
def test_damaged_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        extractor(**changes)


def test_fitted_on_the_given_trials_only(array_store):
    brain = np.random.default_rng(0).standard_normal((50, 3, 20)) * 1e-5 + np.array([1e-5, 0, -1e-5])[:, None]
    store = array_store(brain=brain)
    rows = store.select("train")
    found = BrainFeatureExtractor.fit(store, rows)
    values = store.read(rows).astype(np.float64)
    mean = values.mean(axis=(0, 2))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, np.sqrt(np.mean((values - mean[:, None]) ** 2)), rtol=1e-12)
    assert (found.channel_names, found.sampling_rate, found.unit, found.subjects) == (CHANNELS, 50.0, "V", ["sub-01"])
    changed = brain.copy()
    changed[store.trials["sample"].to_numpy()[store.select("test")]] += 1e-3
    again = BrainFeatureExtractor.fit(array_store("other", brain=changed), rows)
    assert (again.mean, again.std) == (found.mean, found.std)


def test_large_splits_are_measured_on_a_part(array_store, monkeypatch):
    store = array_store()
    monkeypatch.setattr("neuroclip_hf.processing.moments.FIT_TRIALS", 2)
    found = BrainFeatureExtractor.fit(store, store.select("train"))
    ends = store.read(store.select("train")[[0, -1]]).astype(np.float64)
    np.testing.assert_allclose(found.mean, ends.mean(axis=(0, 2)), rtol=1e-12)


def test_flat_channels_are_named(array_store):
    brain = np.random.default_rng(0).standard_normal((50, 3, 20)) * 1e-5
    brain[np.arange(50) % 10 < 8, 1] = 0
    store = array_store(brain=brain)
    with pytest.raises(InputError, match="O1 never change in training"):
        BrainFeatureExtractor.fit(store, store.select("train"))


def test_patterns_have_a_key_of_their_own(array_store):
    brain = np.random.default_rng(0).standard_normal((50, 7)) + 5
    store = array_store(brain=brain, channel_names=None, sampling_rate=None, unit=None)
    rows = store.select("train")
    extractor = BrainFeatureExtractor.fit(store, rows)
    values = extractor(store.read(rows))["fmri_values"]
    assert values.shape == (len(rows), 7)
    assert values.mean(dim=0).abs().max() < 1e-3
    assert extractor(store.read(rows)[0])["fmri_values"].shape == (1, 7)
    with pytest.raises(InputError, match=r"shape \(2, 6\).*\(batch, voxels\) of 7"):
        extractor(np.zeros((2, 6)))


def test_patterns_are_standardised_voxel_by_voxel_over_all_training_trials(array_store, monkeypatch):
    spread = np.array([1.0, 5.0, 0.2])
    brain = np.random.default_rng(0).standard_normal((50, 3)) * spread + 5
    store = array_store(brain=brain, channel_names=None, sampling_rate=None, unit="sd")
    rows = store.select("train")
    whole = BrainFeatureExtractor.fit(store, rows)
    values = store.read(rows).astype(np.float64)
    np.testing.assert_allclose(whole.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(whole.std, values.std(axis=0), rtol=1e-6)
    standard = whole(store.read(rows))["fmri_values"]
    np.testing.assert_allclose(standard.std(dim=0, correction=0), 1, rtol=1e-5)
    monkeypatch.setattr("neuroclip_hf.processing.moments.FIT_TRIALS", 7)
    parts = BrainFeatureExtractor.fit(store, rows)
    np.testing.assert_allclose(parts.std, whole.std, rtol=1e-6)
    brain[store.trials["sample"].to_numpy()[store.select("test")]] += 20
    other = array_store("other", brain=brain, channel_names=None, sampling_rate=None, unit="sd")
    assert BrainFeatureExtractor.fit(other, rows).std == parts.std


def test_regions_of_the_voxels_go_with_the_checkpoint(pattern_stores, tmp_path):
    pattern_stores.write_patterns(tmp_path / "store")
    store = TrialStore(tmp_path / "store")
    part = part_of_store(store, rois=["V2"], subjects=["sub-02"])
    found = BrainFeatureExtractor.fit(part, store.select("train", ["sub-02"]))
    assert found.rois == {"V1": [0], "V2": [0, 1, 2]}
    assert found.channel_names == ["sub-02_2", "sub-02_3", "sub-02_4"]
    found.save_pretrained(tmp_path / "saved")
    assert BrainFeatureExtractor.from_pretrained(tmp_path / "saved").to_dict() == found.to_dict()
    with pytest.raises(InputError, match=r"channels of sub-01 and sub-02 differ"):
        BrainFeatureExtractor.fit(store, store.select("train"))


def test_checkpoints_without_regions_say_nothing_of_them(trained):
    assert trained.processor.feature_extractor.rois == {}
    assert "rois" not in trained.processor.feature_extractor.to_dict()


def test_a_pattern_with_nan_is_named(array_store, monkeypatch):
    brain = np.random.default_rng(0).standard_normal((50, 3))
    store = array_store(brain=brain, channel_names=None, sampling_rate=None, unit="sd")
    values = np.full((40, 3), [0.0, np.nan, 1.0], dtype=np.float32)
    monkeypatch.setattr(TrialStore, "read", lambda self, rows: values)
    with pytest.raises(InputError, match="voxel_1 holds NaN or infinite values in training"):
        BrainFeatureExtractor.fit(store, store.select("train"))


def test_whitening_of_the_training_sessions_goes_with_the_checkpoint(trained, store):
    from neuroclip_hf.data.whitening import whitening_matrix

    found = np.array(trained.processor.feature_extractor.whitening)
    np.testing.assert_allclose(found, whitening_matrix(store.covariances().mean(axis=0)), rtol=1e-12)


def test_saved_and_loaded_to_the_bit(trained, store, tmp_path):
    trained.processor.save_pretrained(tmp_path)
    loaded = NeuroCLIPProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == trained.processor.to_dict()
    trials, picture = store.read(np.arange(3)), store.open_picture(store.pictures["image_id"].iloc[0])
    names = store.info.channels
    mine, theirs = (one(trials, picture, channel_names=names) for one in (trained.processor, loaded))
    assert set(mine) == {"eeg_values", "pixel_values"}
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert type(loaded.image_processor) is type(trained.processor.image_processor)


def test_auto_classes_find_both(run_folder):
    neuroclip_hf.register()
    neuroclip_hf.register()
    assert isinstance(AutoProcessor.from_pretrained(run_folder), NeuroCLIPProcessor)
    assert isinstance(AutoFeatureExtractor.from_pretrained(run_folder), BrainFeatureExtractor)


def test_something_must_be_given(trained):
    with pytest.raises(InputError, match="eeg, images"):
        trained.processor()
    with pytest.raises(InputError, match="without channel_names"):
        trained.processor(np.zeros((1, 2, 3)))


def test_patterns_are_given_as_fmri(trained, array_store):
    brain = np.random.default_rng(0).standard_normal((50, 7)) + 5
    store = array_store(brain=brain, channel_names=None, sampling_rate=None, unit=None)
    trials = BrainFeatureExtractor.fit(store, store.select("train"))
    processor = NeuroCLIPProcessor(trials, trained.processor.image_processor)
    names = store.info.channels
    assert processor(fmri=store.read(np.arange(3)), channel_names=names)["fmri_values"].shape == (3, 7)
    assert trials.model_input_names == ["fmri_values"]
    with pytest.raises(InputError, match="eeg was given, but this checkpoint reads fmri: pass fmri="):
        processor(eeg=store.read(np.arange(3)), channel_names=names)
    with pytest.raises(InputError, match="fmri was given, but this checkpoint reads eeg"):
        trained.processor(fmri=np.zeros((1, 7)), channel_names=names)
    with pytest.raises(InputError, match="fmri comes without channel_names"):
        processor(fmri=np.zeros((1, 7)))


def test_pictures_alone(trained):
    assert set(trained.processor(images=Image.new("RGB", (20, 30)))) == {"pixel_values"}


def test_arrays_cannot_say_how_to_cut_a_recording(array_store):
    store: TrialStore = array_store()
    with pytest.raises(InputError, match="trained on arrays"):
        BrainFeatureExtractor.fit(store, store.select("train")).epoch_settings  # noqa: B018


@pytest.mark.parametrize("load", [NeuroCLIPProcessor.from_pretrained, AutoProcessor.from_pretrained])
def test_code_beside_a_checkpoint_is_neither_run_nor_asked_for(run_copy, monkeypatch, load):
    neuroclip_hf.register()
    path, ran = run_copy / "processor_config.json", run_copy / "ran"
    (run_copy / "remote.py").write_text(f"open({str(ran)!r}, 'w')\nclass Remote: pass\n")
    described = json.loads(path.read_text())
    described["image_processor"] |= {"auto_map": {"AutoImageProcessor": ["remote.Remote", "remote.Remote"]}}
    described["image_processor"]["image_processor_type"] = "Remote"
    path.write_text(json.dumps(described))
    asked = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(words) or "y")
    with pytest.raises(ValueError, match="trust_remote_code"):  # transformers' words: it cannot be loaded without
        load(run_copy)
    # Through AutoProcessor it is about the class of the processor; its parts are settings all the same.
    ours = load == NeuroCLIPProcessor.from_pretrained
    with pytest.raises(ValueError, match="trust_remote_code is True" if ours else "contains custom code"):
        load(run_copy, trust_remote_code=True)
    assert not asked
    assert not ran.exists()


class WordsProcessor(BrainImageProcessor):
    """A kind of model that reads captions: what CONTRIBUTING says that it overrides."""

    tokenizer = None

    def __init__(self, feature_extractor, image_processor, tokenizer):
        super().__init__(feature_extractor, image_processor, tokenizer=tokenizer)

    @classmethod
    def build(cls, feature_extractor, image_processor, tower, revision, config):
        return cls(feature_extractor, image_processor, AutoTokenizer.from_pretrained(tower, revision=revision))

    def picture_inputs(self, pictures):
        return {"input_ids": self.tokenizer(list(pictures["caption"]), return_tensors="pt", padding=True).input_ids}


@pytest.mark.parametrize("tower", [SMALL_CLIP, RANDOM_TOWER])
def test_a_kind_may_have_a_tokenizer(trained, recipe, tmp_path, monkeypatch, tower):
    words = replace(find_kind(recipe.model.kind), processor_class=WordsProcessor)
    monkeypatch.setattr(building, "find_kind", lambda _: words)
    settings = replace(recipe.model, tower=tower)
    brain = trained.processor.feature_extractor
    processor = building.build_processor(settings, brain, building.build_model(settings, brain))
    processor.save_pretrained(tmp_path)
    loaded = WordsProcessor.from_pretrained(tmp_path)
    assert loaded.feature_extractor.channel_names == brain.channel_names
    pictures = pd.DataFrame({"caption": ["a dog", "a small dog"]})
    ids = loaded.picture_inputs(pictures)["input_ids"]
    assert ids.tolist() == processor.picture_inputs(pictures)["input_ids"].tolist()
    shipped = AutoTokenizer.from_pretrained(SMALL_CLIP_FOLDER)
    assert ids[1].tolist() == shipped("a small dog").input_ids


def test_a_processor_is_of_two_parts_unless_a_kind_has_more(trained):
    parts = trained.processor.feature_extractor, trained.processor.image_processor
    processor = NeuroCLIPProcessor.build(*parts, "nowhere", None, None)
    assert (processor.feature_extractor, processor.image_processor) == parts
    with pytest.raises(TypeError, match="tokenizer"):
        NeuroCLIPProcessor(*parts, tokenizer=None)


def test_texts_are_captions_or_the_template(trained):
    parts = trained.processor.feature_extractor, trained.processor.image_processor
    tokenizer = AutoTokenizer.from_pretrained(SMALL_CLIP_FOLDER)
    processor = BrainCLIPProcessor(*parts, tokenizer, text_template="a {}")
    table = pd.DataFrame({"caption": ["a small dog", "", ""], "concept": ["dog", "cat", "dog"]})
    assert processor.texts(table) == ["a small dog", "a cat", "a dog"]
    assert processor.texts(table[["concept"]]) == ["a dog", "a cat", "a dog"]
    inputs = processor.picture_inputs(table)
    assert inputs["concept_index"].tolist() == [0, 1, 0]
    alone = tokenizer("a cat").input_ids
    assert inputs["input_ids"][1][: len(alone)].tolist() == alone
    assert inputs["attention_mask"][1].sum() == len(alone) < inputs["input_ids"].shape[1]
    assert processor.tokens(["a dog " * 500])["input_ids"].shape[1] == 32  # what the text tower reads


def test_a_template_goes_with_the_checkpoint(trained, tmp_path):
    parts = trained.processor.feature_extractor, trained.processor.image_processor
    tokenizer = AutoTokenizer.from_pretrained(SMALL_CLIP_FOLDER)
    BrainCLIPProcessor(*parts, tokenizer, text_template="one {}").save_pretrained(tmp_path)
    assert BrainCLIPProcessor.from_pretrained(tmp_path).text_template == "one {}"


def test_text_is_read_as_transformers_processors_read_it(trained):
    parts = trained.processor.feature_extractor, trained.processor.image_processor
    tokenizer = AutoTokenizer.from_pretrained(SMALL_CLIP_FOLDER)
    processor = BrainCLIPProcessor(*parts, tokenizer)
    words = ["a dog", "a small dog"]
    batch = processor(text=words, images=[Image.new("RGB", (9, 9))])
    assert set(batch) == {"input_ids", "attention_mask", "pixel_values"}
    assert batch["input_ids"].tolist() == tokenizer(words, padding=True).input_ids
    assert batch["attention_mask"].tolist() == tokenizer(words, padding=True).attention_mask
    assert processor(text="a dog")["input_ids"].tolist() == [tokenizer("a dog").input_ids]
    assert processor(text=["a dog " * 500])["input_ids"].shape[1] == 32
    for wrong in ([], [3]):
        with pytest.raises(InputError, match="give one text, or a list of at least one"):
            processor(text=wrong)
    with pytest.raises(InputError, match="this checkpoint has no text tower"):
        trained.processor(text=words)
