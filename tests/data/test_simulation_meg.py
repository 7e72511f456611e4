"""Simulated MEG: files, sensors, fields, and the way into a trial store."""

import hashlib
import json
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from neuroclip_hf import TrialStore, columns
from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.recordings import find_recordings, open_recording
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION
from neuroclip_hf.data.simulation import meg
from neuroclip_hf.data.simulation.eeg import plan_session, response_kernel
from neuroclip_hf.data.simulation.fif_ids import neutralise_ids
from neuroclip_hf.data.simulation.meg import planted_meg_codes, recording_path, simulate_meg
from neuroclip_hf.data.simulation.meg_settings import MegSettings
from neuroclip_hf.data.simulation.sensors import eeg_sensors, meg_sensors
from neuroclip_hf.data.sources.recordings import SplitSettings, prepare_recordings
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError

SMALL: dict[str, Any] = {
    "concepts": 24,
    "test_concepts": 8,
    "images_per_concept": 2,
    "train_repeats": 4,
    "test_repeats": 8,
    "sessions": 2,
    "snr": 1.0,
    "image_size": 32,
    "sampling_rate": 100,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("meg") / "meg"
    simulate_meg(out, **SMALL)
    return out


@pytest.fixture(scope="module")
def store(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialStore:
    made = prepare_recordings(
        sorted(dataset.glob("sub-*/ses-*/meg/*_meg.fif")),
        dataset / "pictures",
        tmp_path_factory.mktemp("prepared") / "store",
        epochs=EpochSettings(window=(0.0, 0.6), baseline=(-0.1, 0.0)),
        splits=SplitSettings(test_files=("*_task-test_meg.fif",)),
        ignore=("catch",),
    )
    return TrialStore(made)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_equal_seeds_give_equal_bytes_at_another_time(dataset: Path, tmp_path: Path) -> None:
    time.sleep(1.1)  # a FIF file tells the second
    simulate_meg(tmp_path / "again", **SMALL)
    assert digests(tmp_path / "again") == digests(dataset)
    simulate_meg(tmp_path / "two", **{**SMALL, "subjects": (2, 1)})
    changed = {name for name, digest in digests(dataset).items() if digests(tmp_path / "two")[name] != digest}
    assert changed == {"simulation.json"}


def test_identifiers_of_every_file_are_neutral(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "plain_raw.fif"
    info = mne.create_info(["MEG001"], 100.0, "mag", verbose="ERROR")
    mne.io.RawArray(np.ones((1, 50)) * 1e-13, info, verbose="ERROR").save(path, verbose="ERROR")
    before = path.read_bytes()
    neutralise_ids(path)
    after = path.read_bytes()
    assert len(after) == len(before)
    assert after[16:20] == before[16:20], "the version of the format stays"
    machine = before[20:28]
    assert machine in before[28:]
    assert machine == bytes(8) or machine not in after
    changed = [place for place in range(len(before)) if before[place] != after[place]]
    assert changed
    assert struct.unpack(">iiii", after[20:36]) == (0, 0, 0, 0)
    np.testing.assert_allclose(mne.io.read_raw(path, verbose="ERROR").get_data(), 1e-13, rtol=1e-6)


def test_files_are_what_mne_takes_for_meg_in_a_helmet(dataset: Path) -> None:
    raw = mne.io.read_raw(recording_path(dataset, 1, 2, TRAIN), preload=True, verbose="ERROR")
    assert set(raw.get_channel_types()) == {"mag"}
    assert 90 <= len(raw.ch_names) <= 120
    assert raw.info["description"] == SIMULATED_DESCRIPTION
    places = np.array([channel["loc"][:3] for channel in raw.info["chs"]])
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 0.12, rtol=1e-5)
    between = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places))
    assert between.min() > 0.02, "sensors lie apart"
    for channel in raw.info["chs"]:
        axes = channel["loc"][3:].reshape(3, 3)
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(axes[2], channel["loc"][:3] / 0.12, atol=1e-5)
    spread = 1e15 * np.median(raw.copy().filter(1, 40, verbose="ERROR").get_data().std(axis=1))
    assert 50 < spread < 300, "femtotesla"
    layout = mne.channels.find_layout(raw.info)
    assert len(layout.names) == len(raw.ch_names)


def test_annotations_name_the_pictures_of_the_plan(dataset: Path) -> None:
    settings = MegSettings(**SMALL)
    for split in (TRAIN, TEST):
        raw = mne.io.read_raw(recording_path(dataset, 1, 1, split), verbose="ERROR")
        plan = plan_session(settings, 1, 1, split)
        np.testing.assert_allclose(raw.annotations.onset, plan.onsets / 100, atol=1e-6)
        names = list(planted_meg_codes(settings, split))
        shown = ["catch" if code == FACTS.catch_code else names[code - 1] for code in plan.codes]
        assert raw.annotations.description.tolist() == shown
        assert "catch" in shown
        assert all((dataset / "pictures" / name).is_file() for name in names)
    captions = json.loads((dataset / "captions.json").read_text())
    assert sorted(captions) == sorted(path.relative_to(dataset).as_posix() for path in dataset.rglob("*.jpg"))
    said = json.loads((dataset / "simulation.json").read_text())
    assert (said["simulated"], said["layout"], said["settings"]["snr"]) == (True, "meg", 1.0)


def test_a_store_of_them_says_simulated_and_has_the_right_trials(dataset: Path, store: TrialStore) -> None:
    assert (store.info.data, store.info.modality, store.info.unit) == (columns.SIMULATED, "meg", "T")
    assert (len(store.select(TRAIN)), len(store.select(TEST))) == (24 * 2 * 4, 8 * 8)
    table = store.trials
    assert set(table[columns.SESSION]) == {1, 2}
    names = {split: set(planted_meg_codes(MegSettings(**SMALL), split)) for split in (TRAIN, TEST)}
    for split, wanted in names.items():
        assert set(table.iloc[store.select(split)][columns.IMAGE_ID]) == wanted
    opened = open_recording(find_recordings([recording_path(dataset, 1, 1, TEST)])[0])
    assert opened.raw.info["description"] == SIMULATED_DESCRIPTION


def test_the_planted_code_can_be_decoded_and_a_shuffled_one_cannot(store: TrialStore) -> None:
    from sklearn.linear_model import Ridge

    planted = {split: planted_meg_codes(MegSettings(**SMALL), split) for split in (TRAIN, TEST)}

    def means(split: str) -> tuple[np.ndarray, np.ndarray]:
        rows = store.select(split)
        shown = store.trials.iloc[rows][columns.IMAGE_ID].to_numpy()
        values = store.read(rows).reshape(len(rows), -1)
        codes = np.array(list(planted[split].values()))
        return np.array([values[shown == name].mean(axis=0) for name in planted[split]]), codes

    (train, codes), (test, targets) = means(TRAIN), means(TEST)
    scale = train.std(axis=0)

    def correlation(codes: np.ndarray) -> float:
        found = Ridge(alpha=3000).fit(train / scale, codes).predict(test / scale)
        return float(np.mean([np.corrcoef(found[:, part], targets[:, part])[0, 1] for part in range(codes.shape[1])]))

    random = np.random.default_rng(0)
    shuffled = [correlation(codes[random.permutation(len(codes))]) for _ in range(10)]
    assert correlation(codes) > 0.3
    assert correlation(codes) > max(shuffled) + 0.1


def test_a_magnetometer_sees_two_poles_beside_a_source_and_an_electrode_one_bump() -> None:
    source = np.array([[0.0, -1.0, 0.0]])
    bump = replace(eeg_sensors(), reference=None).fields(source, 0.3)[:, 0]
    assert eeg_sensors().names[int(bump.argmax())] in ("Oz", "O1", "O2")
    assert bump.min() >= 0
    sensors = meg_sensors()
    fields = sensors.fields(source, 0.3)
    assert fields.shape == (len(sensors.names), 2)
    assert 0.5 < np.abs(fields).max() <= 1.01
    for column, side in ((0, 0), (1, 2)):
        field = fields[:, column]
        high, low = sensors.places[field.argmax()], sensors.places[field.argmin()]
        assert field.max() > 0.4
        assert field.min() < -0.4
        assert abs(high[side] - low[side]) > 0.4, "the poles lie to both sides of the source"
    far = sensors.moved(np.array([0.0, -1.0, 0.0])).fields(source, 0.3)
    assert np.abs(far).max() < 0.6, "a sensor farther away sees less"


def test_fields_of_the_response_reach_what_recordings_show() -> None:
    settings = MegSettings(sampling_rate=250)
    kernel = response_kernel(settings, 1) * settings.sensors.scale * 1e15
    assert 50 < np.abs(kernel[0]).max() < 300
    assert (kernel[0] > 20).any()
    assert (kernel[0] < -20).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concept": 3}, "concept is no setting.*concepts"),
        ({"channels": ("MEG001", "Oz")}, "channels Oz do not exist.*MEG001"),
        ({"bad_channels": ("MEG999",)}, "bad_channels name 'MEG999'"),
        ({"subjects": range(1, 1000), "test_repeats": 1000}, "MB free"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_meg(tmp_path / "out", **{**SMALL, **settings})
    assert not list(tmp_path.iterdir())


def test_an_interrupted_simulation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(path: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(meg, "neutralise_ids", break_off)
    with pytest.raises(InputError, match="no space left"):
        simulate_meg(tmp_path / "out", **SMALL)
    assert not list(tmp_path.iterdir())


def test_a_bad_sensor_leaves_the_others_as_they_are(dataset: Path, tmp_path: Path) -> None:
    simulate_meg(tmp_path / "out", **SMALL, bad_channels=("MEG003",))
    clean, spoiled = (
        mne.io.read_raw(recording_path(folder, 1, 1, TEST), verbose="ERROR").get_data()
        for folder in (dataset, tmp_path / "out")
    )
    same = (clean == spoiled).all(axis=1)
    assert np.flatnonzero(~same).tolist() == [2]
