"""`evaluate` says how far its numbers can be trusted, `compare` sets two runs side by side."""

import shutil


def test_compare_two_runs(neuroclip, refused, run_copy, store_folder, tmp_path):
    other = shutil.copytree(run_copy, tmp_path / "other")
    assert "holds no ranking.safetensors: evaluate the run first" in refused("compare", run_copy, other)
    printed = neuroclip("evaluate", run_copy, "--data", store_folder)
    for words in ("95 % interval", "p = ", "random galleries of  2: ", "  1: ", "calibrated, from 80 trials", "CSLS"):
        assert words in printed.out, words
    found = neuroclip("evaluate", other, "--data", store_folder, "--json").result
    result = neuroclip("compare", run_copy, other, "--json").result
    assert result["num_queries"] == found["num_queries"]
    assert result["top1"]["first"] == result["top1"]["second"] == found["top1"]
    assert (result["top5"]["difference"], result["top5"]["p"]) == (0, 1)
    shown = neuroclip("compare", run_copy, other).out
    assert "12 queries of sub-01, sub-02, gallery of 6" in shown
    assert "+0.000 to +0.000" in shown
    neuroclip("evaluate", other, "--data", store_folder, "--average", "1", "--overwrite")
    assert "were asked 12 and 48 queries" in refused("compare", run_copy, other)


def test_notes_are_printed(neuroclip, run_copy, array_store, store_folder):
    (run_copy / "trained_on.json").unlink()
    assert (
        "Note: The checkpoint does not say what it was trained on"
        in neuroclip("evaluate", run_copy, "--data", store_folder).out
    )
