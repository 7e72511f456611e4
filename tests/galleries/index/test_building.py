"""An index gives what the gallery gives, whole or not at all, and is refused where it does not belong."""

import json
import shutil
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries import GalleryIndex, build_index, embed_gallery, gallery, retrieve
from neuroclip_hf.galleries.index import building, storing
from neuroclip_hf.metrics.retrieval import similarity


@pytest.fixture
def recording(simulated):
    return simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"


def found_in(retrieval):
    return [(one.name, one.target, [(each.image_id, each.right) for each in one.matches]) for one in retrieval.queries]


def test_it_finds_what_the_gallery_finds(trained, recording, pictures, index_folder):
    expected = retrieve(trained.model, trained.processor, recording, pictures)
    for given in (index_folder, str(index_folder), GalleryIndex(index_folder, approximate=True)):
        found = retrieve(trained.model, trained.processor, recording, given)
        assert found_in(found) == found_in(expected)
        assert found.gallery_size == expected.gallery_size == 6
    scores = [[match.score for match in one.matches] for one in found.queries]
    np.testing.assert_allclose(scores, [[m.score for m in one.matches] for one in expected.queries], atol=1e-5)


def test_others_read_it_with_datasets_and_faiss(trained, pictures, index_folder):
    entries = datasets.load_from_disk(str(index_folder / "entries"))
    embedded = embed_gallery(trained.model, trained.processor, pictures)
    assert entries["image_id"][:] == list(embedded.gallery.ids)
    expected = torch.nn.functional.normalize(embedded.embeds, dim=1)
    torch.testing.assert_close(torch.tensor(entries["embedding"][:]), expected)
    entries.load_faiss_index("embedding", str(index_folder / "index.faiss"))
    scores, rows = entries.get_nearest_examples("embedding", expected[2].numpy(), 6)
    best = similarity(expected[2:3], expected)[0].sort(descending=True)
    assert rows["image_id"] == [embedded.gallery.ids[place] for place in best.indices]
    np.testing.assert_allclose(scores, best.values, atol=1e-5)


def test_pictures_that_cannot_be_read_are_named_and_counted(trained, damaged, tmp_path, caplog):
    folder, name = damaged
    with caplog.at_level("WARNING", "neuroclip_hf"):
        facts = build_index(trained.model, trained.processor, folder, tmp_path / "index")
    assert (facts.entries, facts.skipped) == (5, [name])
    assert f"Skipped: {folder / name} cannot be read" in caplog.text
    assert "1 of 6 pictures could not be read" in caplog.text
    assert name not in GalleryIndex(tmp_path / "index").gallery.ids
    whole = {path: path.read_bytes() for path in folder.rglob("*.*")}
    for path in whole:
        path.write_bytes(b"")
    with pytest.raises(InputError, match="Not one of the 6 pictures"):
        build_index(trained.model, trained.processor, folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    for path, content in whole.items():
        path.write_bytes(content)
    assert build_index(trained.model, trained.processor, folder, tmp_path / "other").entries == 5


def test_an_interrupted_one_goes_on(trained, pictures, index_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "PART", 2)
    embed_part, done = building._embed_part, []

    def interrupted(work, number):
        if number == 2 and 2 not in done:
            done.append(2)
            raise KeyboardInterrupt
        done.append(number)
        return embed_part(work, number)

    monkeypatch.setattr(building, "_embed_part", interrupted)
    out = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        build_index(trained.model, trained.processor, pictures, out)
    assert not out.exists()
    with pytest.raises(InputError, match=r"unfinished index of something else \(entries differ\)"):
        build_index(trained.model, trained.processor, pictures.parent / "training_images", out)
    (tmp_path / ".index.unfinished" / "parts" / "000001.safetensors").write_bytes(b"cut off")
    (tmp_path / ".index.0123abcd.tmp").mkdir()  # of a process that was killed at its very end
    build_index(trained.model, trained.processor, pictures, out)
    assert done == [0, 1, 2, 1, 2]
    torch.testing.assert_close(
        GalleryIndex(out).entries.blocks[0], GalleryIndex(index_folder).entries.blocks[0], rtol=0, atol=1e-6
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]


def build_among_others(rank, world):
    """On every process: the pictures of a made-up gallery by a made-up model, which counts what it embeds."""
    import os
    from pathlib import Path
    from unittest import mock

    from PIL import Image

    folder, seen = Path(os.environ["INDEX_TEST_FOLDER"]), []
    model = SimpleNamespace(device="cpu", training=False, config=SimpleNamespace(projection_dim=3))
    model.eval = model.train = model.to = lambda *_: model
    model.get_image_features = lambda pixels: seen.extend(pixels[:, 0].tolist()) or pixels
    images = lambda images: {"pixel_values": [torch.tensor([float(images.getpixel((0, 0))[0]), 1.0, 0.0])]}  # noqa: E731
    given = {str(row): Image.new("RGB", (1, 1), (row, 0, 0)) for row in range(7)}
    with mock.patch.multiple(building, PART=2, model_fingerprints=lambda *_: {"checkpoint": "a", "tower": "b"}):
        build_index(model, images, given, folder / f"of-{world}")
    return {"seen": torch.tensor(seen), "embeds": torch.cat(GalleryIndex(folder / f"of-{world}").entries.blocks)}


def test_processes_share_the_work(on_ranks, tmp_path, monkeypatch):
    monkeypatch.setenv("INDEX_TEST_FOLDER", str(tmp_path))
    found = on_ranks(build_among_others, [1, 2])
    assert [one["seen"].tolist() for one in found[1]] == [[0, 1, 2, 3, 4, 5, 6]]
    assert [one["seen"].tolist() for one in found[2]] == [[0, 1, 4, 5], [2, 3, 6]]
    expected = torch.nn.functional.normalize(torch.tensor([[row, 1.0, 0.0] for row in range(7)]), dim=1)
    for one in (*found[1], *found[2]):
        torch.testing.assert_close(one["embeds"], expected)


def test_it_is_written_in_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(storing, "SHARD_ROWS", 4)
    values = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    parts = ((list("abcdefghij"[start : start + 3]), values[start : start + 3]) for start in range(0, 10, 3))
    assert storing.write_entries(tmp_path / "entries", parts, 3) == 10
    entries = storing.Entries(tmp_path, SimpleNamespace(width=3, entries=10))
    assert [len(block) for block in entries.blocks] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(entries.blocks), values)
    assert (entries.all_ids(), entries.ids([9, 4])) == (tuple("abcdefghij"), ["j", "e"])


def test_another_checkpoint_and_another_tower_are_refused(trained, recording, index_folder, tmp_path):
    copy = shutil.copytree(index_folder, tmp_path / "index")
    facts = json.loads((copy / "index.json").read_text())
    for part in ("tower", "checkpoint"):
        (copy / "index.json").write_text(json.dumps({**facts, part: "0" * 64}))
        with pytest.raises(InputError, match=rf"made by another {part} \(000000000000"):
            retrieve(trained.model, trained.processor, recording, copy)


def test_fingerprints_follow_the_weights(trained):
    from neuroclip_hf.galleries.fingerprints import model_fingerprints

    before = model_fingerprints(trained.model, trained.processor)
    of_towers = set(trained.model._tower_keys())
    names = dict(trained.model.named_parameters())
    inside, outside = next(n for n in names if n in of_towers), next(n for n in names if n not in of_towers)
    for name, changes in ((outside, ["checkpoint"]), (inside, ["tower"])):
        kept = names[name].data.clone()
        names[name].data.view(-1)[0] += 1
        after = model_fingerprints(trained.model, trained.processor)
        names[name].data.copy_(kept)
        assert [part for part in before if before[part] != after[part]] == changes
    assert model_fingerprints(trained.model, trained.processor) == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "index.json").unlink(), "is no index"),
        (lambda folder: (folder / "index.json").write_text("{}"), "lacks schema, kind"),
        (lambda folder: (folder / "index.json").write_text("{"), "not readable JSON"),
        (lambda folder: (folder / "entries" / "data-00000.arrow").write_bytes(b"x"), "entries cannot be read"),
        (lambda folder: shutil.rmtree(folder / "entries"), "entries cannot be read"),
        (lambda folder: (folder / "index.faiss").write_bytes(b"x"), r"index\.faiss cannot be read"),
        (lambda folder: (folder / "index.faiss").unlink(), r"index\.faiss does not exist"),
        (
            lambda folder: (folder / "index.json").write_text(
                (folder / "index.json").read_text().replace('"entries": 6', '"entries": 7')
            ),
            "holds 6 entries, and not 7",
        ),
    ],
)
def test_damaged_ones_are_refused(index_folder, tmp_path, damage, message):
    copy = shutil.copytree(index_folder, tmp_path / "index")
    damage(copy)
    with pytest.raises(InputError, match=message):
        GalleryIndex(copy, approximate=True)


def test_templates_are_looked_at_before_any_work(trained, pictures, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="templates are for texts"):
        build_index(trained.model, trained.processor, pictures, tmp_path / "index", templates=["a {}"])
    monkeypatch.setattr(gallery, "why_no_texts", lambda model: None)
    for templates, said in ((["a cat"], "templates hold 'a cat'"), ([], "templates are none")):
        with pytest.raises(InputError, match=said):
            build_index(trained.model, trained.processor, ["cat"], tmp_path / "index", templates=templates)


def test_what_cannot_be_done_is_refused(trained, index_folder, pictures, tmp_path):
    (tmp_path / "empty").mkdir()
    for given, message in ((tmp_path / "empty", "holds no picture"), (["cat"], "no texts lie"), ({}, "is empty")):
        with pytest.raises(InputError, match=message):
            build_index(trained.model, trained.processor, given, tmp_path / "index")
    with pytest.raises(InputError, match="already exists"):
        build_index(trained.model, trained.processor, pictures, index_folder)
    with pytest.raises(InputError, match="batch_size is 0"):
        build_index(trained.model, trained.processor, pictures, tmp_path / "index", batch_size=0)
    with pytest.raises(InputError, match="pass approximate=True"):
        GalleryIndex(index_folder, probes=2)
    with pytest.raises(InputError, match="probes is 0"):
        GalleryIndex(index_folder, approximate=True, probes=0)
    with pytest.raises(InputError, match=r"queries are \(1, 5\): give"):
        GalleryIndex(index_folder).search(torch.zeros(1, 5), 1)
