"""Batches: every picture once, decoded once, and rows that find their own."""

import numpy as np
import pytest
import torch
from PIL import Image

from neuroclip_hf.errors import InputError
from neuroclip_hf.processing import collator
from neuroclip_hf.processing.collator import BrainImageCollator, PictureSet

NAMES = ["a", "b", "c"]


class Pictures:
    """Opens one-coloured pictures and counts."""

    def __init__(self):
        self.opened = []

    def __call__(self, name: str) -> Image.Image:
        self.opened.append(name)
        return Image.new("RGB", (16, 16), (80 * NAMES.index(name), 0, 0))


class Trials:
    """Trials as they are."""

    input_name = "eeg_values"

    def __call__(self, values):
        return {"eeg_values": torch.from_numpy(values)}


class Processor:
    """Red, between 0 and 1, on two pixels."""

    feature_extractor = Trials()

    def __call__(self, images):
        return {"pixel_values": torch.full((1, 3, 1, 2), images.getpixel((0, 0))[0] / 255)}


@pytest.fixture
def opened():
    return Pictures()


@pytest.fixture
def pictures(opened):
    return PictureSet(opened, NAMES, Processor())


def item(picture: int, target: int, value: float) -> dict:
    return {"eeg_values": np.full((2, 3), value), "image_id": target, "picture_index": picture, "subject_index": 1}


def test_each_picture_stands_in_a_batch_once(pictures, opened):
    frozen = torch.arange(6.0).reshape(3, 1, 2)
    batch = BrainImageCollator(Processor(), pictures, frozen)([item(2, 7, 0.0), item(0, 5, 1.0), item(2, 7, 2.0)])
    assert batch["picture_index"].tolist() == [1, 0, 1]
    assert batch["image_id"].tolist() == [7, 5, 7]
    assert batch["pixel_values"][:, 0, 0, 0].mul(255).round().tolist() == [0, 160]
    assert batch["image_features"].tolist() == [[[0, 1]], [[4, 5]]]
    assert batch["eeg_values"][:, 0, 0].tolist() == [0, 1, 2]
    assert batch["subject_index"].tolist() == [1, 1, 1]
    assert opened.opened == ["a", "c"]


def test_what_else_is_known_of_a_picture_goes_with_it(pictures):
    words = {"input_ids": torch.tensor([[5, 1], [6, 1], [7, 1]])}
    batch = BrainImageCollator(Processor(), pictures, None, words)([item(2, 7, 0.0), item(0, 5, 1.0)])
    assert batch["input_ids"].tolist() == [[5, 1], [7, 1]]
    assert batch["picture_index"].tolist() == [1, 0]
    with pytest.raises(InputError, match="picture_inputs holds image_id"):
        BrainImageCollator(Processor(), pictures, None, {"image_id": torch.zeros(3)})


def test_features_may_be_absent(pictures):
    assert "image_features" not in BrainImageCollator(Processor(), pictures)([item(0, 0, 0.0)])


def test_where_features_say_all_no_picture_is_opened():
    features = torch.arange(6.0).reshape(3, 1, 2)
    batch = BrainImageCollator(Processor(), None, features)([item(2, 7, 0.0), item(2, 7, 2.0)])
    assert "pixel_values" not in batch
    assert batch["image_features"].tolist() == [[[4, 5]]]
    assert batch["picture_index"].tolist() == [0, 0]
    with pytest.raises(InputError, match="neither pictures nor their image_features"):
        BrainImageCollator(Processor(), None)


def test_a_picture_is_opened_once(pictures, opened):
    assert torch.equal(pictures.pixel_values([0, 1]), pictures.pixel_values([0, 1]))
    assert opened.opened == ["a", "b"]


def test_without_room_it_is_opened_again(opened, monkeypatch):
    monkeypatch.setattr(collator, "MAX_CACHE_BYTES", 30)  # one picture of 24 bytes
    pictures = PictureSet(opened, NAMES, Processor())
    assert torch.equal(pictures.pixel_values([0, 1]), pictures.pixel_values([0, 1]))
    assert opened.opened == ["a", "b", "b"]


def test_a_part_keeps_its_order_and_what_was_made(pictures, opened):
    pictures.pixel_values([2])
    part = pictures.subset([2, 0])
    assert len(part) == 2
    assert part.pixel_values([0, 1])[:, 0, 0, 0].mul(255).round().tolist() == [160, 0]
    assert opened.opened == ["c", "a"]


def test_batches_cover_all_in_order(pictures):
    found = list(pictures.batches(2, "x"))
    assert [len(batch) for batch in found] == [2, 1]
    assert torch.equal(torch.cat(found), pictures.pixel_values([0, 1, 2]))


def test_items_that_lost_an_entry_on_the_way(pictures):
    collate = BrainImageCollator(Processor(), pictures)
    with pytest.raises(InputError, match=r"lack eeg_values, picture_index.*remove_unused_columns=False"):
        collate([{"image_id": 1, "subject_index": 0}])
