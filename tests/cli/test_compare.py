"""`evaluate` says how far its numbers can be trusted, `compare` sets two runs side by side."""

import json
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


def test_what_cannot_be_compared_says_what_to_do(refused, neuroclip, run_copy, store_folder, tmp_path):
    neuroclip("evaluate", run_copy, "--data", store_folder)
    other = shutil.copytree(run_copy, tmp_path / "other")
    assert "are the same folder: name two runs" in refused("compare", run_copy, run_copy / ".")
    assert "nowhere is not a folder" in refused("compare", run_copy, tmp_path / "nowhere")
    assert "is not a folder" in refused("compare", other / "ranking.safetensors", run_copy)
    many = tmp_path / "many"
    run = shutil.copytree(other, many / "runs" / "sub-01" / "seed-0")
    (many / "reproduction.json").write_text("{}")
    assert f"name one of its runs, {run} for example" in refused("compare", run_copy, many)
    whole = (other / "ranking.safetensors").read_bytes()
    (other / "ranking.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in (said := refused("compare", run_copy, other))
    assert "evaluate the run again with --overwrite" in said
    (other / "ranking.safetensors").unlink()
    assert "again with --overwrite, as its report.json is there" in refused("compare", run_copy, other)
    neuroclip("evaluate", other, "--data", store_folder, "--overwrite")  # as they say
    neuroclip("compare", run_copy, other)
    neuroclip("evaluate", other, "--data", store_folder, "--subjects", "1", "--overwrite")
    assert "different subjects, sub-01, sub-02 and of sub-01: " in refused("compare", run_copy, other)


def test_how_two_evaluations_differ_is_said(neuroclip, run_copy, store_folder, tmp_path):
    neuroclip("evaluate", run_copy, "--data", store_folder)
    other = shutil.copytree(run_copy, tmp_path / "other")
    assert neuroclip("compare", run_copy, other, "--json").result["flags"] == []
    report = json.loads((other / "report.json").read_text())
    changed = {**report, "store": "0" * 16, "whitening_fit": "none", "flags": ["look out"]}
    (other / "report.json").write_text(json.dumps(changed))
    flags = neuroclip("compare", run_copy, other, "--json").result["flags"]
    assert flags[0] == f"The two differ in store: {report['store']} and {'0' * 16}."
    assert flags[1] == "The two differ in whitening: own session and none."
    assert flags[2].startswith("Queries are told apart by")
    assert flags[3] == f"{other}: look out"
    shown = neuroclip("compare", run_copy, other).out
    assert "Note: " in shown
    assert "inductive" in shown


def test_notes_are_printed(neuroclip, run_copy, array_store, store_folder):
    (run_copy / "trained_on.json").unlink()
    assert (
        "Note: The checkpoint does not say what it was trained on"
        in neuroclip("evaluate", run_copy, "--data", store_folder).out
    )
