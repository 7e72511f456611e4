"""An index in Qdrant, in the client's in-process mode, finds what it finds here."""

import json

import pytest
from qdrant_client import QdrantClient

from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries import GalleryIndex, as_searchable, engines, retrieve
from neuroclip_hf.galleries.engines import Address, EngineGallery, check_reachable, send_index


@pytest.fixture
def address(tmp_path):
    return f"qdrant://{tmp_path}/engine/pictures"


@pytest.fixture
def recording(simulated):
    return simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"


@pytest.fixture
def opened():
    """Open an engine's gallery, and let it go at the end."""
    galleries = []
    yield lambda address: galleries.append(as_searchable(address)) or galleries[-1]
    for gallery in galleries:
        gallery.close()


def test_it_finds_what_the_index_finds(trained, recording, index_folder, address, opened):
    assert send_index(GalleryIndex(index_folder), address) == 6
    assert send_index(GalleryIndex(index_folder), address) == 0
    expected = retrieve(trained.model, trained.processor, recording, index_folder)
    found = retrieve(trained.model, trained.processor, recording, opened(address))
    assert found.gallery_size == 6
    for mine, theirs in zip(found.queries, expected.queries, strict=True):
        assert (mine.name, mine.target) == (theirs.name, theirs.target)
        assert [(m.image_id, m.right) for m in mine.matches] == [(m.image_id, m.right) for m in theirs.matches]
        assert [m.score for m in mine.matches] == pytest.approx([m.score for m in theirs.matches], abs=1e-5)


def test_names_mean_what_they_mean_in_a_folder(index_folder, address, opened):
    index = GalleryIndex(index_folder)
    send_index(index, address)
    engine, shown = opened(address), index.gallery.ids[1]
    concept = shown.rpartition("/")[0]
    for name in (shown, shown.rpartition(".")[0], shown.rpartition("/")[2], f"Stimulus/{shown}", concept, "nothing"):
        assert engine.find(name) == index.find(name)
    assert engine.find(shown) is not None
    assert [engine.is_right(entry, engine.find(shown)) for entry in index.gallery.ids].count(True) == 1


def test_an_interrupted_sending_goes_on(index_folder, address, monkeypatch, opened):
    monkeypatch.setattr(engines, "BATCH", 2)
    upsert, calls = QdrantClient.upsert, []

    def interrupted(self, *given, **settings):
        calls.append(given[1].ids)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return upsert(self, *given, **settings)

    monkeypatch.setattr(QdrantClient, "upsert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        send_index(GalleryIndex(index_folder), address)
    with pytest.raises(InputError, match="holds 4 of 6 entries"):
        EngineGallery(address)
    assert send_index(GalleryIndex(index_folder), address) == 2
    assert calls == [[0, 1], [2, 3], [4, 5], [4, 5]]
    assert opened(address).size == 6


def test_another_checkpoint_is_refused(trained, recording, index_folder, address, tmp_path, opened):
    import shutil

    copy = shutil.copytree(index_folder, tmp_path / "index")
    facts = json.loads((copy / "index.json").read_text())
    (copy / "index.json").write_text(json.dumps({**facts, "checkpoint": "0" * 64}))
    send_index(GalleryIndex(copy), address)
    with pytest.raises(InputError, match="holds something else: pass --overwrite"):
        send_index(GalleryIndex(index_folder), address)
    gallery = opened(address)
    with pytest.raises(InputError, match="made by another checkpoint"):
        retrieve(trained.model, trained.processor, recording, gallery)
    gallery.close()
    assert send_index(GalleryIndex(index_folder), address, overwrite=True) == 6


def test_engines_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"not reachable.*start it"):
        check_reachable("qdrant://localhost:1/pictures")
    with pytest.raises(InputError, match="does not exist: make it"):
        EngineGallery(f"qdrant://{tmp_path}/engine/pictures")


@pytest.mark.parametrize(
    "text",
    ["milvus://host/a", "qdrant://host", "qdrant://host/", "qdrant:///a", "qdrant://host:x/a", "qdrant://h/a/b"],
)
def test_what_is_no_address(text):
    with pytest.raises(InputError, match="is no address of an engine"):
        Address.parse(text)


def test_addresses():
    assert Address.parse("qdrant://host/a").server == "http://host:6333"
    assert Address.parse("qdrants://host:443/a").server == "https://host:443"
    assert Address.parse("qdrant:///x/y/a").folder == "/x/y"
    assert Address.parse("qdrant:///x/y/a").collection == "a"
