"""What a training item is, and that only seed, epoch and trial decide it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from neuroclip_hf import columns
from neuroclip_hf.data.perturbation import Perturbation
from neuroclip_hf.data.sources.arrays import prepare_arrays
from neuroclip_hf.data.splits import shuffle_targets
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.trials import TrainingView, TrialDataset
from neuroclip_hf.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> TrialStore:
    """Two subjects, three pictures, four repeats: the value of a trial is its row."""
    rows = np.arange(24)
    brain = np.tile(rows[:, None, None].astype(np.float32), (1, 2, 10))
    np.savez(
        tmp_path / "a.npz",
        brain=brain + np.tile([0.25, -0.25], 5),
        images=np.stack([np.full((4, 4), 60 * place, dtype=np.uint8) for place in range(3)]),
        image_id=rows % 3,
        concept=np.array(["cat", "cat", "dog"]),
        subject=np.where(rows < 12, "sub-01", "sub-02"),
        sampling_rate=100.0,
        unit="sd",
    )
    return TrialStore(prepare_arrays(tmp_path / "a.npz", tmp_path / "store"))


def make(store: TrialStore, view: TrainingView | None = None, seed: int = 0, trials=None, rows=None) -> TrialDataset:
    trials = store.trials if trials is None else trials
    rows = store.select("train") if rows is None else rows
    return TrialDataset(store, trials, rows, store.gallery("train"), view or TrainingView(), seed)


def value(item: dict) -> float:
    return float(item[columns.EEG_VALUES].mean())


def test_an_item_is_its_trial_with_its_picture(store: TrialStore):
    dataset = make(store)
    assert len(dataset) == 24
    for place in (0, 7, 23):
        item = dataset[place]
        row = store.trials.iloc[place]
        assert item[columns.EEG_VALUES].shape == (2, 10)
        assert item[columns.EEG_VALUES].dtype == np.float32
        assert value(item) == row[columns.SAMPLE]
        assert store.gallery("train")[columns.IMAGE_ID][item[columns.PICTURE_INDEX]] == row[columns.IMAGE_ID]
        assert item[columns.SUBJECT_INDEX] == (place >= 12)
    ids = np.array([dataset[place][columns.IMAGE_ID] for place in range(24)])
    shown = store.trials[columns.IMAGE_ID].to_numpy()
    assert ((ids[:, None] == ids) == (shown[:, None] == shown)).all()


def test_subjects_are_numbered_among_those_that_train(store: TrialStore):
    dataset = make(store, rows=np.array([13, 20]))  # both of the store's second subject
    assert [value(dataset[0]), value(dataset[1])] == [13, 20]
    assert dataset[0][columns.SUBJECT_INDEX] == 0


def test_averages_are_of_the_same_subject_and_picture(store: TrialStore):
    dataset = make(store, TrainingView(average=(4, 4)))
    for place in range(24):
        row = store.trials.iloc[place]
        same = (store.trials[["subject", "image_id"]] == row[["subject", "image_id"]]).all(axis=1)
        assert value(dataset[place]) == pytest.approx(store.trials[columns.SAMPLE][same].mean())
    many = make(store, TrainingView(average=(9, 9)))  # as far as there are so many
    assert value(many[0]) == value(dataset[0])


def test_the_number_averaged_and_the_others_are_drawn_anew_each_epoch(store: TrialStore):
    dataset = make(store, TrainingView(average=(1, 2)))
    peers = store.trials[columns.SAMPLE][(store.trials.subject == "sub-01") & (store.trials.image_id == "00000")]
    possible = {0.0} | {peer / 2 for peer in peers if peer}
    seen = set()
    for epoch in range(60):
        dataset.set_epoch(epoch)
        seen.add(value(dataset[0]))
    assert seen == possible


def test_an_epoch_of_targets_shows_each_of_a_subjects_pictures_once(store: TrialStore):
    dataset = make(store, TrainingView(by_target=True))
    assert len(dataset) == 6
    assert dataset.item_rows.tolist() == [0, 1, 2, 12, 13, 14]
    drawn = [set() for _ in range(6)]
    for epoch in range(60):
        dataset.set_epoch(epoch)
        for place in range(6):
            drawn[place].add(value(dataset[place]))
    assert drawn == [{row + 3 * repeat for repeat in range(4)} for row in dataset.item_rows.tolist()]
    means = make(store, TrainingView(average=(4, 4), by_target=True))
    assert [value(means[place]) for place in range(6)] == [row + 4.5 for row in dataset.item_rows.tolist()]
    assert make(store).item_rows.tolist() == list(range(24))


def test_an_item_depends_on_seed_epoch_and_trial_alone(store: TrialStore):
    view = TrainingView(average=(1, 3), perturbation=Perturbation(noise=0.1, shift=2))
    one, other = make(store, view), make(store, view, rows=np.array([5, 3]))
    for _ in range(3):
        other[0]  # what was asked for before does not matter
    picture = [make(store, view)[3][columns.EEG_VALUES] for _ in range(2)]
    np.testing.assert_array_equal(*picture)
    np.testing.assert_array_equal(one[3][columns.EEG_VALUES], picture[0])
    one.set_epoch(1)
    assert not np.array_equal(one[3][columns.EEG_VALUES], picture[0])
    assert not np.array_equal(make(store, view, seed=1)[3][columns.EEG_VALUES], picture[0])


@pytest.mark.parametrize("average", [(1, 1), (1, 3)])
@pytest.mark.parametrize("perturbation", [Perturbation(), Perturbation(noise=0.1, shift=2)])
def test_items_that_are_asked_for_together_are_those_asked_for_alone(
    store: TrialStore, average: tuple[int, int], perturbation: Perturbation
):
    dataset = make(store, TrainingView(average=average, perturbation=perturbation))
    wanted = [7, 23, 0, 7, 12]
    together = dataset.__getitems__(wanted)
    for item, alone in zip(together, [dataset[place] for place in wanted], strict=True):
        np.testing.assert_array_equal(item.pop(columns.EEG_VALUES), alone.pop(columns.EEG_VALUES))
        assert item == alone
    assert dataset.__getitems__([]) == []


def test_a_data_loader_reads_a_batch_at_once(store: TrialStore, monkeypatch: pytest.MonkeyPatch):
    asked = []
    read = store.read
    monkeypatch.setattr(store, "read", lambda trials: asked.append(list(trials)) or read(trials))
    batches = [[3, 20, 5], [1, 0]]
    loader = DataLoader(make(store), batch_sampler=batches, collate_fn=lambda items: [value(item) for item in items])
    assert list(loader) == asked == batches


def test_shuffled_targets_change_the_pairs_and_not_the_trials(store: TrialStore):
    shuffled = shuffle_targets(store.trials, np.arange(24), seed=1)
    dataset = make(store, trials=shuffled)
    assert [value(dataset[place]) for place in range(24)] == list(range(24))
    shown = [store.gallery("train")[columns.IMAGE_ID][dataset[place][columns.PICTURE_INDEX]] for place in range(24)]
    assert shown == shuffled[columns.IMAGE_ID].tolist()
    assert shown != store.trials[columns.IMAGE_ID].tolist()


def test_where_only_concepts_are_known_any_picture_of_them_is_drawn(store: TrialStore):
    object.__setattr__(store.info, "target", "concept")
    dataset = make(store, trials=store.trials.assign(image_id=""))
    drawn = {0: set(), 2: set()}
    for epoch in range(30):
        dataset.set_epoch(epoch)
        for place, pictures in drawn.items():
            pictures.add(dataset[place][columns.PICTURE_INDEX])
    assert drawn == {0: {0, 1}, 2: {2}}
    assert dataset[0][columns.IMAGE_ID] == dataset[1][columns.IMAGE_ID] != dataset[2][columns.IMAGE_ID]


def test_patterns_of_voxels_are_items_too(tmp_path: Path):
    brain = np.random.default_rng(0).standard_normal((6, 30)).astype(np.float32)
    images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)
    np.savez(tmp_path / "a.npz", brain=brain, images=images, image_id=np.arange(6) % 3, unit="sd")
    store = TrialStore(prepare_arrays(tmp_path / "a.npz", tmp_path / "store"))
    dataset = make(store, TrainingView(perturbation=Perturbation(channel_dropout=0.2)))
    assert dataset[0][columns.FMRI_VALUES].shape == (30,)
    np.testing.assert_allclose(make(store)[1][columns.FMRI_VALUES], brain[1], atol=2e-3)


def test_impossible_views_and_empty_splits_are_refused(store: TrialStore):
    for average in ((0, 1), (3, 2)):
        with pytest.raises(InputError, match=r"average .*: two numbers, the first at least 1"):
            TrainingView(average=average)
    with pytest.raises(InputError, match="The training split is empty: prepare the store with training trials"):
        make(store, rows=np.array([], dtype=np.int64))
    with pytest.raises(InputError, match="No training picture for '00002': add one, or leave its trials out"):
        pictures = store.gallery("train").iloc[:2]
        TrialDataset(store, store.trials, np.arange(24), pictures, TrainingView(), 0)
    assert isinstance(store.open_picture("00000"), Image.Image)
