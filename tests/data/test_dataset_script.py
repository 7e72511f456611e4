"""dataset_scripts/things_eeg2: the script offers the builder, and its card tells the truth."""

import importlib.util
import re
import shlex
from pathlib import Path

import datasets
import pytest

from neuroclip_hf.cli.main import main
from neuroclip_hf.data.builders.things_eeg2 import ThingsEEG2
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.store_layout import PICTURE_COLUMNS, TRIAL_COLUMNS
from neuroclip_hf.data.things_eeg2 import FACTS

pytestmark = pytest.mark.usefixtures("without_bars")


@pytest.fixture(scope="module")
def script(project) -> Path:
    return project / "dataset_scripts" / "things_eeg2"


@pytest.fixture
def downloaded(tmp_path, monkeypatch) -> Path:
    """A folder that holds what the card calls THINGS-EEG2, simulated, and is the current one."""
    small = {"concepts": 2, "images_per_concept": 1, "train_repeats": 2, "test_concepts": 1, "test_repeats": 4}
    simulate_things_eeg2(
        tmp_path / "THINGS-EEG2",
        channels=FACTS.occipital_channels,
        sampling_rate=250,
        sessions=2,
        image_size=16,
        **small,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def test_the_script_offers_the_builder_and_its_card_says_why_it_cannot_be_loaded(script):
    spec = importlib.util.spec_from_file_location("script", script / "things_eeg2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.ThingsEEG2 is ThingsEEG2
    with pytest.raises(RuntimeError, match="Dataset scripts are no longer supported"):
        datasets.load_dataset(str(script / "things_eeg2.py"))
    assert "Dataset scripts are no longer supported" in (script / "README.md").read_text()


def test_what_the_card_says_runs_as_printed(script, python_blocks, downloaded):
    (commands,) = re.findall(r"```bash\n(.*?)```", (script / "README.md").read_text(), re.DOTALL)
    for command in commands.splitlines():
        name, *words = shlex.split(command)
        assert (name, main(words)) == ("neuroclip", 0)
    parquet, builder = python_blocks(script / "README.md")
    loaded, built = {}, {}
    exec(parquet, loaded)
    exec(builder, built)
    assert loaded["train"][0]["eeg_values"].shape == (len(FACTS.occipital_channels), 250)
    assert loaded["train"]["image_id"][:] == built["train"]["image_id"][:]
    assert len(list(built["stream"])) == 4
    assert len(loaded["pictures"]) == 3
    listed = (script / "README.md").read_text().split("## Configs, splits and columns")[1]
    of_trials, of_pictures = (re.findall("`(.*?)`", part) for part in listed.split("\n\nA ")[1:])
    assert set(of_trials) == {layout.VALUES["eeg"], *TRIAL_COLUMNS} == set(loaded["train"].column_names)
    assert of_pictures == [*PICTURE_COLUMNS, layout.IMAGE] == loaded["pictures"].column_names
