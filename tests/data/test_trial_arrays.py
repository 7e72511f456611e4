"""Trials come out in the order asked for, however many lie in a block, whichever files and threads read them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import threadpoolctl

from neuroclip_hf import columns
from neuroclip_hf.data import halves, trial_arrays
from neuroclip_hf.data.trial_arrays import TrialArrays
from neuroclip_hf.errors import InputError

SHAPE = (2, 5)
COUNTS = {("sub-01", "test"): 3, ("sub-01", "train"): 40, ("sub-02", "train"): 17}


def write(path: Path, order: str) -> tuple[TrialArrays, np.ndarray]:
    """Arrays of a store, and their trials in the order of the table, which shuffles them."""
    generator = np.random.default_rng(0)
    rows, values = [], []
    for (subject, split), count in COUNTS.items():
        mine = generator.standard_normal((count, *SHAPE)).astype(np.float16)
        (path / subject).mkdir(exist_ok=True)
        np.save(path / subject / f"{split}.npy", np.asarray(mine, order=order))
        rows += [(subject, split, place) for place in range(count)]
        values.append(mine)
    places = generator.permutation(len(rows))
    table = pd.DataFrame([rows[place] for place in places], columns=[columns.SUBJECT, columns.SPLIT, columns.ROW])
    return TrialArrays(path, table, {subject: SHAPE for subject, _ in COUNTS}), np.concatenate(values)[places]


@pytest.mark.parametrize("loaded", [True, False], ids=["torch", "no torch"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("trials_a_block", [0, 1, 4, 1000])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_trial_comes_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: bool, order: str, trials_a_block: int, threads: int
):
    for name in ("BLOCK_NUMBERS", "COPIED_NUMBERS"):
        monkeypatch.setattr(trial_arrays, name, trials_a_block * 10)
    monkeypatch.setattr(halves, "_torch_is_loaded", lambda: loaded)
    arrays, expected = write(tmp_path, order)
    _, files = np.unique([str(path) for path in arrays._files], return_inverse=True)
    of_one_file = np.flatnonzero(arrays._file_of == files[1])
    scale = np.array([[0.1], [3.0]], np.float32)
    generator = np.random.default_rng(1)
    for among in (of_one_file, np.arange(len(expected))):
        trials = generator.choice(among, 50)  # in any order, several of them twice
        with threadpoolctl.threadpool_limits(threads, "blas"):
            np.testing.assert_array_equal(arrays.copy(trials), expected[trials])
            read = arrays.convert(trials, lambda _, stored, out: halves.widen(stored, out, scale))
        np.testing.assert_array_equal(read, expected[trials].astype(np.float32) * scale)


@pytest.mark.parametrize("rows", [[True, False], [0.5], 3, [[1, 2]], ["a"], None, np.ones(240, dtype=bool)])
def test_only_a_list_of_rows_is_read(store, rows):
    for read in (store.read, store.read_stored):
        with pytest.raises(InputError, match="list of whole numbers, such as"):
            read(rows)


def test_no_rows_are_no_trials(store):
    assert store.read([]).shape == (0, *store.info.trial_shape)
