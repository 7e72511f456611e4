"""The README of a run or a reproduction: lines that run, true numbers, and plain words about simulated data."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.task_report import TaskReport, write_task
from neuroclip_hf.files import write_json
from neuroclip_hf.kinds import find_kind
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.run_files import TASKS
from neuroclip_hf.sharing import described
from neuroclip_hf.sharing.card import refresh_card, write_card
from neuroclip_hf.sharing.model_index import HUB_TASKS
from neuroclip_hf.sharing.remote_code import add_remote_code

INTERVAL = {"low": 0.125, "high": 0.75, "level": 0.9, "over": "pictures"}


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def front_of(path):
    return yaml.safe_load(path.read_text().split("---\n")[1])


def blocks_of(path, language="python"):
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def evaluated(run_copy, store):
    """A run with its report."""
    evaluate_run(run_copy, store)
    return run_copy


@pytest.fixture
def reproduction(god_reproduction, tmp_path):
    """A copy of BrainCLIP's reproduction."""
    return Path(shutil.copytree(god_reproduction, tmp_path / "reproduction"))


def task(name="categories", trials="perception", **changes):
    row = {
        "direction": "brain to category",
        "queries": "single trials",
        "averaged_predictions": 1.0,
        **{"top1": 0.25, "top5": 0.875, "pairwise": 0.625, "num_queries": 8, "gallery_size": 6},
        "chance": {"top1": 0.1666, "top5": 0.8333, "pairwise": 0.5},
        "intervals": {"top1": INTERVAL},
    }
    said = {
        **{"against": "texts", "candidates": "texts: two prompts a class", "templates": [], "named_protocol": None},
        **{"data": "recorded", "protocol": "new-concepts", "zero_shot": True, "store": "abc", "tower": "small-clip"},
        **{"supervision": None, "runs": [{"selection": "last"}], "rows": [row], "reference": None},
        "flags": ["Few trials."],
    }
    return TaskReport(task=name, trials=trials, **{**said, **changes})


def test_before_evaluation(run_copy):
    text = write_card(run_copy, "somewhere/run").read_text()
    front = front_of(run_copy / "README.md")
    assert front["library_name"] == "neuroclip_hf"
    assert 'from_pretrained("somewhere/run")' in text
    assert text.split("---\n")[2].lstrip().startswith("**Simulated recordings: the numbers below say nothing about")
    assert "small-clip (ships with neuroclip_hf" in text
    assert "Not evaluated yet" in text


def test_the_report_is_in_it(run_copy, store):
    report = evaluate_run(run_copy, store)
    text = write_card(run_copy).read_text()
    assert f"| top-1 | {report.top1:.3f} (chance {report.chance:.3f}) |" in text
    assert "not trained" in text
    assert "| sub-02 |" in text
    assert "new-concepts" in text


def test_recorded_data_are_not_called_simulated(run_copy):
    edit(run_copy / "run.json", data="recorded")
    text = write_card(run_copy).read_text()
    assert "imulated recordings" not in text
    assert "simulated" not in front_of(run_copy / "README.md")["tags"]


def test_simulated_numbers_of_a_task_are_called_so_too(run_copy):
    edit(run_copy / "run.json", data="recorded")
    write_task(task(data="simulated"), run_copy)
    assert "**Simulated recordings" in write_card(run_copy).read_text()


@pytest.mark.parametrize("name", ["run.json", "config.json", "processor_config.json", "report.json"])
@pytest.mark.parametrize("text", ["{", "{}"])
def test_damaged_files_are_named_and_the_card_stays(run_copy, name, text):
    before = write_card(run_copy).read_bytes()
    (run_copy / name).write_text(text)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        write_card(run_copy)
    assert (run_copy / "README.md").read_bytes() == before


@pytest.mark.parametrize(
    ("unit", "num_timesteps", "facts", "modality"),
    [
        ("V", 30, {}, "eeg"),
        ("T", 30, {}, "meg"),
        ("sd", 30, {}, None),
        ("sd", 30, {"modality": "meg"}, "meg"),
        ("au", None, {}, "fmri"),
    ],
)
def test_the_modality_is_what_was_recorded_or_left_out(run_copy, unit, num_timesteps, facts, modality):
    path = run_copy / "processor_config.json"
    trials = {**json.loads(path.read_text())["feature_extractor"], "unit": unit, "num_timesteps": num_timesteps}
    edit(path, feature_extractor=trials)
    run = json.loads((run_copy / "run.json").read_text())
    run.pop("modality", None)
    (run_copy / "run.json").write_text(json.dumps({**run, **facts}))
    tags = front_of(write_card(run_copy))["tags"]
    assert tags == ["brain-decoding", *([modality] if modality else []), "image-retrieval", "neuroclip", "simulated"]


def test_how_sure_the_report_is_stands_in_it(run_copy, store):
    evaluate_run(run_copy, store)
    found = {"intervals": {"top1": INTERVAL}, "permutation": {"p": 0.0312, "permutations": 999}}
    found |= {"log_loss": 1.25, "chance_log_loss": 1.7918}
    edit(run_copy / "report.json", **found, flags=["Somebody is not new.", "Whitened by others."])
    text = write_card(run_copy).read_text()
    assert "| 90 % interval of top-1 | 0.125 to 0.750, over pictures |" in text
    assert text.count("interval of") == 1
    assert "| log-loss of the right picture | 1.250 (blind guessing 1.792; lower is better) |" in text
    assert "| p of top-1 | 0.0312 (999 permutations of the targets) |" in text
    assert "\n\n**Note:** Somebody is not new.\n\n**Note:** Whitened by others.\n\n## Training\n" in text


def test_a_report_that_says_nothing_of_it_is_described_all_the_same(run_copy, store):
    evaluate_run(run_copy, store)
    report = json.loads((run_copy / "report.json").read_text())
    optional = ("flags", "intervals", "permutation", "tiers", "log_loss", "chance_log_loss")
    report = {name: value for name, value in report.items() if name not in optional}
    (run_copy / "report.json").write_text(json.dumps(report))
    text = write_card(run_copy).read_text()
    assert "| sub-02 |" in text
    assert not [word for word in ("interval", "p of top-1", "Note") if word in text]


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "there is no official code"), ("https://example.org", "its authors' code: https://example.org")],
)
def test_a_kind_says_whether_there_is_official_code(run_copy, monkeypatch, code, words):
    monkeypatch.setattr(described, "find_kind", lambda name: replace(find_kind(name), official_code=code))
    assert f"(a re-implementation; {words})" in write_card(run_copy).read_text()


def test_the_lines_of_the_card_run_as_they_are_printed(run_copy, elsewhere):
    add_remote_code(run_copy)
    with_package, without = blocks_of(write_card(run_copy, "run"))
    assert with_package.startswith("import neuroclip_hf")
    done = elsewhere(f"{with_package}\nprint(tuple(embeds.shape))", cwd=run_copy.parent)
    assert (done.returncode, done.stdout.strip()) == (0, "(1, 16)"), done.stderr
    done = elsewhere(f"{without}\nprint(type(model).__name__, type(processor).__name__)", cwd=run_copy.parent)
    assert (done.returncode, done.stdout.strip()) == (0, "NeuroCLIPModel NeuroCLIPProcessor"), done.stderr


def test_so_do_those_of_a_reproduction(reproduction, elsewhere):
    add_remote_code(reproduction)
    with_package, without = blocks_of(write_card(reproduction, "reproduction"))
    assert 'subfolder="runs/sub-01/seed-0"' in with_package
    done = elsewhere(f"{with_package}\nprint(tuple(embeds.shape))", cwd=reproduction.parent)
    assert (done.returncode, done.stdout.strip()) == (0, "(1, 128)"), done.stderr
    done = elsewhere(f"{without}\nprint(type(model).__name__, type(processor).__name__)", cwd=reproduction.parent)
    assert (done.returncode, done.stdout.strip()) == (0, "BrainCLIPModel BrainCLIPProcessor"), done.stderr


def test_lines_that_would_not_run_are_not_printed(run_copy):
    assert len(blocks_of(write_card(run_copy))) == 1
    assert "trust_remote_code" not in (run_copy / "README.md").read_text()


def test_names_are_printed_as_python_reads_them(run_copy):
    text = write_card(run_copy, 'runs\\a "b"').read_text()
    assert 'from_pretrained("runs\\\\a \\"b\\"")' in text


def test_the_hub_reads_the_numbers_of_the_report(evaluated):
    report = json.loads((evaluated / "report.json").read_text())
    card = ModelCard.load(write_card(evaluated, "user/found"))
    assert card.data.model_name == "found"
    found = {one.metric_name: one for one in card.data.eval_results}
    assert {name: one.metric_value for name, one in found.items()} == {
        **{"top-1": report["top1"], "top-5": report["top5"], "pairwise identification": report["pairwise"]}
    }
    top1 = found["top-1"]
    assert (top1.task_type, top1.dataset_type, top1.dataset_split) == ("brain-image-retrieval", "simulated", "test")
    assert top1.dataset_name == "THINGS-EEG2 (simulated in its layout)"
    assert (top1.dataset_revision, top1.dataset_args["protocol"]) == (report["store"], "new-concepts")
    assert top1.metric_args["chance"] == report["chance"]
    assert top1.metric_args["low"] == report["intervals"]["top1"]["low"]
    assert top1.metric_args["tier"] == "inductive"


def test_numbers_that_use_more_than_the_query_stand_apart_and_not_on_the_hub(evaluated):
    tiers = json.loads((evaluated / "report.json").read_text())["tiers"]
    text = write_card(evaluated).read_text()
    apart = text.partition("the numbers above use none of it")[2]
    for row in tiers[1:]:
        assert f"| {row['tier']} | {row['method']}, {row['whitening']} | {row['fitted_on']} |" in apart
    assert {one.metric_args["tier"] for one in ModelCard(text).data.eval_results} == {"inductive"}


def test_a_card_without_numbers_claims_none(run_copy):
    assert "model-index" not in front_of(write_card(run_copy))


def test_a_reproduction_says_what_all_its_runs_gave(reproduction):
    report = json.loads((reproduction / "report.json").read_text())
    text = write_card(reproduction).read_text()
    rows = [row for row in report["results"] if row["tier"] == "inductive"]
    means = [row["mean"][name]["mean"] for row in rows for name in ("top1", "top5")]
    assert f"| mean | {' | '.join(f'{mean:.3f}' for mean in means)} |" in text
    for subject in ("sub-01", "sub-02"):
        assert f"| {subject} | {rows[0]['subjects'][subject]['top1']['mean']:.3f} |" in text
    assert f"| chance | {report['chance']:.3f} |" in text
    found = [one for one in ModelCard(text).data.eval_results if one.metric_name == "top-1"]
    assert {one.metric_args["selection"]: one.metric_value for one in found} == {
        row["selection"]: row["mean"]["top1"]["mean"] for row in rows
    }


def test_standard_deviations_over_seeds_stand_behind_their_means(reproduction):
    report = json.loads((reproduction / "report.json").read_text())
    report["results"][0]["mean"]["top1"] |= {"mean": 0.5, "std": 0.0625}
    write_json(reproduction / "report.json", report)
    assert "| mean | 0.500 ± 0.062 |" in write_card(reproduction).read_text()


@pytest.mark.parametrize("change", [{"kind": "ablation"}, None])
def test_what_is_neither_run_nor_finished_reproduction_has_no_card(reproduction, change):
    if change is None:
        (reproduction / "report.json").unlink()
    else:
        edit(reproduction / "report.json", **change)
    with pytest.raises(InputError, match="a reproduction under way, or an ablation"):
        write_card(reproduction)
    refresh_card(reproduction)
    assert not (reproduction / "README.md").exists()


def test_the_card_of_a_checkpoint_from_elsewhere_stays_its_owners(run_copy):
    (run_copy / "run.json").unlink()
    (run_copy / "README.md").write_text("theirs")
    refresh_card(run_copy)
    assert (run_copy / "README.md").read_text() == "theirs"


def test_tasks_beside_retrieval_are_in_it(run_copy):
    for one in (task(), task("matching", against="images", trials="imagery", flags=[])):
        write_task(one, run_copy)
    text = write_card(run_copy).read_text()
    assert "**Category decoding** against texts, perception, new-concepts, zero-shot, epoch: last.\n" in text
    assert "**Matching** against images, imagery" in text
    row = "| brain to category | 8, single trials | 0.250 | 0.125 to 0.750 | 0.875 | 0.625 | 6 | 0.167 |"
    assert text.count(row) == 2
    assert "**Note:** Few trials." in text
    assert "what was imagined on request" in text
    found = [(one.task_type, one.dataset_split) for one in ModelCard(text).data.eval_results]
    assert set(found) == {("brain-category-decoding", "test"), ("brain-matching", "imagery")}


def test_every_task_has_a_name_on_the_hub():
    assert set(HUB_TASKS) == {"retrieval", *TASKS}


def test_without_imagery_the_card_does_not_speak_of_it(run_copy):
    assert "imagined on request" not in write_card(run_copy).read_text()


def test_generated_pictures_are_called_inventions(run_copy):
    scores = {
        kind: {"pixel_correlation": {"estimate": value}}
        for kind, value in (("generated", 0.5), ("nearest_training_picture", 0.25))
    }
    said = {"num_queries": 3, "trials": "test", "tier": "inductive", "settings": {"pipeline": "tiny"}, "flags": []}
    (run_copy / "generated").mkdir()
    write_json(run_copy / "generated" / "generation.json", {**said, "scores": scores, "chance": {}})
    text = write_card(run_copy).read_text()
    assert "| score | generated | nearest training | chance |" in text
    assert "| pixel correlation | 0.500 | 0.250 |  |" in text
    assert "it is no picture of what somebody saw" in text


def test_figures_beside_it_are_linked(run_copy):
    for name in (
        "retrieval.png",
        "figures/scalp_maps.png",
        "generated/sheet.png",
        "control/hidden.png",
        "report.html",
    ):
        (run_copy / name).parent.mkdir(exist_ok=True)
        (run_copy / name).touch()
    text = write_card(run_copy).read_text()
    links = re.findall(r"!\[(.*?)\]\((.*?)\)", text)
    assert links == [
        ("retrieval", "retrieval.png"),
        ("scalp maps", "figures/scalp_maps.png"),
        ("sheet", "generated/sheet.png"),
    ]
    assert "(report.html)" in text


def test_a_card_without_figures_has_no_heading_for_them(run_copy):
    assert "## Figures" not in write_card(run_copy).read_text()


def test_what_it_may_not_be_used_for_is_said(run_copy):
    text = write_card(run_copy).read_text()
    for words in (
        "## What this can do, and what it cannot",
        "reads no thoughts",
        "## Ethics",
        "agreed to this very use",
    ):
        assert words in text


def test_tower_and_data_come_with_revision_and_licence(run_copy):
    edit(run_copy / "run.json", data="recorded", source="things-eeg2")
    edit(run_copy / "config.json", tower="laion/CLIP-ViT-H-14-laion2B-s32B-b79K", tower_revision="0" * 40)
    text = write_card(run_copy).read_text()
    assert f"laion/CLIP-ViT-H-14-laion2B-s32B-b79K, revision {'0' * 40}, fingerprint " in text
    assert "Licence: MIT" in text
    assert "under CC BY 4.0" in text
    assert front_of(run_copy / "README.md")["base_model"] == "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"


def test_what_is_not_known_is_said_to_be_unknown(run_copy):
    edit(run_copy / "run.json", data="recorded", source="recordings")
    edit(run_copy / "config.json", tower="somebody", tower_revision=None, tower_fingerprint=None)
    text = write_card(run_copy).read_text()
    assert "has not stated their licence here: it is unknown" in text
    assert "Vision tower: somebody, without a revision." in text
    assert "Licence: not known to neuroclip_hf" in text
    assert "base_model" not in front_of(run_copy / "README.md")


def test_an_absolute_path_is_not_in_it(run_copy):
    assert str(run_copy.parent) not in write_card(run_copy, str(run_copy)).read_text()
