"""Every row is a reproduction of its own, compared with the first on the same queries."""

import json
from dataclasses import replace

import pytest

from neuroclip_hf.cli.main import main
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json
from neuroclip_hf.metrics.significance import compare_paired
from neuroclip_hf.protocols.ablate.main import ablate
from neuroclip_hf.protocols.reproduce import work as working
from neuroclip_hf.protocols.reproduce.plan import make_plan
from neuroclip_hf.protocols.reproduce.summary import BY_VALIDATION, seed_averaged


@pytest.fixture(scope="module")
def quick(recipe):
    return replace(recipe, training=replace(recipe.training, epochs=1, batch_size=64))


@pytest.fixture(scope="module")
def segments(quick, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablated") / "out"
    report = ablate(quick, store, folder, over="segments", seeds=1, subjects=["1"])
    return folder, report


def test_a_row_a_variation_with_its_difference_from_the_recipe(segments, quick, store):
    folder, report = segments
    assert report.rows[0]["difference"] is None
    assert report.rows[0]["overrides"] == {}
    names = [row["name"] for row in report.rows]
    assert names[1] == "sliding 0 to 0.12 s"
    assert names[-5:] == [f"growing 0 to {stop} s" for stop in (0.12, 0.24, 0.36, 0.48, 0.6)]
    folders = [row["folder"] for row in report.rows]
    assert (folders[-5], folders[-1]) == (folders[1], folders[0])  # trained once
    assert len(set(folders)) == 9
    assert report.rows[-1]["difference"]["difference"] == 0
    assert report.seconds == pytest.approx(sum({row["folder"]: row["seconds"] for row in report.rows}.values()))
    for row in report.rows:
        own = read_json(folder / row["folder"] / "runs" / "sub-01" / "seed-0" / "report.json")
        assert row["top1"]["mean"] == own["top1"]
    plan = make_plan(quick, store, "intra", 1, ["1"])
    mine, groups = seed_averaged(plan, folder / report.rows[3]["folder"], BY_VALIDATION)
    theirs, _ = seed_averaged(plan, folder / report.rows[0]["folder"], BY_VALIDATION)
    for measure, name in (("top1", "difference"), ("log_loss", "log_loss_difference")):
        assert report.rows[3][name] == compare_paired(mine[measure], theirs[measure], groups=groups)._asdict()
    assert report.rows[0]["log_loss_difference"] is None
    assert report.rows[3]["log_loss"]["mean"] == pytest.approx(float(mine["log_loss"].mean()))


def test_the_report_is_written_and_says_what_it_is(segments, store):
    folder, report = segments
    written = read_json(folder / "report.json")
    assert written == json.loads(json.dumps(report.to_dict()))
    assert (written["kind"], written["over"], written["selection"]) == ("ablation", "segments", "validation")
    assert (written["data"], written["store"]) == ("simulated", store.info.fingerprint)


def test_the_same_command_makes_nothing_twice_and_another_is_refused(segments, quick, store, monkeypatch):
    folder, report = segments
    monkeypatch.setattr(working, "train_run", lambda *arguments, **options: pytest.fail("trained again"))
    again = ablate(quick, store, folder, over="segments", seeds=1, subjects=["1"])
    assert again.rows == report.rows
    with pytest.raises(InputError, match="another over"):
        ablate(quick, store, folder, over="layers", seeds=1, subjects=["1"])


def test_the_verb_prints_a_row_a_variation(store_folder, tmp_path, tiny_words, capsys):
    words = ["ablate", "demo", *tiny_words, "epochs=1", "batch_size=64", "--over", "channels", "--seeds", "1"]
    words += ["--subjects", "1", "--data", str(store_folder), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for word in ("the recipe", "parietal (1 channel)", "occipital (3 channels)", "chance", "simulated data"):
        assert word in shown
