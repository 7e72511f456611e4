"""Galleries of every kind hold the same pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from neuroclip_hf.data.pictures import PictureFolder, Target
from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries import as_gallery, embed_gallery


@pytest.fixture(scope="module")
def folder(simulated):
    return simulated / "test_images"


def pixels(gallery):
    return [np.asarray(gallery.open_picture(entry)).tolist() for entry in gallery.ids]


def test_folders_lists_mappings_datasets_and_stores_are_alike(folder, store):
    import datasets

    pictures = PictureFolder.scan(folder)
    paths = [folder / entry for entry in pictures.image_ids]
    opened = [Image.open(path) for path in paths]
    table = datasets.Dataset.from_dict({"image_id": list(pictures.image_ids), "image": [str(path) for path in paths]})
    table = table.cast_column("image", datasets.Image())
    expected = pixels(as_gallery(pictures))
    for given, first in (
        (folder, pictures.image_ids[0]),
        (str(folder), pictures.image_ids[0]),
        (paths, paths[0].as_posix()),
        ([str(path) for path in paths], paths[0].as_posix()),
        (opened, "00000"),
        (dict(zip("abcdef", opened, strict=True)), "a"),
        (dict(zip("abcdef", paths, strict=True)), "a"),
        (table, pictures.image_ids[0]),
        (table.remove_columns("image_id"), "00000"),
    ):
        gallery = as_gallery(given)
        assert pixels(gallery) == expected
        assert gallery.ids[0] == first
    for given in (store, store.path):
        assert sorted(map(str, pixels(as_gallery(given)))) == sorted(map(str, expected))


def test_what_an_event_names(folder):
    pictures = PictureFolder.scan(folder)
    shown = pictures.image_ids[1]
    for given in (folder, [folder / entry for entry in pictures.image_ids]):
        gallery = as_gallery(given)
        target = gallery.find(shown.rsplit("/", maxsplit=1)[-1])
        assert [gallery.is_right(entry, target) for entry in gallery.ids] == [False, True, *[False] * 4]
        assert gallery.find("nothing") is None
    concept = as_gallery(folder)
    assert concept.is_right(shown, Target(pictures.concept(shown)))
    texts = as_gallery({"cat": "a photo of a cat", "dog": "a photo of a dog"})
    assert (texts.find("dog"), texts.find("a photo of a dog")) == (Target("", "dog"), None)
    assert texts.is_right("dog", texts.find("dog"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "gallery is empty"),
        ({}, "gallery is empty"),
        (["cat", "dog", "cat"], "'cat' 2 times"),
        (["a/b.png", "a/b.png"], "'a/b.png' 2 times"),
        (["cat", "dog.png"], "mixes paths and texts"),
        ([3], "holds a int"),
        (3, "is a int"),
        ("no/such/folder", "is not a folder"),
    ],
)
def test_what_is_no_gallery_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        as_gallery(given)


def test_datasets_without_one_column_of_pictures_are_refused():
    import datasets

    table = datasets.Dataset.from_dict({"label": [1, 2]})
    with pytest.raises(InputError, match="columns are label, and 0 of them hold pictures"):
        as_gallery(table)
    with pytest.raises(InputError, match="is a DatasetDict: name one split"):
        as_gallery(datasets.DatasetDict(train=table))


def test_files_that_are_no_pictures_are_named(trained, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        embed_gallery(trained.model, trained.processor, [tmp_path / "a.png"])
    with pytest.raises(InputError, match=r"b\.png does not exist"):
        embed_gallery(trained.model, trained.processor, [tmp_path / "b.png"])


def test_embedded_once_and_in_batches(trained, folder):
    found = embed_gallery(trained.model, trained.processor, folder)
    assert embed_gallery(trained.model, trained.processor, found) is found
    small = embed_gallery(trained.model, trained.processor, folder, batch_size=2)
    torch.testing.assert_close(small.embeds, found.embeds)


def test_texts_need_a_space_with_texts(trained, folder):
    with pytest.raises(InputError, match=r"gallery is of texts, and a neuroclip run brings .*space of its own"):
        embed_gallery(trained.model, trained.processor, ["cat", "dog"])
    with pytest.raises(InputError, match="templates are for texts"):
        embed_gallery(trained.model, trained.processor, folder, templates=["a {}"])
