"""Pages of what `reproduce` and `ablate` really wrote, rather than of files in their likeness."""

import html
import re
import shutil
from dataclasses import replace

import pytest

from neuroclip_hf.figures.page import PageSettings, write_page
from neuroclip_hf.figures.page.reading import find_results
from neuroclip_hf.protocols.ablate.main import ablate
from neuroclip_hf.protocols.reproduce.main import reproduce


@pytest.fixture(scope="module")
def quick(recipe):
    return replace(recipe, training=replace(recipe.training, epochs=1, batch_size=64))


@pytest.fixture(scope="module")
def intra(quick, store, tmp_path_factory):
    """Two seeds of each of two subjects, six queries each."""
    folder = tmp_path_factory.mktemp("intra") / "out"
    reproduce(quick, store, folder, protocol="intra", seeds=2)
    return folder


def page(folder, out, **settings):
    made = write_page(folder, out / "page.html", PageSettings(**settings))
    text = (out / "page.html").read_text(encoding="utf-8")
    return made, html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)))


def test_every_training_of_a_reproduction_counts_once(intra, tmp_path):
    made, said = page(intra, tmp_path)
    assert made["figures"] == [
        *("By subject", "Averaged repeats", "Training"),
        *("Confusion by concept", "Similarity of queries and gallery"),
    ]
    assert "4 trainings (thin) and their mean (bold)" in said
    assert re.findall(r"n = (\d+) queries\. 4 runs together", said) == ["24"]
    assert "n = 24 queries, 6 pictures. 4 runs together, at the epoch that validation chose." in said
    lead = r"Top-1 \S+ \(.*?\), top-5 \S+ \(.*?\), mean over subjects and seeds, fixed epoch, own-session whitening\."
    assert re.search(lead + r" In brackets: 95 % interval over queries within subjects\.", said)


def test_the_first_run_is_looked_into_as_validation_chose_it(intra, store, tmp_path):
    made, said = page(intra, tmp_path, store=store, pictures=False)
    assert "Attention over pictures" in made["figures"]
    assert "Of the first run, runs/sub-01/seed-0, at the epoch that validation chose." in said
    assert "6 of 6 queries, evenly over all" in said


def test_runs_that_a_report_is_not_of_are_left_out(intra, quick, store, tmp_path):
    half = intra / "runs" / "sub-01" / "seed-7"  # a seed that only one of the subjects has
    shutil.copytree(intra / "runs" / "sub-01" / "seed-0", half)
    again = reproduce(quick, store, intra, protocol="intra", seeds=1)
    [result] = find_results(intra)
    assert result.runs == [intra / run["folder"] for run in again.runs]
    assert half not in result.runs
    assert len(result.rankings()) == len(result.histories()) == 4


def test_across_subjects_both_whitenings_are_told_apart(quick, store, tmp_path):
    report = reproduce(quick, store, tmp_path / "out", protocol="inter", seeds=1)
    found = {(row["selection"], row["whitening"]) for row in report.results if row["tier"] == "inductive"}
    whitenings = ("own-session whitening", "training-subjects whitening")
    assert found == {(epoch, whitening) for epoch in ("fixed epoch", "validation") for whitening in whitenings}
    _, said = page(tmp_path / "out", tmp_path)
    assert "inter-subject (out)" in said
    numbers = r"\s[^a-z]*(?:to[^a-z]*){3}"  # top-1, top-5 and log-loss, each with its interval
    rows = re.findall(rf"inductive\s+cosine, (\S+ whitening){numbers}(fixed epoch|validation)\s+(\S+ whitening)", said)
    assert sorted((epoch, whitening) for _, epoch, whitening in rows) == sorted(found)
    assert all(method == whitening for method, _, whitening in rows)
    assert "2 subjects, 1 seed." in said
    assert "2 trainings (thin)" in said
    assert "n = 12 queries. 2 runs together" in said


def test_an_ablation_over_segments_is_drawn_over_time(quick, store, tmp_path):
    report = ablate(quick, store, tmp_path / "out", over="segments", seeds=1, subjects=["1"])
    made, said = page(tmp_path / "out", tmp_path)
    assert made["figures"] == ["Temporal segments", "Paired differences in top-1", "Paired differences in log-loss"]
    assert "windows of 0.12 s at different places, and windows that grow" in said
    assert all(row["name"] in said for row in report.rows)
    (tmp_path / "with store").mkdir()
    _, said = page(tmp_path / "out", tmp_path / "with store", store=store)
    assert "made for a run or a reproduction, not for an ablation" in said
