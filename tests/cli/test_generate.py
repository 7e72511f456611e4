"""`neuroclip generate` from the command line."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A tiny unCLIP pipeline."""
    path = Path(__file__).parents[1] / "generation" / "tiny.py"
    spec = importlib.util.spec_from_file_location("tiny", path)
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    return tiny.save(tiny.unclip(), tmp_path_factory.mktemp("pipeline") / "tiny-unclip")


def test_pictures_and_a_report_go_into_the_run(neuroclip, run_copy, store_folder, pipeline):
    words = ["--data", store_folder, "--pipeline", pipeline, "--limit", 1, "--steps", 1, "--seed", 3, "--subject", 1]
    result = neuroclip("generate", run_copy, *words, "--json").result
    assert (result["num_queries"], result["settings"]["seed"], result["settings"]["steps"]) == (1, 3, 1)
    assert result["settings"]["pipeline"] == "tiny-unclip"
    assert (run_copy / "generated" / "sheet.png").is_file()
    again = neuroclip("generate", run_copy, *words)
    assert again.code == 0
    assert "identification tower" in again.out
    assert "generated less" in again.out
    assert f"Pictures, sheet and report: {run_copy / 'generated'}" in again.out.replace("\n", "")


def test_bad_input_is_one_message(refused, run_folder, store_folder, pipeline, tmp_path):
    words = ("generate", run_folder, "--data", store_folder, "--out", tmp_path / "out", "--pipeline")
    assert "method is 'gan': choose one of" in refused(*words, pipeline, "--method", "gan")
    assert "is for 'unclip': leave --method out" in refused(*words, pipeline, "--method", "kandinsky")
    assert "cannot be loaded" in refused(*words, "nobody/has-this")
    assert "steps is 0" in refused(*words, pipeline, "--steps", 0)
    assert "holds no subject 7" in refused(*words, pipeline, "--subject", 7)
    assert not (tmp_path / "out").exists()
