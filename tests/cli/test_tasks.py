"""`neuroclip categories` and `neuroclip match`, in this process."""

import shutil

import pytest


@pytest.fixture
def runs(god_reproduction, tmp_path):
    return shutil.copytree(god_reproduction, tmp_path / "ridge")


def test_tables_for_people(neuroclip, runs, god_store):
    out = neuroclip("categories", runs, "--data", god_store).out
    assert (
        "simulated data, perception, brain to category, single trials, 3 candidates, new-concepts (zero-shot)" in out
    )
    assert "means of the predictions of 4 trials" in out
    assert "texts: the mean of 8 prompts a class; tower: small-clip; trained with image_weight 1, text_weight 1" in out
    assert all(word in out for word in ("sub-01", "sub-02", "mean of", "chance", "mean rank", "pairwise p ="))
    assert "taken for another" in out
    out = neuroclip("match", runs, "--data", god_store, "--against", "texts", "--trials", "imagery").out
    assert all(f"imagery, {way}, single trials" in out for way in ("brain to text", "text to brain"))


def test_one_json_line(neuroclip, runs, god_store, tmp_path):
    templates = tmp_path / "templates.txt"
    templates.write_text("a picture of {}.\n")
    words = ("--data", god_store, "--templates", templates, "--average", "2", "--json")
    found = neuroclip("categories", runs, *words).result
    assert found["templates"] == ["a picture of {}."]
    assert [row["averaged_predictions"] for row in found["rows"]] == [1, 2]
    assert (runs / "categories.json").is_file()
    again = shutil.copytree(runs, tmp_path / "again")
    both = neuroclip("match", runs, again, "--data", god_store, "--json").result
    assert list(both["reports"]) == ["ridge", "again"]


def test_the_protocol_of_a_paper(neuroclip, runs, god_store):
    out = neuroclip("categories", runs, "--data", god_store, "--protocol", "bravl").out
    assert "Note: BraVL's own numbers do not stand here: the recordings are simulated" in out
    assert "13.99" not in out
    assert "0.1399" not in out
    assert "means of" not in out


def test_refused_before_anything_is_written(refused, runs, god_store, tmp_path, snapshot):
    before = snapshot(runs)
    captions = tmp_path / "captions.json"
    captions.write_text('{"elsewhere.jpg": "a thing"}')
    for words, message in (
        (("categories", runs, "--against", "sounds"), "choose one of texts, images"),
        (("categories", runs, "--trials", "train"), "choose one of test, imagery"),
        (("match", runs, "--against", "texts", "--captions", captions), "elsewhere.jpg"),
        (("match", tmp_path, "--against", "texts"), "holds no config.json"),
    ):
        assert message in refused(*words, "--data", god_store)
    assert snapshot(runs) == before


def test_the_page_has_what_was_asked(neuroclip, refused, runs, god_store, tmp_path):
    for words in (("categories", runs), ("match", runs, "--trials", "imagery")):
        neuroclip(*words, "--data", god_store, "--json")
    assert neuroclip("report", runs, "--out", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    for words in ("Category decoding, perception, against texts", "Matching, imagery, against images"):
        assert page.count(words) == 1
    for words in (
        "image to brain",
        "means of the predictions of 4 trials",
        "3 candidates: texts: the mean of 8 prompts",
    ):
        assert words in page
    saved = runs / "matching.json"
    saved.write_text(saved.read_text().replace('"mean_rank"', '"rank"'))
    message = refused("report", runs, "--out", tmp_path / "other.html")
    assert "matching.json lacks or has a wrong entry ('mean_rank'): ask again with --overwrite" in message
