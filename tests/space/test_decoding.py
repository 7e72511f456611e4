"""What the page says of a recording agrees with what the package retrieves."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuroclip_hf import InputError, columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.figures.inspection.one_query import MOMENT, query_importance
from neuroclip_hf.galleries.retrieving import events_of, retrieve
from neuroclip_hf.processing.inputs import read_trials
from neuroclip_hf.space.decoding import answer, averaging_curve
from neuroclip_hf.space.examples import find_examples, write_examples
from neuroclip_hf.space.shelf import MARK, may_be_shared, read_shelf, shelf_of_store, write_shelf


@pytest.fixture(scope="module")
def shelf(run_folder, store, tmp_path_factory):
    return shelf_of_store(run_folder, store, tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def path(shelf):
    return next(iter(shelf.examples.values()))


@pytest.fixture(scope="module")
def trials(shelf, path):
    return read_trials(path, shelf.processor.feature_extractor)


def test_examples_are_test_trials_of_the_store(store, tmp_path, shelf):
    paths = write_examples(store, tmp_path)
    assert [path.name for path in paths] == ["sub-01_pictures-01-to-06.npz", "sub-02_pictures-01-to-06.npz"]
    assert list(find_examples(tmp_path)) == ["sub 01, pictures 01 to 06", "sub 02, pictures 01 to 06"]
    rows = store.select(columns.TEST, ["sub-02"])
    found = read_trials(paths[1], shelf.processor.feature_extractor)
    assert np.allclose(found.values, store.read(rows), atol=1e-9)
    assert found.names == list(store.trials[columns.IMAGE_ID].iloc[rows])
    assert found.subject == "sub-02"


def test_a_store_without_epochs_or_tests_is_refused(array_store, tmp_path):
    with pytest.raises(InputError, match="has no test trials"):
        write_examples(array_store(split=np.full(50, "train"), protocol="new-trials"), tmp_path)


def test_all_trials_give_what_the_package_retrieves(shelf, trials, path):
    wanted = retrieve(shelf.model, shelf.processor, path, shelf.gallery).queries
    for one in wanted:
        found = answer(shelf, trials, one.name, one.trials)
        assert [match.image_id for match in found.retrieved.matches] == [match.image_id for match in one.matches]
        assert [match.score for match in found.retrieved.matches] == pytest.approx(
            [match.score for match in one.matches], abs=1e-5
        )
        assert (found.retrieved.name, found.retrieved.target) == (one.name, one.target)
        places = [place for place, match in enumerate(one.matches, start=1) if match.right]
        assert not places or found.place == places[0]
        assert 1 <= found.place <= found.gallery_size == 6


def test_fewer_trials_are_the_first(shelf, trials):
    (event, rows) = list(events_of(trials).items())[1]
    assert np.array_equal(answer(shelf, trials, event, 2).mean, trials.values[rows[:2]].mean(axis=0))
    for count in (0, len(rows) + 1):
        with pytest.raises(InputError, match=f"and {count} are to be averaged"):
            answer(shelf, trials, event, count)
    with pytest.raises(InputError, match="'nothing' has 0 trials"):
        answer(shelf, trials, "nothing", 1)


def test_an_event_that_is_not_known_has_no_place(shelf, trials):
    unnamed = replace(trials, names=None)
    assert list(events_of(unnamed))[:2] == ["trial 0", "trial 1"]
    assert answer(shelf, unnamed, "trial 1", 1).place is None
    assert averaging_curve(shelf, unnamed) == []


def test_the_curve_ends_where_all_trials_are_averaged(shelf, trials):
    points = averaging_curve(shelf, trials)
    most = min(len(rows) for rows in events_of(trials).values())
    assert [point.repeats for point in points] == sorted({1, 2, 4, most} - {n for n in (1, 2, 4) if n > most})
    if all(len(rows) == most for rows in events_of(trials).values()):
        places = [answer(shelf, trials, name, most).place for name in events_of(trials)]
        assert points[-1].top1.mean == pytest.approx(np.mean([place == 1 for place in places]))
        assert points[-1].top5.mean == pytest.approx(np.mean([place <= 5 for place in places]))


def test_importance_finds_the_channel_and_the_moment(shelf):
    """A stand-in whose embedding is the mean of channel 2 over the first 50 ms."""

    class Listens(torch.nn.Module):
        device = torch.device("cpu")

        def get_brain_features(self, values, places):
            heard = values[:, 2, : round(MOMENT * 50)].mean(dim=1)
            return torch.stack([heard, torch.ones_like(heard)], dim=1)

    form = shelf.processor.feature_extractor
    gallery = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    values = np.full(form.trial_shape, 3.0) * form.std + np.array(form.mean)[:, None]
    found = query_importance(Listens(), shelf.processor, values, gallery, np.array([True, False]))
    assert found.whole == pytest.approx(2 * 3 / np.sqrt(10))
    assert np.flatnonzero(abs(found.by_channel) > 1e-6).tolist() == [2]
    assert found.by_channel[2] == pytest.approx(found.whole)
    assert np.flatnonzero(abs(found.by_moment) > 1e-6).tolist() == [0]
    assert (found.edges[0], len(found.edges)) == (form.window_start, len(found.by_moment) + 1)
    with pytest.raises(InputError, match="2 of 2 entries are right"):
        query_importance(Listens(), shelf.processor, values, gallery, np.array([True, True]))


def test_a_shelf_is_read_back(run_folder, store, shelf, trials, tmp_path):
    files = write_shelf(run_folder, store, tmp_path / "shelf")
    assert {MARK, "run/config.json", "run/model.safetensors", "run/processor_config.json"} <= set(files)
    assert sum(name.startswith("gallery/") for name in files) == 6
    again = read_shelf(tmp_path / "shelf")
    assert (again.simulated, list(again.examples)) == (True, list(shelf.examples))
    event = next(iter(events_of(trials)))
    assert answer(again, trials, event, 1).retrieved == answer(shelf, trials, event, 1).retrieved
    with pytest.raises(InputError, match="already exists"):
        write_shelf(run_folder, store, tmp_path / "shelf")
    with pytest.raises(InputError, match=r"holds no space\.json"):
        read_shelf(tmp_path)


@pytest.mark.parametrize(
    ("note", "message"),
    [("hf_" + "aB3dE6gH9j" * 4, "holds a Hugging Face token"), ("/home/somebody/eeg", "holds an absolute path")],
)
def test_a_shelf_holds_no_secret_and_no_path(run_copy, store, tmp_path, note, message):
    config = json.loads((run_copy / "config.json").read_text())
    (run_copy / "config.json").write_text(json.dumps({**config, "_name_or_path": note}))
    with pytest.raises(InputError, match=f"run/config.json {message}"):
        write_shelf(run_copy, store, tmp_path / "shelf")
    assert not (tmp_path / "shelf").exists()


def test_a_shelf_of_no_run_is_refused(store, tmp_path):
    with pytest.raises(InputError, match=r"no_run holds no config.json: name the folder"):
        write_shelf(tmp_path / "no_run", store, tmp_path / "shelf")


def test_pictures_that_may_not_be_shared_stay(run_folder, store, store_folder, tmp_path):
    assert may_be_shared(store)
    shutil.copytree(store_folder, tmp_path / "store")
    recorded = TrialStore(tmp_path / "store")
    recorded.info = replace(store.info, data=columns.RECORDED)
    assert not may_be_shared(recorded)
    with pytest.raises(InputError, match="does not say that its pictures may be redistributed"):
        write_shelf(run_folder, recorded, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for name, public, shown in (("a", True, False), ("b", False, True)):
        (tmp_path / name).mkdir()
        assert shelf_of_store(run_folder, recorded, tmp_path / name, public=public).pictures_shown is shown
