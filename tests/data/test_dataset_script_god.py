"""dataset_scripts/god: the script offers the builder, and its card tells the truth."""

import importlib.util
import re
import shlex
from pathlib import Path

import datasets
import numpy as np
import pytest

from neuroclip_hf.cli.main import main
from neuroclip_hf.data.builders.god import GenericObjectDecoding
from neuroclip_hf.data.god import FACTS
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.simulation.god import simulate_god
from neuroclip_hf.data.store_layout import PICTURE_COLUMNS, TRIAL_COLUMNS
from neuroclip_hf.errors import InputError

pytest.importorskip("h5py", reason="the extra fmri brings it")
pytestmark = pytest.mark.usefixtures("without_bars")


@pytest.fixture(scope="module")
def script(project) -> Path:
    return project / "dataset_scripts" / "god"


@pytest.fixture
def downloaded(tmp_path, monkeypatch) -> Path:
    """A folder that holds what the card calls GOD, simulated, and is the current one."""
    small = {"concepts": 3, "images_per_concept": 2, "test_concepts": 2, "test_repeats": 4, "imagery_repeats": 3}
    simulate_god(tmp_path / "GOD", subjects=(1, 2), voxels=100, image_size=16, **small)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def test_the_script_offers_the_builder_and_its_card_says_why_it_cannot_be_loaded(script):
    spec = importlib.util.spec_from_file_location("script", script / "god.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.GenericObjectDecoding is GenericObjectDecoding
    with pytest.raises(RuntimeError, match="Dataset scripts are no longer supported"):
        datasets.load_dataset(str(script / "god.py"))
    assert "Dataset scripts are no longer supported" in (script / "README.md").read_text()


def test_what_the_card_says_runs_as_printed(script, python_blocks, downloaded):
    card = (script / "README.md").read_text()
    (commands,) = re.findall(r"```bash\n(.*?)```", card, re.DOTALL)
    for command in commands.splitlines():
        name, *words = shlex.split(command)
        assert (name, main(words)) == ("neuroclip", 0)
    parquet, builder = python_blocks(script / "README.md")
    loaded, built = {}, {}
    exec(parquet, loaded)
    exec(builder, built)
    assert loaded["train"][0]["fmri_values"].shape == (100,)
    values = np.array([row["fmri_values"].tolist() for row in loaded["train"]])
    np.testing.assert_allclose([values.mean(axis=0).max(), values.std(axis=0).max()], [0, 1], atol=2e-3)
    assert loaded["train"]["image_id"][:] == built["train"]["image_id"][:]
    assert (len(list(built["stream"])), len(loaded["imagery"]), len(loaded["pictures"])) == (8, 6, 8)
    listed = card.split("## Configs, splits and columns")[1]
    of_trials, of_pictures = (re.findall("`(.*?)`", part) for part in listed.split("\n\nA ")[1:])
    assert set(of_trials) == {layout.VALUES["fmri"], *TRIAL_COLUMNS} == set(loaded["train"].column_names)
    assert of_pictures == [*PICTURE_COLUMNS, layout.IMAGE] == loaded["pictures"].column_names


def test_the_card_says_what_the_facts_say(script):
    card = (script / "README.md").read_text().replace("\n", " ")
    for said in (
        f"{FACTS.training_categories} categories x {FACTS.training_pictures} pictures",
        f"{FACTS.test_categories} other categories x {FACTS.test_pictures} picture shown {FACTS.test_repeats} times",
        f"categories imagined {FACTS.imagery_repeats} times",
        f"{FACTS.voxels_of_subject_1:,} in the first person",
    ):
        assert said in card
    assert "license:" not in card


def test_the_builder_takes_settings_and_names_what_there_is_not(downloaded):
    part = GenericObjectDecoding(config_name="sub-02", data_dir="GOD", rois=("V1",))
    part.download_and_prepare()
    voxels = len(part.as_dataset("imagery")[0]["fmri_values"])
    assert 0 < voxels < 100
    with pytest.raises(InputError, match="config_name is 'somebody'"):
        GenericObjectDecoding(config_name="somebody", data_dir="GOD").download_and_prepare()
    (store,) = (downloaded / "cache").rglob("store.json")
    with pytest.raises(InputError, match=r"rois is \('V1',\), and .* is a trial store"):
        GenericObjectDecoding(config_name="sub-02", data_dir=str(store.parent), rois=("V1",)).download_and_prepare()
