"""`index`, and `retrieve --index`: the same pictures as from the folder."""

import json
import shutil

import pytest


@pytest.fixture
def recording(simulated):
    return simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"


@pytest.fixture
def gallery(simulated):
    return simulated / "test_images"


def found_in(result):
    return [(one["name"], one["target"], [match["image_id"] for match in one["matches"]]) for one in result["queries"]]


def test_index_and_retrieve(neuroclip, refused, run_folder, recording, gallery, tmp_path):
    index, engine = tmp_path / "index", f"qdrant://{tmp_path}/engine/pictures"
    made = neuroclip("index", run_folder, "--gallery", gallery, "--out", index, "--json")
    facts = json.loads((index / "index.json").read_text())
    assert made.result == {"index": str(index), **facts, "skipped": 0, "engine": None}
    assert facts["entries"] == 6
    sent = neuroclip("index", run_folder, "--out", index, "--to", engine, "--json")
    assert (sent.result["engine"], sent.result["sent"]) == (engine, 6)
    words = ("retrieve", run_folder, "--recording", recording, "--json")
    expected = neuroclip(*words, "--gallery", gallery).result
    for where in (("--index", index), ("--index", index, "--approximate"), ("--index", engine)):
        assert found_in(neuroclip(*words, *where).result) == found_in(expected)
    sheet = tmp_path / "sheet.png"
    assert neuroclip(*words, "--index", index, "--gallery", gallery, "--sheet", sheet).code == 0
    assert sheet.is_file()
    more = shutil.copytree(gallery, tmp_path / "more")
    (more / "broken.jpg").write_bytes(b"")  # of a big gallery only what is drawn is opened
    drawn = neuroclip(*words, "--index", index, "--gallery", more, "--sheet", tmp_path / "drawn.png")
    assert drawn.code == 0, drawn.err
    assert "already exists" in refused("index", run_folder, "--gallery", gallery, "--out", index)
    assert neuroclip("index", run_folder, "--gallery", gallery, "--out", index, "--overwrite").code == 0
    (index / "index.json").write_text(json.dumps({**facts, "tower": "0" * 64}))
    assert "made by another tower" in refused(*words, "--index", index)
    assert "made by another tower" in refused("index", run_folder, "--out", index, "--to", engine)


def test_what_cannot_be_done_is_refused(refused, run_folder, recording, gallery, tmp_path):
    out = tmp_path / "index"
    make = ("index", run_folder, "--out", out)
    (tmp_path / "empty").mkdir()
    assert "nothing to do" in refused(*make)
    assert "holds no picture" in refused(*make, "--gallery", tmp_path / "empty")
    assert "not reachable" in refused(*make, "--gallery", gallery, "--to", "qdrant://localhost:1/a")
    assert "is no address" in refused(*make, "--gallery", gallery, "--to", "somewhere")
    assert not out.exists()
    find = ("retrieve", run_folder, "--recording", recording)
    assert "nothing to choose from" in refused(*find)
    assert "is no index" in refused(*find, "--index", tmp_path / "empty")
    assert "not reachable" in refused(*find, "--index", "qdrant://localhost:1/a")
    assert "--approximate is for" in refused(*find, "--gallery", gallery, "--approximate")
    assert "pass --gallery" in refused(*find, "--index", tmp_path, "--sheet", tmp_path / "sheet.png")
