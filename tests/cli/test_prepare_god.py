"""`prepare god` after `simulate god`: a store that `check` finds whole, and messages for what is wrong."""

import json

import pytest

pytest.importorskip("h5py", reason="the extra fmri brings it")

SMALL = [
    "--concepts", 4, "--test-concepts", 3, "--images-per-concept", 2, "--test-repeats", 2, "--imagery-repeats", 2,
    "--voxels", 120, "--image-size", 16, "--subjects", "1,2",
]  # fmt: skip


@pytest.fixture
def dataset(neuroclip, tmp_path):
    assert neuroclip("simulate", "god", "--out", tmp_path / "god", *SMALL).code == 0
    return tmp_path / "god"


def test_prepare_check_and_info(neuroclip, dataset, tmp_path):
    store = tmp_path / "store"
    made = neuroclip("prepare", "god", dataset, "--out", store, "--json").result
    assert (made["data"], made["subjects"], made["protocol"]) == ("simulated", ["sub-01", "sub-02"], "new-concepts")
    assert [made[f"{split}_trials"] for split in ("train", "test", "imagery")] == [16, 12, 12]
    assert neuroclip("check", store, "--json").result["problems"] == []
    assert neuroclip("info", store).code == 0


def test_options_reach_the_store(neuroclip, dataset, tmp_path):
    moved = (dataset / "images").rename(tmp_path / "pictures")
    names = (dataset / "category_names.json").rename(tmp_path / "names.json")
    captions = (dataset / "captions.json").rename(tmp_path / "said.json")
    elsewhere = ("--images", moved, "--category-names", names, "--captions", captions)
    words = ("prepare", "god", dataset, "--out", tmp_path / "store", "--subjects", 2, "--rois", "V1,LOC", *elsewhere)
    made = neuroclip(*words, "--json").result
    assert (made["subjects"], made["warnings"]) == (["sub-02"], [])
    said = json.loads((tmp_path / "store" / "store.json").read_text())["settings"]
    assert said == {"rois": ["V1", "LOC"], "drop_bad_voxels": False}


def test_bad_input_is_refused_and_nothing_is_left(refused, neuroclip, dataset, tmp_path):
    words = ("prepare", "god", dataset, "--out", tmp_path / "store")
    assert "has no ROI 'V9'" in refused(*words, "--rois", "V9")
    assert "holds no subject 7" in refused(*words, "--subjects", 7)
    for picture in (dataset / "images" / "test").iterdir():
        picture.unlink()
    assert "lacks 3 of 11 pictures: test/n" in refused(*words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["god"]
