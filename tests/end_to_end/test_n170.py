"""Real EEG: faces or houses, from FIF files to the table of the example."""

import importlib.util
import json
import shutil
import subprocess
import sys

import mne
import numpy as np
import pytest

from neuroclip_hf import InputError, TrialStore, columns
from neuroclip_hf.data.sources.recordings import prepare_recordings
from neuroclip_hf.training.settings import change_recipe, load_recipe


@pytest.fixture(scope="module")
def n170(real_data):
    folder = real_data / "recordings" / "n170"
    if not folder.is_dir():
        pytest.skip(f"no n170 recordings at {folder}")
    return folder


@pytest.fixture(scope="module")
def example(project):
    spec = importlib.util.spec_from_file_location("n170_example", project / "examples" / "n170.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepare(example, files, pictures, out) -> TrialStore:
    return TrialStore(prepare_recordings(files, pictures, out, epochs=example.EPOCHS, splits=example.split(files)))


@pytest.fixture(scope="module")
def store(n170, example, tmp_path_factory):
    return prepare(
        example, sorted(n170.glob("sub-01_*.fif")), n170 / "pictures", tmp_path_factory.mktemp("n170") / "store"
    )


def test_the_last_two_runs_test_and_the_gallery_was_never_trained_on(store):
    runs = {
        split: set(store.trials[columns.FILE].to_numpy()[store.select(split)])
        for split in ("train", "validation", "test")
    }
    assert {name[7:13] for name in runs["train"]} == {"run-01", "run-02", "run-03"}
    assert {name[7:13] for name in runs["validation"]} == {"run-04"}
    assert {name[7:13] for name in runs["test"]} == {"run-05", "run-06"}
    assert store.concepts_only
    seen, asked = (set(store.gallery(split)[columns.IMAGE_ID]) for split in ("train", "test"))
    assert seen
    assert asked
    assert not seen & asked


def test_one_training_tells_faces_from_houses(example, store, monkeypatch):
    quick = load_recipe("concepts", {"epochs": 8, "learning_rate": 2e-3})
    monkeypatch.setattr(example, "load_recipe", lambda name, settings: change_recipe(quick, settings))
    found = example._scores(store, 0, shuffled=False)
    assert found["mean16"] > 0.75
    assert found["single"] > 0.55


def test_identical_recordings_in_training_and_test_are_refused(n170, example, tmp_path):
    for number in range(1, 6):
        shutil.copy(n170 / f"sub-01_run-0{number}_raw.fif", tmp_path)
    shutil.copy(n170 / "sub-01_run-01_raw.fif", tmp_path / "sub-01_run-06_raw.fif")
    with pytest.raises(InputError, match=r"run-0[16].*run-0[16]"):
        prepare(example, sorted(tmp_path.glob("*.fif")), n170 / "pictures", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_run_without_a_surviving_epoch_is_named_and_skipped(n170, example, tmp_path):
    for number in range(1, 7):
        shutil.copy(n170 / f"sub-01_run-0{number}_raw.fif", tmp_path)
    broken = tmp_path / "sub-01_run-02_raw.fif"
    raw = mne.io.read_raw(broken, preload=True, verbose="ERROR")
    wave = 1e-3 * np.sin(2 * np.pi * 10 * raw.times)  # at 10 Hz, which the pass band lets through
    raw.apply_function(lambda values: values + wave, picks="eeg")
    raw.save(broken, overwrite=True, verbose="ERROR")
    store = prepare(example, sorted(tmp_path.glob("*.fif")), n170 / "pictures", tmp_path / "store")
    assert not (store.trials[columns.FILE] == broken.name).any()
    assert any(broken.name in warning for warning in store.info.warnings)


@pytest.mark.slow
def test_the_example_ends_with_one_json_line(n170, project):
    command = [sys.executable, project / "examples" / "n170.py", "--data", n170, "--seeds", "1", "--shuffled", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout.splitlines()[-1])
    assert {"sub-01", "sub-11"} == set(rows)
    for row in rows.values():
        for name in ("single", "mean16", "shuffled_mean16", "logistic_mean16"):
            assert row[name] is None or 0 <= row[name] <= 1
    assert rows["sub-01"]["mean16"] > 0.75
    assert "sub-01" in done.stderr


def test_a_folder_without_recordings_is_named(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["n170.py", "--data", str(tmp_path)])
    assert example.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(tmp_path) in printed.err
