"""The README of a run: loadable lines, true numbers, and plain words about simulated data."""

import json
from dataclasses import replace

import pytest
import yaml

from neuroclip_hf.errors import InputError
from neuroclip_hf.kinds import find_kind
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.sharing import card
from neuroclip_hf.sharing.card import write_card


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_before_evaluation(run_copy):
    text = write_card(run_copy, "somewhere/run").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["library_name"] == "neuroclip_hf"
    assert 'from_pretrained("somewhere/run")' in text
    assert "recordings are simulated" in text
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
    assert "recordings are simulated" not in write_card(run_copy).read_text()


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
    tags = yaml.safe_load(write_card(run_copy).read_text().split("---")[1])["tags"]
    assert tags == ["brain-decoding", *([modality] if modality else []), "image-retrieval", "neuroclip"]


def test_how_sure_the_report_is_stands_in_it(run_copy, store):
    evaluate_run(run_copy, store)
    interval = {"low": 0.125, "high": 0.75}
    found = {"intervals": {"top1": interval}, "permutation": {"p": 0.0312, "permutations": 999}}
    edit(run_copy / "report.json", **found, flags=["Somebody is not new.", "Whitened by others."])
    text = write_card(run_copy).read_text()
    assert "| 95 % interval of top-1 | 0.125 to 0.750 |" in text
    assert text.count("interval of") == 1
    assert "| p of top-1 | 0.0312 (999 permutations of the targets) |" in text
    assert text.endswith("\n\n**Note:** Somebody is not new.\n\n**Note:** Whitened by others.\n")


def test_a_report_that_says_nothing_of_it_is_described_all_the_same(run_copy, store):
    evaluate_run(run_copy, store)
    report = json.loads((run_copy / "report.json").read_text())
    report = {name: value for name, value in report.items() if name not in ("flags", "intervals", "permutation")}
    (run_copy / "report.json").write_text(json.dumps(report))
    text = write_card(run_copy).read_text()
    assert "| sub-02 |" in text
    assert not [word for word in ("interval", "p of top-1", "Note") if word in text]


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "there is no official code"), ("https://example.org", "its authors' code: https://example.org")],
)
def test_a_kind_says_whether_there_is_official_code(run_copy, monkeypatch, code, words):
    monkeypatch.setattr(card, "find_kind", lambda name: replace(find_kind(name), official_code=code))
    assert f"(a re-implementation; {words})" in write_card(run_copy).read_text()
