"""The small CLIP that ships: what it is, that its card tells the truth, and that its training can be repeated."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoProcessor, CLIPModel, CLIPProcessor

from neuroclip_hf.assets.small_clip_card import card_of
from neuroclip_hf.assets.small_tokenizer import MAX_TOKENS, make_tokenizer
from neuroclip_hf.assets.tower_pictures import draw_pictures, prompts_of
from neuroclip_hf.assets.train_small_clip import SmallCLIPSettings, train_small_clip, zero_shot
from neuroclip_hf.data.simulation.concepts import NUMBER_OF_CONCEPTS, list_concepts, list_tower_concepts
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER

TINY = SmallCLIPSettings(
    width=16,
    vision_layers=1,
    text_layers=1,
    heads=2,
    pictures_per_concept=2,
    concepts=40,
    epochs=2,
    batch_size=16,
    unseen_concepts=5,
    unseen_pictures=2,
)


@pytest.fixture(scope="module")
def facts() -> dict:
    return json.loads((SMALL_CLIP_FOLDER / "facts.json").read_text())


@pytest.fixture(scope="module")
def processor() -> CLIPProcessor:
    return CLIPProcessor.from_pretrained(SMALL_CLIP_FOLDER)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "tiny"
    train_small_clip(out, TINY, processes=1)
    return out


def test_it_is_small_and_safe():
    files = {path.name: path.stat().st_size for path in SMALL_CLIP_FOLDER.iterdir()}
    assert sum(files.values()) <= 4e6
    assert {Path(name).suffix for name in files} <= {".safetensors", ".json", ".jsonl", ".md"}
    with safe_open(SMALL_CLIP_FOLDER / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(key).dtype for key in weights.keys()} == {torch.float16}  # noqa: SIM118


def test_transformers_loads_it_whole(processor):
    model, report = CLIPModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32, output_loading_info=True)
    assert not any(report.values())
    assert type(AutoProcessor.from_pretrained(SMALL_CLIP_FOLDER)) is CLIPProcessor
    config = model.config.vision_config
    assert (config.image_size, config.patch_size, config.hidden_size, config.num_hidden_layers) == (32, 8, 128, 4)


def test_it_names_what_it_never_saw(facts):
    found = zero_shot(SMALL_CLIP_FOLDER, SmallCLIPSettings(unseen_concepts=60, unseen_pictures=1))
    assert found["accuracy"] > 0.5 > 20 * found["chance"]
    low, high = facts["zero_shot"]["interval"]
    assert low < facts["zero_shot"]["accuracy"] < high


def test_the_facts_are_of_these_settings(facts):
    assert facts["settings"] == json.loads(json.dumps(SmallCLIPSettings().__dict__))
    assert facts["training_minutes"] <= 30
    assert facts["training_concepts"] == len(list_tower_concepts())
    assert (SMALL_CLIP_FOLDER / "README.md").read_text() == card_of(facts)
    log = [json.loads(line) for line in (SMALL_CLIP_FOLDER / "training_log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == list(range(1, SmallCLIPSettings().epochs + 1))


def test_no_recording_shows_what_it_learnt():
    assert not set(list_tower_concepts()) & set(list_concepts(NUMBER_OF_CONCEPTS))


@pytest.mark.parametrize(
    "text",
    ["a red star", "photograph of an AARDVARK, 1999!", "größe", "画像", "🦊🦊", "a\tb\nc", "", "\x00\x7f", "x" * 500],
)
def test_every_word_tokenises(processor, text):
    tokenizer = processor.tokenizer
    ids = tokenizer(text, truncation=True)["input_ids"]
    assert len(ids) <= MAX_TOKENS
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.unk_token_id not in ids[1:-1]


def test_tokens_say_what_was_said(processor):
    tokenizer = processor.tokenizer
    assert len(tokenizer) <= 1000
    text = "a zebra in front of größe 画像"
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    words = prompts_of("turquoise checked mushroom with antennae")[1]
    assert len(tokenizer(words)["input_ids"]) == len(words.split()) + 2  # words of captions are one entry each


def test_a_tokenizer_of_few_texts_knows_every_byte():
    tokenizer = make_tokenizer(["abc"])
    assert tokenizer.unk_token_id not in tokenizer("xyz é")["input_ids"][1:-1]


def test_pictures_do_not_depend_on_processes():
    concepts = list_concepts(3)
    one, two = (draw_pictures(concepts, 2, 16, seed=5, processes=count) for count in (1, 2))
    assert (one.pixels == two.pixels).all()
    assert one.captions == two.captions
    assert one.pixels.shape == (6, 16, 16, 3)
    assert one.phrases[0] == one.phrases[1] == concepts[0].phrase
    assert (draw_pictures(concepts, 2, 16, seed=6).pixels != one.pixels).any()


def test_training_again_gives_the_same_weights(tiny, tmp_path):
    train_small_clip(tmp_path / "again", TINY, processes=1)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()


def test_training_lowers_the_loss(tmp_path):
    train_small_clip(tmp_path / "more", SmallCLIPSettings(**{**TINY.__dict__, "epochs": 12}), processes=1)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "more" / "training_log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 0.3


def test_an_existing_folder_is_refused(tiny):
    with pytest.raises(InputError, match="already exists"):
        train_small_clip(tiny, TINY)
