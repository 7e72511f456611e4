"""`export`, `import` and `info`: results on stdout, bad input in one message."""

import re

import pytest


def test_export_then_import(neuroclip, store_folder, tmp_path, snapshot):
    made = neuroclip("export", store_folder, "--to", tmp_path / "dataset", "--json")
    assert made.result["configs"] == ["sub-01", "sub-02", "pictures"]
    assert made.result["images"] is True
    assert "may not be redistributed" in made.err
    back = neuroclip("import", tmp_path / "dataset", "--out", tmp_path / "back", "--json").result
    assert (back["train_trials"], back["fingerprint"]) == (80, made.result["fingerprint"])
    assert snapshot(tmp_path / "back") == snapshot(store_folder)


def test_export_without_images_then_import_with_a_folder_of_them(neuroclip, store_folder, tmp_path, snapshot):
    made = neuroclip("export", store_folder, "--to", tmp_path / "dataset", "--without-images")
    assert (made.code, made.err) == (0, "")
    bare = neuroclip("import", tmp_path / "dataset", "--out", tmp_path / "bare", "--json")
    assert "not in this store" in bare.result["warnings"][0]
    assert "--images" in bare.err
    for word in ("--images", "--pictures"):
        words = (word, store_folder / "pictures", "--overwrite")
        assert neuroclip("import", tmp_path / "dataset", "--out", tmp_path / "back", *words).code == 0
        assert snapshot(tmp_path / "back") == snapshot(store_folder)


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (("prepare", "recordings"), {"--images", "--pictures"}),
        (("prepare", "things-eeg2"), {"--images", "--pictures"}),
        (("import",), {"--images", "--pictures"}),
        (("export",), {"--without-images", "--without-pictures"}),
    ],
)
def test_all_verbs_know_the_pictures_by_both_words(neuroclip, monkeypatch, verb, words):
    monkeypatch.setenv("COLUMNS", "200")
    assert words <= set(re.split(r"[\s,]+", neuroclip(*verb, "--help").out))


def test_an_export_is_replaced_when_asked(neuroclip, refused, store_folder, tmp_path):
    words = ("export", store_folder, "--to", tmp_path / "dataset")
    assert neuroclip(*words).code == 0
    (tmp_path / "dataset" / "stray").write_text("old")
    assert "already exists: pass --overwrite" in refused(*words)
    assert neuroclip(*words, "--overwrite").code == 0
    assert not (tmp_path / "dataset" / "stray").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "nothing", "--to", "out"), "is not a trial store"),
        (("import", "nothing", "--out", "out"), "is no exported store"),
        (("import", "STORE", "--out", "out"), "is no exported store"),
        (("info", "nothing"), "is not a trial store"),
    ],
)
def test_bad_input(refused, store_folder, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*(store_folder if word == "STORE" else word for word in words))
    assert list(tmp_path.iterdir()) == []


def test_info_says_what_a_store_holds_and_how_it_was_made(neuroclip, store_folder):
    found = neuroclip("info", store_folder, "--json").result
    assert found["subjects"]["sub-02"]["test"] == {
        "trials": 24, "targets": 6, "concepts": 6, "sessions": 2, "fewest_repeats": 4, "most_repeats": 4,
    }  # fmt: skip
    assert found["galleries"] == {
        "train": {"pictures": 20, "concepts": 10},
        "test": {"pictures": 6, "concepts": 6},
    }
    assert (found["sampling_rate"], found["num_timesteps"], found["window"]) == (50.0, 30, [0.0, 0.6])
    assert (found["data"], found["protocol"], found["redistribute_pictures"]) == ("simulated", "new-concepts", False)
    outcome = neuroclip("info", store_folder)
    for text in ("sub-01 train", found["fingerprint"], "P7, O1, Oz, O2", "epochs.baseline = [-0.2, 0.0]", "numpy"):
        assert text in outcome.out
    assert "30 from 0 s to before 0.6 s" in outcome.out
    assert "may not be redistributed" in outcome.out


def test_info_of_patterns_and_arrays(neuroclip, array_store):
    import numpy as np

    brain = np.random.default_rng(0).standard_normal((50, 7))
    store = array_store(brain=brain, sampling_rate=None, unit="au", channel_names=None)
    found = neuroclip("info", store.path, "--json").result
    assert (found["window"], found["sampling_rate"], len(found["channels"])) == (None, None, 7)
    assert "none (patterns)" in neuroclip("info", store.path).out


def test_info_of_voxels_says_how_many_a_subject_and_a_region_have(neuroclip, pattern_stores, tmp_path):
    pattern_stores.write_patterns(tmp_path / "store")
    found = neuroclip("info", tmp_path / "store", "--json").result
    assert found["channels_by_subject"]["sub-01"] == {"channels": 6, "rois": {"V1": 3, "V2": 3}}
    text = " ".join(neuroclip("info", tmp_path / "store").out.split())
    assert "channels of sub-02 8 (in regions: V1 3, V2 3, FFA 1)" in text
    assert "sub-01 imagery 6 2 2" in text
    assert neuroclip("check", tmp_path / "store", "--json").result["sound"] is True
