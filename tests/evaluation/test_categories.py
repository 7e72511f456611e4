"""Classes as texts and as pictures, and what queries are taken for."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, CLIPModel

from neuroclip_hf import BrainCLIPModel, InputError
from neuroclip_hf.data.queries import Query
from neuroclip_hf.evaluation.categories import (
    CLIP_TEMPLATES,
    Classes,
    check_enough_trials,
    class_names,
    confusion_of,
    embed_class_texts,
    rank_classes,
    read_templates,
)
from neuroclip_hf.evaluation.predictions import Predictions
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER

NAMES = ["red ball", "blue box", "green gem"]


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


class Processor:
    """The part of a processor that knows texts."""

    text_template = "an image of {}."

    def tokens(self, texts):
        tokenizer = AutoTokenizer.from_pretrained(SMALL_CLIP_FOLDER)
        return dict(tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt"))


@pytest.fixture(scope="module")
def model():
    """A model whose texts are centred."""
    torch.manual_seed(1)
    settings = {"encoder": "mlp_map", "encoder_settings": {"num_voxels": 7, "width": 16}, "prompt": None}
    model = BrainCLIPModel.from_vision_pretrained(**settings).eval()
    model.text_centre.copy_(torch.randn(model.config.projection_dim) / 10)
    return model


def predictions_of(concepts, embeds=None, subject="sub-01"):
    queries = [Query((place,), subject, "", concept) for place, concept in enumerate(concepts)]
    return Predictions(queries, torch.eye(len(concepts)) if embeds is None else torch.tensor(embeds))


def test_prompts_are_normalised_averaged_and_normalised(model):
    clip = CLIPModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32).eval()
    templates = ["an image of {}.", *CLIP_TEMPLATES]
    by_hand = []
    for name in NAMES:
        tokens = Processor().tokens([template.format(name) for template in templates])
        with torch.no_grad():
            texts = clip.get_text_features(**tokens).pooler_output.numpy()
        by_hand.append(unit(unit(texts - model.text_centre.numpy()).mean(axis=0)))
    found = embed_class_texts(model, Processor(), NAMES)
    np.testing.assert_allclose(found.embeds.numpy(), np.stack(by_hand), atol=1e-5)
    assert found.templates == templates
    assert found.described == "texts: the mean of 8 prompts a class"
    one = embed_class_texts(model, Processor(), NAMES, ["{}"])
    assert one.described == "texts: one prompt a class"
    assert not torch.allclose(one.embeds, found.embeds, atol=1e-2)


def test_ids_are_no_names(model):
    for name in ("n01443537", "12", ""):
        with pytest.raises(InputError, match=rf"1 of the 2 classes have an id and no name \('{name}'\)"):
            embed_class_texts(model, Processor(), ["ball", name])


def test_classes_have_names_and_are_several():
    gallery = pd.DataFrame({"image_id": ["a", "b", "c"], "concept": ["x", "y", "x"]})
    assert class_names(gallery) == ["x", "y"]
    with pytest.raises(InputError, match=r"1 gallery pictures \('b'\) have a concept without a name"):
        class_names(gallery.assign(concept=["x", " ", "y"]))
    with pytest.raises(InputError, match="1 class"):
        class_names(gallery.assign(concept="x"))


def test_every_query_meets_all_classes():
    embeds = [[1.0, 0.2, 0.0], [0.1, 2.0, 0.3]]
    ranking = rank_classes(predictions_of(NAMES[:2], embeds), Classes(NAMES, torch.eye(3), "", []))
    np.testing.assert_allclose(ranking.scores.numpy(), unit(np.array(embeds)), atol=1e-6)
    assert ranking.mask.tolist() == [[True, False, False], [False, True, False]]
    with pytest.raises(InputError, match="lacks the class 'grey ring'"):
        rank_classes(predictions_of(["grey ring"], [[1.0, 0.0, 0.0]]), Classes(NAMES, torch.eye(3), "", []))


def test_confusion_by_hand():
    names = [*NAMES, "grey ring"]
    embeds = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 0]]  # the last one is the same to all classes
    shown = [names[0], names[0], names[2], names[1]]
    ranking = rank_classes(predictions_of(shown, embeds), Classes(names, torch.eye(4), "", []))
    found = confusion_of([ranking, ranking])
    assert found["counts"] == [[2, 2, 0, 0], [2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]
    assert [one["num_queries"] for one in found["classes"]] == [4, 2, 2, 0]
    assert [one["top1"] for one in found["classes"]] == [0.5, 0.0, 0.0, None]
    assert [one["taken_for"] for one in found["classes"]] == [names[0], names[0], names[1], None]


def test_fewer_trials_than_classes_are_refused():
    with pytest.raises(InputError, match="sub-01 has 2 trials for 3 classes"):
        check_enough_trials(predictions_of(NAMES[:2]), NAMES)
    assert check_enough_trials(predictions_of(NAMES), NAMES) == []
    (flag,) = check_enough_trials(predictions_of([*NAMES[:2], NAMES[0]]), NAMES)
    assert flag == "1 of the 3 classes have no trial of sub-01 (green gem)."


def test_templates_from_a_file(tmp_path):
    path = tmp_path / "templates.txt"
    path.write_text("a photo of {}.\n\n{} outdoors\n")
    assert read_templates(path) == ["a photo of {}.", "{} outdoors"]
    for text, message in (("a photo", "'a photo'"), ("{} and {}", "'{} and {}'"), ("{0}", "'{0}'"), ("", "is empty")):
        path.write_text(text)
        with pytest.raises(InputError, match="write one template a line") as error:
            read_templates(path)
        assert message in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_templates(tmp_path / "none.txt")
