"""One report over subjects and seeds: its numbers are those of the runs, however and in whatever order they came."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuroclip_hf.cli.main import main
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation import load_ranking, read_report
from neuroclip_hf.files import read_json
from neuroclip_hf.protocols.reproduce import work as working
from neuroclip_hf.protocols.reproduce.main import flags_of_subjects, reproduce
from neuroclip_hf.protocols.reproduce.plan import make_plan, open_folder, run_folder
from neuroclip_hf.protocols.reproduce.summary import BY_VALIDATION, FIXED_EPOCH, SELECTIONS, seed_averaged
from neuroclip_hf.protocols.reproduce.work import Work, make_missing
from neuroclip_hf.protocols.run import train_run


@pytest.fixture(scope="module")
def intra(quick, store, tmp_path_factory):
    """A finished reproduction, its report and its plan."""
    folder = tmp_path_factory.mktemp("reproduced") / "out"
    two = replace(quick, training=replace(quick.training, epochs=2))
    report = reproduce(two, store, folder, protocol="intra", seeds=2)
    return folder, report, make_plan(two, store, "intra", 2)


def inductive(report, selection):
    [row] = [one for one in report.results if one["selection"] == selection and one["tier"] == "inductive"]
    return row


@pytest.mark.parametrize("selection", SELECTIONS)
def test_means_are_over_subjects_and_deviations_over_seeds(intra, selection):
    folder, report, plan = intra
    row = inductive(report, selection)
    values = {
        (run.subject, run.seed): read_report(run_folder(folder, run) / SELECTIONS[selection])["top1"]
        for run in plan.runs
    }
    for subject in plan.subjects:
        mine = [values[subject, seed] for seed in (0, 1)]
        assert row["subjects"][subject]["top1"]["values"] == mine
        assert row["subjects"][subject]["top1"]["mean"] == pytest.approx(np.mean(mine))
        assert row["subjects"][subject]["top1"]["std"] == pytest.approx(np.std(mine, ddof=1))
    by_seed = [np.mean([values[subject, seed] for subject in plan.subjects]) for seed in (0, 1)]
    assert row["mean"]["top1"]["values"] == pytest.approx(by_seed)
    assert row["mean"]["top1"]["mean"] == pytest.approx(np.mean(list(values.values())))
    assert row["mean"]["top1"]["std"] == pytest.approx(np.std(by_seed, ddof=1))
    interval = row["mean"]["top1"]["interval"]
    assert interval["estimate"] == pytest.approx(row["mean"]["top1"]["mean"])
    assert interval["low"] <= interval["estimate"] <= interval["high"]


def test_the_two_ways_to_choose_the_epoch_are_two_checkpoints(intra):
    folder, report, plan = intra
    assert [row["selection"] for row in report.results if row["tier"] == "inductive"] == [FIXED_EPOCH, BY_VALIDATION]
    for run in plan.runs:
        path = run_folder(folder, run)
        assert read_json(path / "last_epoch" / "run.json")["best_epoch"] == 2
        chosen = read_json(path / "run.json")["best_epoch"]
        same = torch.equal(load_ranking(path).scores, load_ranking(path / "last_epoch").scores)
        assert same == (chosen == 2)


def test_the_report_says_what_it_is_made_of(intra, store):
    folder, report, plan = intra
    written = read_json(folder / "report.json")
    assert written == json.loads(json.dumps(report.to_dict()))
    assert (written["kind"], written["subject_protocol"], written["seeds"]) == ("reproduction", "intra", [0, 1])
    assert written["store"] == store.info.fingerprint
    assert (written["data"], written["gallery_size"]) == ("simulated", 6)
    assert written["chance"] == pytest.approx(1 / 6)
    assert [one["folder"] for one in written["runs"]] == [f"runs/{run.name}" for run in plan.runs]
    assert all(0 < one["p"] <= 1 and one["seconds"] > 0 for one in written["runs"])
    assert all(one["validation"]["by"] == "concepts" and one["processes"] == 1 for one in written["runs"])
    assert len(written["hardware"]) == 1
    assert written["versions"]["torch"]
    assert str(folder) not in json.dumps(written)
    row = inductive(report, FIXED_EPOCH)
    assert set(row["n_way"]) == {"2", "4", "5", "6"}
    assert [entry["repeats"] for entry in row["repeats"]] == [1, 2, 4]
    assert row["repeats"][-1]["top1"]["mean"] == pytest.approx(row["mean"]["top1"]["mean"])
    assert {one["tier"] for one in report.results} >= {"inductive", "calibrated", "transductive", "matching"}


def test_a_query_counts_once_however_many_seeds_answer_it(intra):
    folder, _, plan = intra
    answers, subjects = seed_averaged(plan, folder, FIXED_EPOCH)
    assert {len(values) for values in answers.values()} == {len(subjects)} == {12}
    assert subjects == ["sub-01"] * 6 + ["sub-02"] * 6
    assert set(answers["top1"].tolist()) <= {0.0, 0.5, 1.0}


def test_a_run_with_an_earlier_report_is_evaluated_again_and_not_trained(intra, store, tmp_path, monkeypatch):
    folder, report, plan = intra
    again = tmp_path / "out"
    shutil.copytree(folder, again)
    old = run_folder(again, plan.runs[0])
    cost = (old / "cost.json").read_bytes()
    for part in (old, old / "last_epoch"):
        written = json.loads((part / "report.json").read_text())
        (part / "report.json").write_text(json.dumps({**written, "schema": 1, "top1": 0.0}))
        (part / "ranking.safetensors").write_bytes(b"of another form")
    monkeypatch.setattr(working, "train_run", None)
    assert reproduce(plan.recipe, store, again, protocol="intra", seeds=2).results == report.results
    assert (old / "cost.json").read_bytes() == cost


def test_log_losses_come_beside_the_accuracies(intra):
    folder, report, plan = intra
    answers, _ = seed_averaged(plan, folder, FIXED_EPOCH)
    found = inductive(report, FIXED_EPOCH)["mean"]["log_loss"]
    assert found["mean"] == pytest.approx(float(answers["log_loss"].mean()))
    assert found["interval"]["low"] <= found["mean"] <= found["interval"]["high"]
    assert report.chance_log_loss == pytest.approx(math.log(6), rel=1e-12)


def test_another_order_gives_the_same_numbers(intra, store, tmp_path):
    folder, report, plan = intra
    backwards = Work(replace(plan, runs=plan.runs[::-1]), tmp_path / "out", tmp_path / "features")
    open_folder(tmp_path / "out", plan.identity())
    make_missing([backwards], store.path)
    again = reproduce(plan.recipe, store, tmp_path / "out", protocol="intra", seeds=2)
    assert again.results == report.results
    for run in plan.runs:
        one, other = (run_folder(path, run) / "model.safetensors" for path in (folder, tmp_path / "out"))
        assert one.read_bytes() == other.read_bytes()


def test_more_seeds_are_added_to_what_is_there(quick, store, tmp_path, monkeypatch):
    made, real = [], train_run
    monkeypatch.setattr(working, "train_run", lambda *args, **options: (made.append(args[2]), real(*args, **options)))
    first = reproduce(quick, store, tmp_path / "out", protocol="inter", seeds=1)
    assert [path.parent.name for path in made] == ["sub-01", "sub-02"]
    assert first.results[0]["mean"]["top1"]["std"] is None
    made.clear()
    again = reproduce(quick, store, tmp_path / "out", protocol="inter", seeds=1)
    assert made == []
    assert again.results == first.results
    more = reproduce(quick, store, tmp_path / "out", protocol="inter", seeds=2)
    assert [path.name for path in made] == ["seed-1", "seed-1"]
    assert more.seeds == [0, 1]
    assert more.results[0]["mean"]["top1"]["values"][0] == first.results[0]["mean"]["top1"]["values"][0]
    fewer = reproduce(quick, store, tmp_path / "out", protocol="inter", seeds=1)
    assert (fewer.seeds, fewer.results, fewer.flags) == (more.seeds, more.results, more.flags)
    (run_folder(tmp_path / "out", make_plan(quick, store, "inter", 2).runs[-1]) / "cost.json").unlink()
    apart = reproduce(quick, store, tmp_path / "out", protocol="inter", seeds=1)
    assert apart.seeds == [0]
    assert apart.flags == ["Not in this report, since not every subject has these seeds: sub-01/seed-1."]


def test_the_verb_prints_a_row_a_subject(store_folder, tmp_path, tiny_words, capsys):
    words = ["reproduce", "demo", *tiny_words, "epochs=1", "batch_size=64", "--data", str(store_folder)]
    words += ["--protocol", "intra", "--seeds", "1", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for word in (
        "sub-01",
        "sub-02",
        "mean",
        "chance",
        "fixed",
        "validation",
        "simulated data",
        "one seed, hence no ±",
    ):
        assert word in shown
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "reproduction"


def test_a_failed_run_is_named_after_the_others_are_made(quick, store, tmp_path, monkeypatch):
    real = train_run

    def loses(recipe, store, out, **options):
        if out.parent.name == "sub-01":
            raise FloatingPointError("The loss is nan in epoch 1")
        return real(recipe, store, out, **options)

    monkeypatch.setattr(working, "train_run", loses)
    with pytest.raises(FloatingPointError, match=r"1 of 2 runs lost numbers.*sub-01/seed-0: The loss is nan"):
        reproduce(quick, store, tmp_path / "out", protocol="intra", seeds=1)
    assert (tmp_path / "out" / "runs" / "sub-02" / "seed-0" / "report.json").is_file()
    assert not (tmp_path / "out" / "report.json").exists()
    monkeypatch.undo()
    assert len(reproduce(quick, store, tmp_path / "out", protocol="intra", seeds=1).runs) == 2


def test_a_held_out_subject_has_a_row_for_each_whitening(store_folder, tmp_path, tiny_words, capsys):
    words = ["reproduce", "demo", *tiny_words, "epochs=1", "batch_size=64", "--data", str(store_folder)]
    words += ["--protocol", "inter", "--seeds", "1", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    shown = capsys.readouterr().out.replace("\n", "")
    assert "own-" in shown
    assert "training-" in shown
    losses = " ".join(shown.partition("log-loss, mean:")[2].split())
    assert losses.count("own-session whitening)") == losses.count("training-subjects whitening)") == 2
    report = read_json(tmp_path / "out" / "report.json")
    rows = [row["whitening"] for row in report["results"] if row["tier"] == "inductive"]
    assert rows == ["own-session whitening", "training-subjects whitening"] * 2
    own, other = report["results"][:2]
    assert own.keys() == other.keys()
    for name in ("subjects", "mean"):
        assert own[name].keys() == other[name].keys()
    assert other["n_way"].keys() == own["n_way"].keys() == {"2", "4", "5", "6"}
    assert [entry["repeats"] for entry in other["repeats"]] == [1, 2, 4]
    for row in (own, other):
        found = row["mean"]["top1"]
        assert row["repeats"][-1]["top1"]["mean"] == pytest.approx(found["mean"])
        assert found["interval"]["estimate"] == pytest.approx(found["mean"])
    calibrated = next(row for row in report["results"] if row["tier"] == "calibrated")
    assert (own["num_trials"], calibrated["num_trials"]) == (0, 80)
    assert (report["protocol"], report["averaged_repeats"]) == ("new-concepts", 4)


def test_a_run_whose_cost_was_not_noted_is_finished(intra, quick, store, tmp_path):
    folder, report, plan = intra
    cost = run_folder(folder, plan.runs[0]) / "cost.json"
    cost.unlink()
    again = reproduce(plan.recipe, store, folder, protocol="intra", seeds=2)
    assert again.results == report.results
    assert cost.is_file()


def test_one_person_under_two_names_is_flagged(store_folder):
    opened = TrialStore(store_folder)
    assert flags_of_subjects(opened, opened.subjects) == []
    digests = opened.trials["digest"].to_numpy().copy()
    mine, theirs = (np.flatnonzero(opened.trials["subject"] == name)[:3] for name in ("sub-01", "sub-02"))
    digests[mine] = digests[theirs]
    opened.trials["digest"] = digests
    assert flags_of_subjects(opened, opened.subjects) == [
        "sub-01 and sub-02 share recordings of trials (3): they are not two persons, and count as two."
    ]
