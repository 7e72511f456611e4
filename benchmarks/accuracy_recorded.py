"""What `accuracy.py` needs of `examples/n170.py`: faces against houses on recorded EEG, one store a subject."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from neuroclip_hf import InputError, TrialStore
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.data.sources.recordings import prepare_recordings
from neuroclip_hf.evaluation import accuracy_of, rank_test_split


def _example() -> ModuleType:
    path = Path(__file__).parents[1] / "examples" / "n170.py"
    spec = importlib.util.spec_from_file_location("n170_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


N170 = _example()


def prepare_n170(data: Path, out: Path) -> dict[str, TrialStore]:
    """The store of each subject, made as the example makes it; one that lies below `out` already is taken.

    Raises:
        InputError: if there are no recordings.
    """
    subjects = sorted({file.name.split("_")[0] for file in data.glob("sub-*_run-*_raw.fif")})
    if not subjects:
        raise InputError(f"{data} holds no sub-XX_run-YY_raw.fif: name the folder with --data.")
    for subject in subjects:
        if (out / subject).is_dir():
            continue
        files, _ = N170.surviving(sorted(data.glob(f"{subject}_run-*_raw.fif")))
        prepare_recordings(files, data / "pictures", out / subject, epochs=N170.EPOCHS, splits=N170.split(files))
    return {subject: TrialStore(out / subject) for subject in subjects}


def mean_of_16(runs: Sequence[tuple[Path, TrialStore]]) -> float:
    """Mean top-1 of runs of all subjects, with 1,000 draws a class of 16 test trials, averaged, as queries."""
    found = []
    for folder, store in runs:
        ranking = rank_test_split(*load_run(folder), store, average=N170.AVERAGE, draws=N170.DRAWS)
        found.append(accuracy_of(ranking)["top1"])
    return round(float(np.mean(found)), 4)


def logistic_regression(stores: Sequence[TrialStore]) -> tuple[torch.Tensor, dict[str, Any]]:
    """Hits of single test trials, one store, that is one subject, after the other, and what its row tells."""
    fitted = [N170.fit_logistic_regression(store) for store in stores]
    hits = {
        query: [N170.logistic_hits(model, store, size) for model, store in zip(fitted, stores, strict=True)]
        for query, size in N170.QUERIES.items()
    }
    single = torch.from_numpy(np.concatenate(hits["single"])).double()
    mean = round(float(single.mean()), 4)
    facts = {
        "top1": {"mean": mean, "std": None, "values": [mean]},
        "subjects": {one.subjects[0]: float(mine.mean()) for one, mine in zip(stores, hits["single"], strict=True)},
        "mean16": round(float(np.mean([mine.mean() for mine in hits["mean16"]])), 4),
    }
    return single, facts
