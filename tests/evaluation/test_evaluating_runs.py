"""A run's folder and a store, through all of it."""

import json

import pytest

from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import accuracy_of, load_ranking, rank_test_split
from neuroclip_hf.protocols import evaluating
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.training.settings import load_recipe


@pytest.fixture(scope="module")
def by_others(simulated, tmp_path_factory):
    """The trials of `store`, each subject whitened by the other one's training epochs."""
    settings = EpochSettings(window=(0.0, 0.6), baseline=(-0.2, 0.0), sampling_rate=50.0)
    folder = tmp_path_factory.mktemp("by_others") / "store"
    options = {"channels": ("P7", "O1", "Oz", "O2"), "epochs": settings, "whitening": "training-subjects"}
    prepare_things_eeg2(simulated, folder, **options)
    return TrialStore(folder)


@pytest.fixture(scope="module")
def left_out(store, tiny_overrides, tmp_path_factory):
    """A run that held sub-02 out, and what it trained."""
    overrides = {**tiny_overrides, "split": "leave-one-subject-out", "held_out_subject": "sub-02"}
    recipe = load_recipe("demo", overrides)
    trained = train_on_store(recipe, store)
    folder = tmp_path_factory.mktemp("left_out")
    save_run(trained, recipe, folder)
    return folder, trained


def test_the_ranking_stands_beside_the_report(run_copy, store):
    report = evaluate_run(run_copy, store)
    ranking = load_ranking(run_copy)
    assert accuracy_of(ranking)["top1"] == report.top1
    assert [entry["repeats"] for entry in report.repeats] == [1, 2, 4]
    assert report.repeats[-1]["top1"] == report.top1
    assert {row["tier"] for row in report.tiers} == {"inductive", "calibrated", "transductive", "matching"}
    assert report.tiers[1]["num_trials"] == 80
    assert report.flags == []
    json.dumps(report.to_dict(), allow_nan=False)


def test_an_unseen_subject_has_a_row_for_each_whitening(left_out, store, by_others, monkeypatch):
    folder, trained = left_out
    ranked = []
    monkeypatch.setattr(evaluating, "rank_test_split", lambda *a, **b: ranked.append(a[2]) or rank_test_split(*a, **b))
    report = evaluate_run(folder, store, also=by_others, overwrite=True)
    assert ranked == [store, by_others]
    own, others = report.tiers[:2]
    assert (own["tier"], own["whitening"]) == ("inductive", "own-session whitening")
    assert (others["tier"], others["whitening"]) == ("inductive", "training-subjects whitening")
    ranking = rank_test_split(trained.model, trained.processor, by_others, subjects=["sub-02"])
    assert others["top1"] == accuracy_of(ranking)["top1"]
    assert others["top5"] == accuracy_of(ranking)["top5"]
    assert report.tested_subjects == "new"
    assert report.flags == []  # it was held out, so that it is meant to be new


def test_the_other_store_must_hold_the_same_queries(left_out, store, by_others, array_store, tmp_path):
    folder, _ = left_out
    before = evaluate_run(folder, store, overwrite=True).to_dict()
    with pytest.raises(InputError, match="were whitened alike"):
        evaluate_run(folder, store, also=store, overwrite=True)
    with pytest.raises(InputError, match="holds no subject sub-02"):
        evaluate_run(folder, store, also=array_store(), overwrite=True)
    assert json.loads((folder / "report.json").read_text()) == before


def test_flags_reach_the_report(run_copy, store, by_others):
    report = evaluate_run(run_copy, by_others)
    (flag,) = report.flags
    assert flag.startswith(f"The store ({by_others.info.fingerprint}) is not the one")
    (run_copy / "trained_on.json").unlink()
    assert any("does not say what" in flag for flag in evaluate_run(run_copy, store, overwrite=True).flags)
