"""Simulated THINGS-EEG2: layout, determinism, planted signal, and what is refused."""

import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import simulation, things_eeg2
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION, SIMULATION_FILE
from neuroclip_hf.data.simulation import SimulationSettings, planted_codes, simulate_things_eeg2
from neuroclip_hf.data.simulation.concepts import NUMBER_OF_CONCEPTS, list_concepts
from neuroclip_hf.data.simulation.eeg import plan_session
from neuroclip_hf.data.simulation.pictures import CODE_SIZE, draw_picture, make_look, picture_code
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError

SMALL: dict[str, Any] = {
    "concepts": 16,
    "test_concepts": 8,
    "images_per_concept": 3,
    "train_repeats": 4,
    "test_repeats": 8,
    "snr": 0.8,
    "image_size": 32,
    "sampling_rate": 125,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "things"
    simulate_things_eeg2(out, **SMALL)
    return out


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_equal_seeds_give_equal_bytes(dataset: Path, tmp_path: Path) -> None:
    simulate_things_eeg2(tmp_path / "again", **SMALL)
    assert digests(tmp_path / "again") == digests(dataset)
    simulate_things_eeg2(tmp_path / "other", **SMALL, seed=1)
    same = set(digests(tmp_path / "other").items()) & set(digests(dataset).items())
    assert not same


def test_a_subject_does_not_depend_on_the_others(dataset: Path, tmp_path: Path) -> None:
    simulate_things_eeg2(tmp_path / "two", **SMALL, subjects=(2, 1))
    two, one = digests(tmp_path / "two"), digests(dataset)
    changed = {name for name in one if two[name] != one[name]}
    assert changed == {SIMULATION_FILE}
    assert two["sub-02/ses-01/raw_eeg_test.npy"] != two["sub-01/ses-01/raw_eeg_test.npy"]


def test_more_training_concepts_leave_the_test_pictures_as_they_are(dataset: Path, tmp_path: Path) -> None:
    more = SimulationSettings(**{**SMALL, "concepts": 20})
    np.testing.assert_array_equal(planted_codes(more, TEST), planted_codes(SimulationSettings(**SMALL), TEST))


def test_layout_is_that_of_the_dataset(dataset: Path) -> None:
    for split in (TRAIN, TEST):
        path = things_eeg2.raw_path(dataset, 1, 4, split)
        content = np.load(path, allow_pickle=True)
        assert content.shape == ()
        content = content.item()
        assert list(content) == ["raw_eeg_data", "ch_names", "ch_types", "sfreq", "highpass", "lowpass", "description"]
        assert content["raw_eeg_data"].dtype == np.float64
        assert content["raw_eeg_data"].shape[0] == 64
        assert content["ch_names"] == [*FACTS.channels, "stim"]
        assert content["ch_types"] == ["eeg"] * 63 + ["stim"]
    metadata = np.load(dataset / "image_metadata.npy", allow_pickle=True).item()
    assert metadata.pop("description") == SIMULATED_DESCRIPTION  # the real table has no such key
    assert {name: len(values) for name, values in metadata.items()} == {
        f"{split}_img_{what}": count
        for split, count in (("test", 8), ("train", 48))
        for what in ("concepts", "concepts_THINGS", "files")
    }
    assert len(list((dataset / "training_images").glob("*/*_0[1-3]s.jpg"))) == 48
    assert len(list((dataset / "test_images").glob("*/*_01s.jpg"))) == 8
    assert json.loads((dataset / "simulation.json").read_text())["settings"]["snr"] == 0.8


def test_every_picture_has_a_caption_that_names_its_concept(dataset: Path) -> None:
    captions = json.loads((dataset / "captions.json").read_text())
    files = [path.relative_to(dataset).as_posix() for path in dataset.glob("*_images/*/*.jpg")]
    assert sorted(captions) == sorted(files)
    for image_id, caption in captions.items():
        assert image_id.split("/")[1][6:].replace("_", " ") in caption


@pytest.mark.parametrize(("sessions", "shown_in"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 3)])
def test_training_pictures_are_shown_in_half_the_sessions(sessions: int, shown_in: int) -> None:
    settings = SimulationSettings(**{**SMALL, "sessions": sessions, "train_repeats": 6, "test_repeats": 12})
    plans = [plan_session(settings, 1, session, TRAIN) for session in range(1, sessions + 1)]
    counts = [Counter(plan.codes.tolist()) for plan in plans]
    for count in counts:
        assert count.pop(FACTS.catch_code) > 0
    for code in range(1, 49):
        assert [count[code] for count in counts if code in count] == [6 // shown_in] * shown_in
    assert max(map(len, counts)) - min(map(len, counts)) <= 1
    for session in range(1, sessions + 1):
        codes = plan_session(settings, 1, session, TEST).codes
        shown = Counter(codes[codes != FACTS.catch_code].tolist())
        assert shown == dict.fromkeys(range(1, 9), 12 // sessions)


def test_pictures_come_five_times_a_second_with_pauses() -> None:
    plan = plan_session(SimulationSettings(), 1, 1, TRAIN)
    gaps = np.diff(plan.onsets) / 1000
    assert set(np.round(gaps, 6)) == {0.2, 1.0}
    assert np.mean(gaps > 0.5) == pytest.approx(0.05, abs=0.01)
    assert plan.length - plan.onsets[-1] > 1000


def epochs(dataset: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean epochs (pictures, channels x samples) of each picture in microvolts, and how often it was shown."""
    sums, counts = {}, Counter()
    for session in range(1, FACTS.sessions + 1):
        raw = things_eeg2.read_raw(things_eeg2.raw_path(dataset, 1, session, split))
        data = raw.get_data(picks=list(FACTS.occipital_channels)) * 1e6
        for onset, code in zip(*things_eeg2.read_events(raw), strict=True):
            epoch = data[:, onset : onset + 75] - data[:, onset - 25 : onset].mean(axis=1, keepdims=True)
            sums[code] = sums.get(code, 0) + epoch.ravel()
            counts[code] += 1
    codes = sorted(sums)
    return np.stack([sums[code] / counts[code] for code in codes]), np.array([counts[code] for code in codes])


def test_the_planted_code_can_be_decoded_and_a_shuffled_one_cannot(dataset: Path) -> None:
    from sklearn.linear_model import Ridge

    (train, train_counts), (test, test_counts) = epochs(dataset, TRAIN), epochs(dataset, TEST)
    assert train_counts.tolist() == [4] * 48
    assert test_counts.tolist() == [8] * 8
    scale = train.std(axis=0)
    settings = SimulationSettings(**SMALL)
    codes, targets = planted_codes(settings, TRAIN), planted_codes(settings, TEST)

    def correlation(codes: np.ndarray) -> float:
        found = Ridge(alpha=300).fit(train / scale, codes).predict(test / scale)
        return float(np.mean([np.corrcoef(found[:, part], targets[:, part])[0, 1] for part in range(codes.shape[1])]))

    random = np.random.default_rng(0)
    shuffled = [correlation(codes[random.permutation(len(codes))]) for _ in range(10)]
    assert correlation(codes) > 0.35
    assert abs(np.mean(shuffled)) < 0.2
    assert correlation(codes) > max(shuffled) + 0.1


def test_there_are_thousands_of_different_concepts() -> None:
    concepts = list_concepts(2500, seed=3)
    assert len({concept.name for concept in concepts}) == 2500
    assert list_concepts(100, seed=3) == concepts[:100]
    assert list_concepts(100, seed=4) != concepts[:100]
    assert len(list_concepts(NUMBER_OF_CONCEPTS)) == NUMBER_OF_CONCEPTS
    with pytest.raises(InputError, match=str(NUMBER_OF_CONCEPTS)):
        list_concepts(NUMBER_OF_CONCEPTS + 1)


def test_pictures_of_different_concepts_differ_in_the_object_alone() -> None:
    concepts = list_concepts(60, seed=0)
    look = make_look(concepts[0], np.random.default_rng(0))
    small = np.array([np.asarray(draw_picture(concept, look, 64), dtype=float) for concept in concepts])
    distances = np.abs(small[:, None] - small[None]).mean(axis=(2, 3, 4))
    assert distances[~np.eye(60, dtype=bool)].min() > 1
    assert np.abs(np.diff(small, axis=2)).mean() < 15, "pictures are no noise"
    assert small.std(axis=0)[:3, :3].max() == 0, "the background is the look's"


def test_codes_have_about_unit_variance_and_tell_concepts_apart() -> None:
    concepts = list_concepts(200, seed=1)
    random = np.random.default_rng(0)
    codes = np.array([picture_code(draw_picture(one, make_look(one, random), 32), one) for one in concepts])
    assert codes.shape == (200, CODE_SIZE)
    np.testing.assert_allclose(codes.std(axis=0), 1, atol=0.45)
    again = np.array([picture_code(draw_picture(one, make_look(one, random), 32), one) for one in concepts])
    np.testing.assert_array_equal(codes[:, 12:], again[:, 12:])
    assert not np.allclose(codes[:, :12], again[:, :12])


def test_jpegs_show_what_was_drawn(dataset: Path) -> None:
    path = next((dataset / "test_images").glob("*/*.jpg"))
    with Image.open(path) as picture:
        assert picture.size == (32, 32)
        assert picture.mode == "RGB"
        assert np.asarray(picture).std() > 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concept": 3}, "concept is no setting.*concepts"),
        ({"concepts": 0}, "concepts is 0"),
        ({"concepts": NUMBER_OF_CONCEPTS}, str(NUMBER_OF_CONCEPTS)),
        ({"subjects": ()}, "subjects are"),
        ({"subjects": (1, 1)}, "none twice"),
        ({"subjects": (0,)}, "subjects is 0"),
        ({"train_repeats": 3}, "train_repeats is 3.*multiple of 2"),
        ({"test_repeats": 10}, "test_repeats is 10.*multiple of 4"),
        ({"snr": float("nan")}, "snr is nan"),
        ({"snr": -1}, "snr is -1"),
        ({"image_size": 4}, "image_size is 4"),
        ({"sampling_rate": 250.5}, "sampling_rate is 250.5"),
        ({"channels": ("Oz", "Q1")}, "Q1"),
        ({"seed": -1}, "seed is -1"),
        ({"bad_channels": ("Q1",)}, "bad_channels name 'Q1'"),
        ({"channels": ("Oz", "O1"), "bad_channels": ("Pz",)}, "bad_channels name 'Pz'.*Oz, O1"),
        ({"channels": ("Oz", "O1"), "bad_channels": ("Oz", "O1")}, "leave at least one good"),
        ({"bad_channels": ("Oz", "Oz")}, "none twice"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_things_eeg2(tmp_path / "out", **settings)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="already exists"):
        simulate_things_eeg2(tmp_path / "out", **SMALL)
    assert not list((tmp_path / "out").iterdir())


def test_a_full_disk_is_found_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="MB free"):
        simulate_things_eeg2(tmp_path / "out", **{**SMALL, "subjects": range(1, 1000), "test_repeats": 1000})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("no space left on device")])
def test_an_interrupted_simulation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    written = []

    def break_off(path: Path, content: Any) -> None:
        written.append(path)
        if len(written) == 3:
            raise error
        path.write_bytes(io.BytesIO(b"x").getvalue())

    monkeypatch.setattr(simulation.formats.pickles, "write_object", break_off)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        simulate_things_eeg2(tmp_path / "out", **SMALL)
    assert len(written) == 3
    assert not list(tmp_path.iterdir())


def test_fewer_channels_and_other_rates(tmp_path: Path) -> None:
    simulate_things_eeg2(tmp_path / "out", **{**SMALL, "channels": ("Oz", "PO7"), "sampling_rate": 500, "sessions": 1})
    raw = things_eeg2.read_raw(things_eeg2.raw_path(tmp_path / "out", 1, 1, TEST))
    assert raw.ch_names == ["Oz", "PO7", "stim"]
    assert raw.info["sfreq"] == 500


@pytest.mark.parametrize(("sessions", "least"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3)])
def test_every_session_shows_a_training_picture_or_it_is_refused(sessions, least):
    values = {"sessions": sessions, "images_per_concept": 1, "train_repeats": 4, "test_repeats": sessions}
    if least > 1:
        with pytest.raises(InputError, match=f"it takes {least} training pictures or more"):
            SimulationSettings(concepts=least - 1, **values)
    settings = SimulationSettings(concepts=least, **values)
    assert all(plan_session(settings, 1, session, TRAIN).codes.min() < 9 for session in range(1, sessions + 1))
