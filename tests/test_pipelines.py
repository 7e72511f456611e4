"""The pipeline: found by transformers, the same as the verb, for EEG and fMRI, pictures and texts."""

import json
import os

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import neuroclip_hf
from neuroclip_hf import BrainCLIPModel, BrainCLIPProcessor, BrainFeatureExtractor, InputError
from neuroclip_hf.cli.main import main
from neuroclip_hf.evaluation.categories import CLIP_TEMPLATES, embed_class_texts
from neuroclip_hf.galleries import GalleryIndex, build_index
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from neuroclip_hf.pipelines import TASK, BrainImageRetrievalPipeline
from neuroclip_hf.processing.embedding import encode_trials

VOXELS = [f"v{place}" for place in range(7)]


@pytest.fixture(scope="module")
def find(run_folder):
    return transformers.pipeline("brain-image-retrieval", model=run_folder, device="cpu")


@pytest.fixture(scope="module")
def recording(simulated):
    return simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"


@pytest.fixture(scope="module")
def gallery(simulated):
    return simulated / "test_images"


@pytest.fixture(scope="module")
def decode():
    """A BrainCLIP of seven voxels, not trained, whose texts are centred."""
    torch.manual_seed(1)
    settings = {"encoder": "mlp_map", "encoder_settings": {"num_voxels": 7, "width": 16}, "prompt": None}
    model = BrainCLIPModel.from_vision_pretrained(**settings).eval()
    model.text_centre.copy_(torch.randn(model.config.projection_dim) / 10)
    brain = BrainFeatureExtractor(VOXELS, unit="au", mean=[2.0] * 7, std=[1.0] * 7)
    pictures = transformers.AutoImageProcessor.from_pretrained(SMALL_CLIP_FOLDER, backend="pil")
    processor = BrainCLIPProcessor.build(brain, pictures, str(SMALL_CLIP_FOLDER), None, model.config)
    return transformers.pipeline(TASK, model=model, processor=processor, device="cpu")


@pytest.fixture
def patterns():
    return np.random.default_rng(0).standard_normal((6, 7)) + 2


@pytest.fixture
def run_python(forks, tmp_path):
    def run(*lines):
        done = forks.run("\n".join(lines), environment=os.environ, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


REGISTERED = (
    "from transformers.pipelines import PIPELINE_REGISTRY",
    "print(PIPELINE_REGISTRY.check_task('brain-image-retrieval')[1]['impl'].__name__)",
)


@pytest.mark.parametrize(
    "lines",
    [
        ("import neuroclip_hf", "from transformers import pipeline"),
        ("from transformers import pipeline", "import neuroclip_hf"),
        ("import neuroclip_hf.pipelines",),
        ("from neuroclip_hf import BrainImageRetrievalPipeline",),
    ],
)
def test_transformers_finds_it_whatever_is_imported_first(run_python, lines):
    assert run_python(*lines, *REGISTERED) == "BrainImageRetrievalPipeline"


def test_registering_the_models_loads_no_pipelines(run_python):
    lines = ("import sys, neuroclip_hf", "neuroclip_hf.register()", "print('transformers.pipelines' in sys.modules)")
    assert run_python(*lines) == "False"


def test_the_same_as_the_verb(find, run_folder, recording, gallery, capfd):
    for words, settings in (
        ([], {}),
        (["--single-trials", "--top-k", "2"], {"single_trials": True, "top_k": 2}),
        (["--calibrate", str(recording)], {"calibrate": True}),
    ):
        capfd.readouterr()
        command = ["retrieve", str(run_folder), "--recording", str(recording), "--gallery", str(gallery), "--json"]
        assert main([*command, *words]) == 0
        said = json.loads(capfd.readouterr().out)
        found = find(recording, gallery=gallery, **settings)
        assert found == {name: said[name] for name in found}
        assert set(said) - set(found) == {"recording", "sheet"}


def test_a_result_says_what_it_is(find, recording, gallery, simulated):
    found = find(recording, gallery=gallery, top_k=2)
    assert (found["gallery_size"], found["tier"], found["calibration"]) == (6, "inductive", None)
    assert {len(one["matches"]) for one in found["queries"]} == {2}
    assert all(-1 <= match["score"] <= 1 for one in found["queries"] for match in one["matches"])
    assert json.loads(json.dumps(found)) == found
    other = simulated / "sub-01" / "ses-02" / "raw_eeg_training.npy"
    calibrated = find(recording, gallery=gallery, calibrate=other)
    assert calibrated["tier"] == "calibrated"
    assert calibrated["calibration"] == {"trials": 20, "whitening": "own", "subject": "sub-01"}
    assert find.processor.feature_extractor.calibration is None
    assert find(recording, gallery=gallery, calibrate=True)["tier"] == "transductive"


def test_a_calibrated_processor_says_so_in_every_result(find, recording, gallery, simulated):
    processor = find.processor.calibrate(simulated / "sub-01" / "ses-02" / "raw_eeg_training.npy")
    again = BrainImageRetrievalPipeline(model=find.model, processor=processor, device=torch.device("cpu"))
    found = again(recording, gallery=gallery)
    assert (found["tier"], found["calibration"]["whitening"]) == ("calibrated", "own")
    assert found["notes"][-1] == "whitened with the noise covariance of the calibration"
    given = find(recording, gallery=gallery, calibrate=simulated / "sub-01" / "ses-02" / "raw_eeg_training.npy")
    assert given == found


def test_batches_and_galleries_embedded_before_change_nothing(find, recording, gallery):
    expected = find(recording, gallery=gallery)
    embedded = find.embed_gallery(gallery)
    for found in (
        find(recording, gallery=gallery, batch_size=1),
        find(recording, gallery=embedded),
        find([recording, str(recording)], gallery=gallery)[1],
        next(find((one for one in [recording]), gallery=gallery)),
    ):
        for mine, theirs in zip(found["queries"], expected["queries"], strict=True):
            assert [one["image_id"] for one in mine["matches"]] == [one["image_id"] for one in theirs["matches"]]
            np.testing.assert_allclose(
                [one["score"] for one in mine["matches"]], [one["score"] for one in theirs["matches"]], atol=1e-5
            )


def test_an_index_is_a_gallery(find, recording, gallery, tmp_path):
    build_index(find.model, find.processor, gallery, tmp_path / "index")
    expected = find(recording, gallery=gallery)
    for given in (tmp_path / "index", GalleryIndex(tmp_path / "index", approximate=True)):
        for mine, theirs in zip(find(recording, gallery=given)["queries"], expected["queries"], strict=True):
            assert [one["image_id"] for one in mine["matches"]] == [one["image_id"] for one in theirs["matches"]]
    facts = json.loads((tmp_path / "index" / "index.json").read_text())
    (tmp_path / "index" / "index.json").write_text(json.dumps({**facts, "checkpoint": "another"}))
    with pytest.raises(InputError, match="made by another checkpoint"):
        find(recording, gallery=tmp_path / "index")


def test_batch_size_is_honoured(find, recording, gallery, monkeypatch):
    sizes = []

    def counting(call):
        def counted(self, values, *rest):
            sizes.append(len(values))
            return call(self, values, *rest)

        return counted

    model = type(find.model)
    for name in ("get_brain_features", "get_image_features"):
        monkeypatch.setattr(model, name, counting(getattr(model, name)))
    find(recording, gallery=gallery, batch_size=4)
    assert sizes == [4, 2, 4, 2]


def test_settings_may_be_given_when_it_is_made(run_folder, recording, gallery):
    find = transformers.pipeline(TASK, model=str(run_folder), device="cpu", gallery=gallery, top_k=1)
    assert {len(one["matches"]) for one in find(recording)["queries"]} == {1}
    assert {len(one["matches"]) for one in find(recording, top_k=3)["queries"]} == {3}


def test_arrays_without_names_are_queries_of_their_own(find, gallery):
    values = np.random.default_rng(0).standard_normal((3, 4, 30)) * 1e-5
    found = find(values, gallery=gallery, channel_names=["O2", "Oz", "O1", "T5"], unit="V", sampling_rate=50)
    assert [one["name"] for one in found["queries"]] == ["trial 0", "trial 1", "trial 2"]
    assert all(match["right"] is None for one in found["queries"] for match in one["matches"])
    assert found["notes"][0] == "channels found under other names: P7 (T5)"


def test_the_device_is_where_the_model_goes(run_folder, recording, gallery):
    find = transformers.pipeline(TASK, model=str(run_folder), device="meta")
    assert (find.device.type, find.model.device.type) == ("meta", "meta")
    with pytest.raises(NotImplementedError, match="meta"):  # there it computes, and nothing can be copied back
        find(recording, gallery=gallery)


def test_it_is_saved_as_a_checkpoint(find, recording, gallery, tmp_path):
    find.save_pretrained(tmp_path / "saved")
    again = transformers.pipeline(TASK, model=str(tmp_path / "saved"), device="cpu")
    assert again(recording, gallery=gallery) == find(recording, gallery=gallery)
    assert not list((tmp_path / "saved").glob("*.py"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no gallery"),
        ({"gallery": []}, "gallery is empty"),
        ({"gallery": ["a.png", "a.png"]}, "2 times"),
        ({"gallery": ["cat"]}, "no texts lie"),
        ({"gallery": "x", "galery": "y"}, "no setting 'galery'"),
        ({"gallery": ["a.png"], "top_k": 0}, "top_k is 0"),
        ({"gallery": ["a.png"], "top_k": 2.5}, "top_k is 2.5"),
        ({"gallery": ["a.png"], "batch_size": 0}, "batch_size is 0"),
    ],
)
def test_what_cannot_be_done_is_refused(find, recording, settings, message):
    with pytest.raises(InputError, match=message):
        find(recording, **settings)


def test_other_models_are_refused(find):
    tower = transformers.CLIPModel.from_pretrained(SMALL_CLIP_FOLDER)
    with pytest.raises(InputError, match="not a CLIPModel"):
        transformers.pipeline(TASK, model=tower, processor=find.processor)
    with pytest.raises(InputError, match="pass processor="):
        BrainImageRetrievalPipeline(model=find.model, device="cpu")


def test_patterns_among_pictures(decode, patterns):
    pictures = [Image.fromarray(np.full((16, 16, 3), 40 * row, dtype=np.uint8)) for row in range(5)]
    found = decode(patterns, channel_names=VOXELS, names=list("aabbcc"), gallery=pictures, top_k=2)
    assert [(one["name"], one["trials"]) for one in found["queries"]] == [("a", 2), ("b", 2), ("c", 2)]
    again = decode(patterns[:, ::-1], channel_names=VOXELS[::-1], names=list("aabbcc"), gallery=pictures, top_k=2)
    assert again == found
    with pytest.raises(InputError, match="NaN"):
        decode(np.full((6, 7), np.nan), channel_names=VOXELS, gallery=pictures)
    with pytest.raises(InputError, match="v6 are missing"):
        decode(patterns[:, :6], channel_names=VOXELS[:6], gallery=pictures)


def test_texts_are_categories_where_the_tower_knows_texts(decode, patterns):
    names = ["ball", "box", "gem"]
    templates = [decode.processor.text_template, *CLIP_TEMPLATES]
    found = decode(patterns, channel_names=VOXELS, names=["gem"] * 6, gallery=names, templates=templates, top_k=3)
    classes = embed_class_texts(decode.model, decode.processor, names)
    mean = patterns.astype(np.float32).mean(axis=0, keepdims=True)
    scores = similarity(encode_trials(decode.model, decode.processor, mean), classes.embeds)[0]
    matches = {one["image_id"]: one for one in found["queries"][0]["matches"]}
    np.testing.assert_allclose([matches[name]["score"] for name in names], scores, atol=1e-5)
    assert [matches[name]["right"] for name in names] == [False, False, True]
    prompts = {name: f"a photo of a {name}" for name in names}
    plain = decode(patterns, channel_names=VOXELS, gallery=prompts)
    assert {one["image_id"] for one in plain["queries"][0]["matches"]} == set(names)


@pytest.mark.parametrize("templates", [["a photo"], ["a {x}"], ["{} or {}"], "a {}", [], ["a {}}"]])
def test_templates_without_a_place_for_the_name_are_refused(decode, patterns, templates):
    with pytest.raises(InputError, match=r"templates .*each with \{\} for the name, once"):
        decode(patterns, channel_names=VOXELS, gallery=["a cat", "a dog"], templates=templates)


def test_it_has_a_public_name():
    assert neuroclip_hf.BrainImageRetrievalPipeline is BrainImageRetrievalPipeline
