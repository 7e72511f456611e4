"""An .npz as somebody saved it, by other names and a row a trial -> the arrays that `prepare arrays` understands."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.run_scaling import refuse_crossing, run_differences, scale_runs, unscaled_hint
from neuroclip_hf.data.sources.array_file import texts_of
from neuroclip_hf.data.sources.array_splits import hold_out_part, hold_out_runs
from neuroclip_hf.errors import InputError

PER_TRIAL = ("brain", "image_id", "split", "subject", "run")
_RANK_CUT = 1e-6  # of the largest direction, below which one is rounding


@dataclass(frozen=True)
class ArrayReading:
    """What is done to the arrays of a file before they become a store.

    Args:
        names (`dict`): our name of an array -> the file's, where they differ.
        leave_out (`tuple` of `str`): labels whose trials are left out, as those of rest.
        test_runs (`tuple` of `int`): runs whose trials test.
        test_part (`float`): part of what the protocol tests anew that tests: of the concepts, of the pictures of each
            concept (of all pictures where each concept has one), or of the trials of each picture, its last ones.
        seed (`int`): draws concepts and pictures.
        scale_runs (`bool`): take a line and a scale out of each voxel in each run, see
            [`neuroclip_hf.data.run_scaling.scale_runs`]; trials that are left out count here, so that the rest of a
            run is known.

    Raises:
        InputError: for values that cannot be.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    test_runs: tuple[int, ...] = ()
    test_part: float = 0.0
    seed: int = 0
    scale_runs: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.test_part < 1:
            raise InputError(f"test_part is {self.test_part}: it is a part, from 0 to below 1.")
        if self.test_part and self.test_runs:
            raise InputError("test_runs and test_part both say what tests: give one of them.")

    def to_dict(self) -> dict[str, Any]:
        """What differs from reading the file as it is, as plain values."""
        default, mine = asdict(ArrayReading()), asdict(self)
        return {one.name: mine[one.name] for one in fields(self) if mine[one.name] != default[one.name]}


def read_as_asked(
    values: dict[str, NDArray[Any]], reading: ArrayReading, protocol: str, path: Path
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays of a file as `prepare arrays` understands them, and what a reader should know.

    `gram` becomes `brain`; `label`, or pictures a row a trial, become `image_id` with each concept and picture once;
    runs are scaled, trials left out and test trials chosen as `reading` says.

    Args:
        values (`dict`): from [`load_values`].
        reading (`ArrayReading`): what is asked for.
        protocol (`str`): what training and test may share.
        path (`Path`): the file, for messages.

    Raises:
        InputError: for arrays that contradict each other, and for what cannot be done to them.
    """
    values = dict(values)
    if "gram" in values:
        values["brain"] = _patterns_of(values, path)
    if "brain" not in values or values["brain"].ndim not in (2, 3):
        return values, []  # refused by who reads it
    labels = _labels(values, path)
    _pictures_once(values, path)
    warnings = _scale(values, reading, path) if values["brain"].ndim == 2 else []
    if reading.scale_runs and values["brain"].ndim == 3:
        raise InputError(f"{path}: scale_runs is for voxels, and brain has samples in time: leave it out.")
    _leave_out(values, labels, reading.leave_out, path)
    if (reading.test_runs or reading.test_part) and "split" in values:
        raise InputError(f"{path} has a split of its own: leave test_runs and test_part out.")
    if reading.test_runs:
        values["split"] = hold_out_runs(values, reading.test_runs, path)
    elif reading.test_part:
        values["split"] = hold_out_part(values, protocol, reading.test_part, reading.seed, path)
    if reading.scale_runs:
        splits = texts_of(values, "split", len(values["brain"]), path, [columns.TRAIN] * len(values["brain"]))
        refuse_crossing(_runs(values, path), splits)
    return values, warnings


def _patterns_of(values: dict[str, NDArray[Any]], path: Path) -> NDArray[np.float32]:
    """Patterns whose products are the given ones: the symmetric root, one of all those that a rotation makes equal.

    In this one every coordinate belongs to a pattern and has a scale like the others', so that standardising them one
    by one changes little (ours).
    """
    gram = values.pop("gram")
    if "brain" in values:
        raise InputError(f"{path} holds brain and gram: give one of them.")
    if gram.ndim < 2 or gram.shape[-1] != gram.shape[-2] or gram.dtype.kind != "f" or not np.isfinite(gram).all():
        raise InputError(
            f"{path}: gram has shape {gram.shape} and type {gram.dtype}: it must be finite floats of shape (..., "
            "trials, trials), the products of all pairs of patterns; what lies before is added up."
        )
    whole = gram.astype(np.float64).reshape(-1, *gram.shape[-2:]).sum(axis=0)
    sizes, directions = np.linalg.eigh((whole + whole.T) / 2)
    if sizes[-1] <= 0 or sizes[0] < -1e-3 * sizes[-1]:
        raise InputError(f"{path}: gram has the eigenvalue {sizes[0]:.3g}: products of patterns have none below 0.")
    kept = sizes > sizes[-1] * _RANK_CUT
    root = (directions[:, kept] * np.sqrt(sizes[kept])) @ directions[:, kept].T
    return np.asarray(root, dtype=np.float32)


def _labels(values: dict[str, NDArray[Any]], path: Path) -> NDArray[np.str_] | None:
    """The label of each trial. Where nothing else says what was shown, the labels are concepts without pictures."""
    if "label" not in values:
        return None
    labels = np.array(texts_of(values, "label", len(values["brain"]), path, default=[]))
    del values["label"]
    taken = [name for name in ("image_id", "concept") if name in values]
    if taken:
        raise InputError(f"{path} holds label, the concept of each trial, and {taken[0]}: give one of them.")
    if "images" in values or "image_files" in values:
        values["concept"] = labels
    else:
        values["concept"], values["image_id"] = np.unique(labels, return_inverse=True)
    return labels


def _pictures_once(values: dict[str, NDArray[Any]], path: Path) -> None:
    """Where pictures stand a row a trial, number them: equal ones are one picture, with one concept and caption."""
    kind = next((name for name in ("images", "image_files") if name in values), None)
    if kind is None or "image_id" in values or len(values[kind]) != len(values["brain"]):
        return
    _, first, place = np.unique(values[kind], axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they come in the file
    values["image_id"], first = np.argsort(order)[place.ravel()], first[order]
    values[kind] = values[kind][first]
    for name in ("concept", "caption"):
        given = values.get(name)
        if given is None or given.shape != (len(values["brain"]),):
            continue
        values[name] = given[first]
        other = given != values[name][values["image_id"]]
        if other.any():
            row = int(np.argmax(other))
            place = values["image_id"][row]
            raise InputError(
                f"{path}: trial {row} shows the picture of trial {first[place]}, and its {name} is "
                f"{str(given[row])!r}, not {str(values[name][place])!r}: a picture has one {name}."
            )


def _scale(values: dict[str, NDArray[Any]], reading: ArrayReading, path: Path) -> list[str]:
    if "run" not in values:
        if reading.scale_runs:
            raise InputError(f"{path} lacks the array run (trials,), by which --scale-runs would scale.")
        return []
    runs = _runs(values, path)
    if reading.scale_runs:
        values["brain"], values["unit"] = scale_runs(values["brain"], runs), np.array("sd")
        return []
    hint = unscaled_hint(run_differences(values["brain"], runs))
    return [] if hint is None else [f"{path.name}: {hint}"]


def _runs(values: dict[str, NDArray[Any]], path: Path) -> list[str]:
    """The run of each trial, of whom, for people."""
    count = len(values["brain"])
    subjects = texts_of(values, "subject", count, path, default=[""] * count)
    if values["run"].shape != (count,):
        raise InputError(f"{path}: run has shape {values['run'].shape}: it must have {count} entries.")
    return [f"{run} of {one}" if one else f"{run}" for run, one in zip(values["run"], subjects, strict=True)]


def _leave_out(
    values: dict[str, NDArray[Any]], labels: NDArray[np.str_] | None, names: tuple[str, ...], path: Path
) -> None:
    """Drop the trials of these labels, and the concepts that nothing shows any more."""
    if not names:
        return
    if labels is None:
        raise InputError(f"{path} lacks the array label (trials,), by which --leave-out names trials.")
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise InputError(f"{path} has no label {unknown[0]!r} to leave out: it has {', '.join(np.unique(labels))}.")
    kept, count = ~np.isin(labels, names), len(labels)
    if not kept.any():
        raise InputError(f"{path}: every trial would be left out: name fewer labels.")
    for name in PER_TRIAL:
        if name in values and values[name].shape[:1] == (count,):
            values[name] = values[name][kept]
    if "images" not in values and "image_files" not in values:
        shown, values["image_id"] = np.unique(values["image_id"], return_inverse=True)
        values["concept"] = values["concept"][shown]
