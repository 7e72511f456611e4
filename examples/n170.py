"""Faces or houses? NeuroCLIP on N170 recordings, from the files to a table.

A folder holds `sub-XX_run-YY_raw.fif` (events "face" and "house" at picture onset; which picture it was is not known)
and `pictures/face`, `pictures/house`. For every subject, runs 1 to n-2 train and the last two test. The last training
run validates; with fewer than four training runs the last fifth of each does. With fewer than three runs in all, the
last third of each run tests. A run of which no epoch survives rejection is named and left out of the count. A quarter
of the pictures is held out of training and is the gallery.

Two numbers are reported, both against the held-out pictures, any picture of the class being right: `single`, every
test trial by itself, and `mean16`, 1,000 seeded draws a class of 16 different test trials, averaged. Beside them stand
the mean of trainings on shuffled pairs, and a logistic regression on the same trials.

    python examples/n170.py --data FOLDER --subjects sub-01 --seeds 3
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroclip_hf import InputError, TrialStore, columns
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings, choose_channels
from neuroclip_hf.data.queries import make_queries
from neuroclip_hf.data.recordings import find_recordings, open_recording
from neuroclip_hf.data.sources.recordings import SplitSettings, prepare_recordings
from neuroclip_hf.evaluation import accuracy_of, rank_test_split
from neuroclip_hf.logging import progress, set_verbosity
from neuroclip_hf.metrics.chance import chance_level
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.training.settings import load_recipe

EPOCHS = EpochSettings(window=(-0.1, 0.8), baseline=None, sampling_rate=128.0, band=(1.0, 30.0), reject=100e-6)
AVERAGE, DRAWS = 16, 1000
QUERIES = {"single": 1, "mean16": AVERAGE}
REGULARISATION = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]


def main() -> int:
    """Run the example; the last line on stdout is JSON, the table goes to stderr."""
    arguments = _arguments()
    set_verbosity("warning")
    rows: dict[str, dict[str, Any]] = {}
    failed = False
    try:
        subjects = _subjects(arguments.data, arguments.subjects)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    for subject in subjects:
        try:
            rows[subject] = run_subject(arguments.data, subject, arguments.seeds, arguments.shuffled)
        except InputError as error:  # the subjects that are done stay
            print(f"Error: {subject}: {error}", file=sys.stderr)
            rows[subject], failed = {"error": str(error)}, True
    print(_table(rows), file=sys.stderr)
    print(json.dumps(rows))
    return 2 if failed else 0


def run_subject(data: Path, subject: str, seeds: int, shuffled: int) -> dict[str, Any]:
    """Prepare one subject's store, train on it, and open its test split."""
    started = time.perf_counter()
    files, skipped = surviving(sorted(data.glob(f"{subject}_run-*_raw.fif")))
    with tempfile.TemporaryDirectory() as folder:
        prepare_recordings(files, data / "pictures", Path(folder) / "store", epochs=EPOCHS, splits=split(files))
        store = TrialStore(Path(folder) / "store")
        found = [_scores(store, seed, shuffled=False) for seed in progress(range(seeds), desc=f"{subject} seeds")]
        control = [
            _scores(store, seed, shuffled=True) for seed in progress(range(shuffled), desc=f"{subject} shuffled")
        ]
        return {
            "single": _mean(found, "single"),
            "mean16": _mean(found, "mean16"),
            "shuffled_mean16": _mean(control, "mean16"),
            **logistic_regression(store),
            "seeds": found,
            "shuffled": control,
            "chance": _mean(found, "chance"),
            "trials": {name: len(store.select(name)) for name in (columns.TRAIN, columns.VALIDATION, columns.TEST)},
            "skipped": skipped,
            "store": store.info.fingerprint,
            "seconds": round(time.perf_counter() - started, 1),
        }


def surviving(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Runs of which at least one epoch survives rejection, and a sentence for each of the others."""
    kept, skipped = [], []
    for file in find_recordings(files):
        recording = open_recording(file)
        channels = choose_channels(recording.raw, EPOCHS.channels, file.path)
        samples = recording.events[columns.SAMPLE].to_numpy()
        if any(len(rows) for rows, _ in cut_epochs(recording.raw, samples, EPOCHS, channels)):
            kept.append(file.path)
        else:
            skipped.append(f"{file.path.name}: no epoch survived (of {len(samples)}); the recording was skipped.")
            print(skipped[-1], file=sys.stderr)
    if not kept:
        raise InputError(f"No epoch of {', '.join(file.name for file in files)} survives: look at the recordings.")
    return kept, skipped


def split(files: Sequence[Path]) -> SplitSettings:
    """Which runs train, validate and test."""
    names = [file.name for file in files]
    if len(files) < 3:
        return SplitSettings(columns.NEW_TRIALS, test_part=1 / 3, validation_part=0.2)
    if len(files) < 6:
        return SplitSettings(columns.NEW_TRIALS, test_files=tuple(names[-2:]), validation_part=0.2)
    return SplitSettings(columns.NEW_TRIALS, test_files=tuple(names[-2:]), validation_files=(names[-3],))


def logistic_regression(store: TrialStore) -> dict[str, float]:
    """Accuracy of the plain baseline on the same trials."""
    fitted = fit_logistic_regression(store)
    return {f"logistic_{name}": float(logistic_hits(fitted, store, size).mean()) for name, size in QUERIES.items()}


def fit_logistic_regression(store: TrialStore) -> GridSearchCV:
    """Fit it on training and validation runs together, its strength chosen among them."""
    rows = np.concatenate([store.select(columns.TRAIN), store.select(columns.VALIDATION)])
    table = store.trials.iloc[rows]
    runs = table[columns.RUN].to_numpy()
    several = len(set(runs)) > 1
    folds = GroupKFold(min(5, len(set(runs)))) if several else 5
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    search = GridSearchCV(model, {"logisticregression__C": REGULARISATION}, cv=folds, scoring="balanced_accuracy")
    search.fit(store.read(rows).reshape(len(rows), -1) * 1e6, table[columns.CONCEPT], groups=runs if several else None)
    return search


def logistic_hits(fitted: GridSearchCV, store: TrialStore, size: int) -> NDArray[np.bool_]:
    """Which test queries, means of `size` trials, it names rightly, in the order of [`make_queries`]."""
    queries = make_queries(store.trials, store.select(columns.TEST), size, draws=DRAWS if size > 1 else None)
    values = np.stack([store.read(query.trials).mean(axis=0).ravel() for query in queries]) * 1e6
    return np.asarray(fitted.predict(values) == np.array([query.concept for query in queries]))


def _scores(store: TrialStore, seed: int, *, shuffled: bool) -> dict[str, float]:
    trained = train_on_store(load_recipe("concepts", {"seed": seed}), store, shuffled=shuffled)
    found = {}
    for name, size in QUERIES.items():
        draws = DRAWS if size > 1 else None
        ranking = rank_test_split(trained.model, trained.processor, store, average=size, draws=draws)
        found[name] = accuracy_of(ranking)["top1"]
        found["chance"] = chance_level(ranking.mask, len(ranking.image_ids), 1)
    return found


def _mean(found: Sequence[dict[str, float]], name: str) -> float | None:
    return float(np.mean([one[name] for one in found])) if found else None


def _table(rows: dict[str, dict[str, Any]]) -> str:
    names = ("single", "mean16", "shuffled_mean16", "logistic_single", "logistic_mean16", "chance")
    lines = ["".join(f"{name:>17}" for name in ("subject", *names))]
    for subject, row in rows.items():
        if "error" in row:
            lines.append(f"{subject:>17}  {row['error']}")
            continue
        values = ("-" if row[name] is None else f"{row[name]:.3f}" for name in names)
        lines.append("".join(f"{value:>17}" for value in (subject, *values)))
        lines += [f"  {warning}" for warning in row["skipped"]]
    return "\n".join([*lines, "recorded EEG; the vision tower is small-clip, trained on simulated pictures alone"])


def _subjects(data: Path, wanted: list[str] | None) -> list[str]:
    found = sorted({file.name.split("_")[0] for file in data.glob("sub-*_run-*_raw.fif")})
    if not found:
        raise InputError(f"{data} holds no sub-XX_run-YY_raw.fif: name the folder with --data.")
    for subject in wanted or ():
        if subject not in found:
            raise InputError(f"{data} holds no recording {subject}_run-*_raw.fif: correct --data or --subjects.")
    return wanted or found


def _arguments() -> argparse.Namespace:
    real_data = os.environ.get("NEUROCLIP_REAL_DATA")
    default = Path(real_data) / "recordings" / "n170" if real_data else None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default, required=not real_data, help="folder of the recordings")
    parser.add_argument("--subjects", type=lambda text: text.split(","), help="as in sub-01,sub-02; all by default")
    parser.add_argument("--seeds", type=int, default=3, help="trainings that are averaged")
    parser.add_argument("--shuffled", type=int, default=10, help="trainings on shuffled pairs that are averaged")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
