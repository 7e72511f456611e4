"""The README of a run: loadable lines, true numbers, and plain words about simulated data."""

import json

import pytest
import yaml

from neuroclip_hf.errors import InputError
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.sharing.card import write_run_card


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_before_evaluation(run_copy):
    text = write_run_card(run_copy, "somewhere/run").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["library_name"] == "neuroclip_hf"
    assert 'from_pretrained("somewhere/run")' in text
    assert "recordings are simulated" in text
    assert "small-clip (ships with neuroclip_hf" in text
    assert "Not evaluated yet" in text


def test_the_report_is_in_it(run_copy, store):
    report = evaluate_run(run_copy, store)
    text = write_run_card(run_copy).read_text()
    assert f"| top-1 | {report.top1:.3f} (chance {report.chance:.3f}) |" in text
    assert "not trained" in text
    assert "| sub-02 |" in text
    assert "new-concepts" in text


def test_recorded_data_are_not_called_simulated(run_copy):
    edit(run_copy / "run.json", data="recorded")
    assert "recordings are simulated" not in write_run_card(run_copy).read_text()


@pytest.mark.parametrize("name", ["run.json", "config.json", "processor_config.json", "report.json"])
@pytest.mark.parametrize("text", ["{", "{}"])
def test_damaged_files_are_named_and_the_card_stays(run_copy, name, text):
    before = write_run_card(run_copy).read_bytes()
    (run_copy / name).write_text(text)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        write_run_card(run_copy)
    assert (run_copy / "README.md").read_bytes() == before
