"""What `accuracy.py` needs of `examples/n170.py`: faces against houses on recorded EEG, one store a subject."""

import importlib.util
from collections.abc import Mapping
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


def mean_of_16(runs: Mapping[Path, TrialStore]) -> float:
    """Mean top-1 of runs, with 1,000 draws a class of 16 test trials, averaged, as queries."""
    found = []
    for folder, store in runs.items():
        ranking = rank_test_split(*load_run(folder), store, average=N170.AVERAGE, draws=N170.DRAWS)
        found.append(accuracy_of(ranking)["top1"])
    return float(np.mean(found))


def logistic_regression(stores: Mapping[str, TrialStore]) -> tuple[torch.Tensor, dict[str, Any]]:
    """Hits of single test trials, subject by subject, and the accuracies that a row tells."""
    fitted = {name: N170.fit_logistic_regression(store) for name, store in stores.items()}
    hits = {
        query: {name: N170.logistic_hits(fitted[name], store, size).astype(float) for name, store in stores.items()}
        for query, size in N170.QUERIES.items()
    }
    means = {query: {name: float(mine.mean()) for name, mine in of.items()} for query, of in hits.items()}
    single, mean16 = (float(np.mean(list(means[query].values()))) for query in ("single", "mean16"))
    facts = {
        "top1": {"mean": single, "std": None, "values": [single]},
        "subjects": means["single"],
        "mean16": mean16,
    }
    return torch.from_numpy(np.concatenate(list(hits["single"].values()))), facts
