"""What a finished store says of its making, and what the same command finds out about it."""

from pathlib import Path

import pytest

from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulated import CAPTIONS_FILE
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, sha256, write_json


def prepare(source: Path, out: Path, **options) -> Path:
    settings = EpochSettings(window=(0.0, 0.6), sampling_rate=50.0)
    return prepare_things_eeg2(source, out, **{"channels": ["all"], "epochs": settings, **options})


def test_a_finished_store_that_is_damaged_is_not_taken_for_complete(simulated, tmp_path, snapshot):
    out = prepare(simulated, tmp_path / "store")
    whole = snapshot(out)
    array = out / "sub-01" / "train.npy"
    array.write_bytes(array.read_bytes()[:-1] + b"0")
    message = r"store is damaged \(sub-01/train.npy: it has changed .*\): pass --overwrite to make it again"
    with pytest.raises(InputError, match=message):
        prepare(simulated, out)
    write_json(out / "store.json", {**read_json(out / "store.json"), "unit": "V"})
    with pytest.raises(InputError, match=r"damaged \(.*store.json has changed .*\): pass --overwrite"):
        prepare(simulated, out)
    assert snapshot(prepare(simulated, out, overwrite=True)) == whole


def test_the_tables_of_pictures_and_captions_are_sources(simulated, tmp_path):
    out = prepare(simulated, tmp_path / "store", subjects=(1,))
    said = read_json(out / "store.json")
    assert said["sources"]["image_metadata.npy"] == sha256(simulated / "image_metadata.npy")
    assert said["sources"][CAPTIONS_FILE] == sha256(simulated / CAPTIONS_FILE)
    assert (said["times"][0], said["times"][1], len(said["times"])) == (0.0, 0.02, said["num_timesteps"])
    assert TrialStore(out).info.times == said["times"]


def test_a_store_is_no_source(simulated, tmp_path):
    out = prepare(simulated, tmp_path / "store", subjects=(1,))
    with pytest.raises(InputError, match="store is a trial store already: use it as it is"):
        prepare(out, tmp_path / "another")
