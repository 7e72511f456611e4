"""Recorded fMRI: the example's decoders on the three files, and on shuffled ones."""

import json
import sys

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def fmri(real_data):
    folder = real_data / "fmri"
    if not folder.is_dir():
        pytest.skip(f"no fMRI at {folder}")
    return folder


@pytest.fixture
def example(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project / "examples"))
    import fmri as module

    return module


def planted(example, **changes):
    """Patterns of six classes in four blocks, which tell the class by its own voxel."""
    item, block = np.tile(np.arange(6), 4), np.repeat(np.arange(4), 6)
    noise = 0.1 * torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    values = torch.eye(6, 8)[item] + noise
    settings = {"values": values, "item": item, "unit": np.arange(6), "block": block, "names": list("abcdef")}
    return example.Trials(**{**settings, **changes})


def test_shuffled_labels_stay_within_their_block_and_together(example):
    labels = np.array([0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2])
    run = np.repeat([0, 1], 6)
    versions = example.shuffled_labels(labels, run, run * 3 + labels, 20)
    np.testing.assert_array_equal(versions[0], labels)
    for version in versions:
        for number in (0, 1):
            pairs = version[run == number].reshape(3, 2)
            assert (pairs[:, 0] == pairs[:, 1]).all()
            assert sorted(pairs[:, 0]) == [0, 1, 2]
    assert (versions[1:] != labels).any(axis=1).any()


def test_shuffled_versions_do_not_change_what_the_true_one_gives(example):
    trials = planted(example)
    labels = example.shuffled_labels(trials.item, trials.block, np.arange(24), 3)
    for rule in (example.as_they_are, example.nearest_mean):
        alone, beside = (example._over_blocks(trials, some, "ridge", rule)[0] for some in (labels[:1], labels))
        torch.testing.assert_close(alone, beside)
        assert example.hits(alone[None], labels[:1]).mean() > 0.8


@pytest.mark.parametrize("model", ["ridge", "kernel"])
def test_what_was_never_shown_is_told_apart_by_features_that_patterns_follow(example, model):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(8, 2, generator=generator)
    numbers = np.arange(8)
    patterns = features @ torch.randn(2, 8, generator=generator)
    seen = example.Trials(patterns, numbers, numbers, np.zeros(8, int), list("abcdefgh"))
    pairs = example._pairs_of(seen)
    assert len(pairs) == 28
    found = example.identify(seen, features, pairs, model, "other").mean()
    assert found > 0.8
    values = example._identified(seen, features, pairs, model, "other", 2)
    assert values[0].mean() == found
    assert values[1:].mean() < 0.8


def test_nothing_of_held_out_trials_enters_the_fold(example):
    trials = planted(example)
    folds = [(trials.block != 3, trials.block == 3)]
    labels = trials.item[None]
    strange = trials.values.clone()
    strange[23] = 1e4
    before, after = (
        example.decode_classes(
            planted(example, values=values), labels, folds, trials.block, "ridge", example.as_they_are
        )
        for values in (trials.values, strange)
    )
    torch.testing.assert_close(before[:, :23], after[:, :23])


def test_a_bar_that_is_missed_is_said(example):
    values = torch.stack([torch.arange(10) < 6, torch.arange(10) < 7, torch.arange(10) < 1]).double()
    row = example._row("what", "ridge", values, None, "trials", 0.1, bar=0.7)
    assert row["value"] == 0.6
    assert row["reached"] is False
    assert row["p"] == pytest.approx(2 / 3)
    assert row["control"] == pytest.approx(0.4)
    assert ">= 0.7 no" in example._table("part", [row])
    assert not example._row("what", "ridge", values, None, "trials", 0.1, highest_p=0.01)["reached"]


def test_ten_figures_are_told_apart_and_unseen_ones_by_their_pixels(example, fmri):
    trials, pictures = example.read_figures(fmri)
    assert pictures.shape == (10, 10, 10)
    labels = trials.item[None]
    scores = example._over_blocks(trials, labels, "ridge", example.as_they_are)
    assert example.hits(scores, labels).mean() >= 0.85
    pixels = torch.from_numpy(pictures).flatten(1) / 255
    assert example.identify(trials, pixels, example._pairs_of(trials), "ridge", "other").mean() >= 0.75


def test_runs_are_scaled_by_themselves_and_hold_eight_categories(example, fmri):
    trials = example.read_haxby(fmri)
    assert trials.values.shape == (864, 530)
    assert np.bincount(trials.item).tolist() == [108] * 8
    assert torch.isfinite(trials.values).all()


@pytest.mark.slow
def test_the_example_ends_with_one_json_line(example, fmri, monkeypatch, capsys):
    shuffles = ["--permutations", "99", "--volumes", "2", "--shuffled", "1"]
    parts = [word for name in ("figures", "objects", "haxby") for word in ("--only", name)]
    monkeypatch.setattr(sys, "argv", ["fmri.py", "--data", str(fmri), *parts, *shuffles])
    assert example.main() == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert set(found) == {"figures", "objects", "haxby", "seconds"}
    assert "photographs held out" in printed
    for row in found["objects"][:2]:
        assert row["value"] > 0.5
        assert row["p"] == 0.01
    assert found["haxby"][1]["value"] >= 0.7


@pytest.fixture(scope="module")
def compared(project):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(project / "examples"))
        import fmri_simulated as simulated

    sizes = {"concepts": 40, "test_concepts": 8, "images_per_concept": 5, "test_repeats": 4, "voxels": 200}
    settings = {"subjects": (1, 2), "seed": 3, "imagery_repeats": 0, "snr": 2.0, **sizes}
    patch = pytest.MonkeyPatch()
    patch.setattr(simulated, "ROWS", {name: simulated.ROWS[name] for name in (simulated.FIRST, "linear", "ridge")})
    patch.setattr(simulated, "PAIRS", [(simulated.FIRST, "linear"), ("linear", "ridge")])
    found = simulated.compare(2, settings, {"epochs": 6})
    patch.undo()
    return simulated, found


def test_rows_are_compared_on_simulated_recordings(compared):
    simulated, found = compared
    assert {one["task"] for one in found["values"]} == {
        f"{what}, {how}" for what in ("pictures", "texts") for how in ("single trials", "all trials")
    }
    values = {(one["task"], one["row"]): one for one in found["values"]}
    best = values["pictures, all trials", "ridge"]
    assert best["chance"] == pytest.approx(1 / 8, abs=1e-4)
    assert best["value"] > 2 * best["chance"]
    assert best["p"] < 0.01
    assert best["low"] <= best["value"] <= best["high"]
    for one in found["differences"]:
        first, second = (values[one["task"], name]["value"] for name in one["rows"])
        assert one["difference"] == pytest.approx(first - second, abs=1.1e-4)
        assert one["low"] <= one["difference"] <= one["high"]
    table = simulated.compared_table(found)
    assert "linear - ridge" in table
    assert f"{best['value']:.3f}" in table


def test_the_settings_of_the_comparison_are_the_datasets_own(compared):
    from neuroclip_hf.data.simulation.god_settings import GodSettings

    simulated, _ = compared
    settings = GodSettings(**simulated.SETTINGS)
    assert (settings.concepts, settings.images_per_concept, settings.test_concepts) == (150, 8, 50)
    assert settings.seed != GodSettings().seed


def test_a_folder_without_the_files_is_named(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fmri.py", "--data", str(tmp_path)])
    assert example.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(tmp_path) in printed.err
