"""What an index is on disk: a `datasets` dataset of ids and embeddings, a FAISS index, and index.json.

`datasets.load_from_disk(INDEX / "entries")` opens the entries anywhere, and its `load_faiss_index("embedding", INDEX /
"index.faiss")` searches them; rows are in the same order.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json

INDEX_FILE = "index.json"
"""Facts of an index; every such folder holds it."""
ENTRIES = "entries"
FAISS_FILE = "index.faiss"
EMBEDDING = "embedding"
PICTURES, TEXTS = "pictures", "texts"
SCHEMA = 1
SHARD_ROWS = 131_072
"""Entries of one file (ours): one piece of memory each, so that a search reads long stretches."""
_REMEDY = "make the index again, or copy it whole"


@dataclass(frozen=True)
class IndexFacts:
    """What index.json says.

    Args:
        schema (`int`): of this file.
        kind (`str`): "pictures" or "texts".
        names (`str` or None): name of the gallery's folder, whose pictures events may name in many ways; None where
            an event names an entry by its id.
        entries (`int`): how many.
        width (`int`): of an embedding.
        skipped (`list[str]`): pictures that could not be read.
        checkpoint (`str`), tower (`str`): what embedded them, see [`model_fingerprints`].
        probes (`int`): lists that an approximate search looks through.
        recall (`float`): what entries found of their ten nearest entries so.
    """

    schema: int
    kind: str
    names: str | None
    entries: int
    width: int
    skipped: list[str]
    checkpoint: str
    tower: str
    probes: int
    recall: float

    def write(self, folder: Path) -> None:
        """Write index.json."""
        write_json(folder / INDEX_FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "IndexFacts":
        """Read index.json.

        Raises:
            InputError: if it is missing, damaged, or of another version.
        """
        path = folder / INDEX_FILE
        if not path.is_file():
            raise InputError(f"{folder} is no index (it has no {INDEX_FILE}): make one with neuroclip index.")
        found = read_json(path)
        lacking = [field.name for field in fields(cls) if not isinstance(found, dict) or field.name not in found]
        if lacking:
            raise InputError(f"{path} lacks {', '.join(lacking)}: {_REMEDY}.")
        if found["schema"] != SCHEMA:
            raise InputError(
                f"{path}: schema is {found['schema']!r}, and {SCHEMA} is read here: make the index again."
            )
        return cls(**{field.name: found[field.name] for field in fields(cls)})


def write_entries(folder: Path, parts: Iterator[tuple[Sequence[str], NDArray[np.float32]]], width: int) -> int:
    """Write ids and embeddings as `datasets.Dataset.save_to_disk` does, but in larger pieces than its 1,000 rows.

    Args:
        folder (`Path`): is made.
        parts (iterator): ids and their embeddings (entries, width), in order; held one shard at a time.
        width (`int`): of an embedding.

    Returns:
        How many entries there were.
    """
    import datasets

    features = datasets.Features(
        {columns.IMAGE_ID: datasets.Value("string"), EMBEDDING: datasets.List(datasets.Value("float32"), length=width)}
    )
    folder.mkdir()
    names: list[str] = []
    entries, digest = 0, hashlib.sha256()
    for ids, embeds in _shards(parts):
        names.append(f"data-{len(names):05d}.arrow")
        _write_shard(folder / names[-1], features.arrow_schema, ids, embeds)
        entries += len(ids)
        digest.update(embeds.data)
    datasets.DatasetInfo(features=features).write_to_directory(str(folder))
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": digest.hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8", newline="\n")
    return entries


class Entries:
    """The entries of an index, mapped into memory: what is not looked at is not read.

    Args:
        folder (`Path`): of the index.
        facts (`IndexFacts`): of the index.

    Raises:
        InputError: if they cannot be read, or are not those of which index.json speaks.
    """

    def __init__(self, folder: Path, facts: IndexFacts) -> None:
        import datasets

        path = folder / ENTRIES
        try:
            self.dataset = datasets.load_from_disk(str(path))
            table = self.dataset.data
            self.blocks = [_as_tensor(chunk, facts.width) for chunk in table.column(EMBEDDING).chunks]
            self._ids = table.column(columns.IMAGE_ID)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read ({error}): {_REMEDY}.") from None
        if sum(map(len, self.blocks)) != facts.entries:
            raise InputError(f"{path} holds {len(self.dataset)} entries, and not {facts.entries}: {_REMEDY}.")

    def ids(self, rows: Sequence[int]) -> list[str]:
        """Ids of some rows."""
        return [self._ids[row].as_py() for row in rows]

    def all_ids(self) -> tuple[str, ...]:
        """Ids of all rows, in order."""
        return tuple(self._ids.to_pylist())


def _as_tensor(chunk: Any, width: int) -> torch.Tensor:
    values = chunk.flatten().to_numpy(zero_copy_only=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing writes into it
        return torch.from_numpy(values).view(-1, width)


def _shards(
    parts: Iterator[tuple[Sequence[str], NDArray[np.float32]]],
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    ids: list[str] = []
    waiting: list[NDArray[np.float32]] = []
    for names, embeds in parts:
        ids.extend(names)
        waiting.append(embeds)
        while len(ids) >= SHARD_ROWS:
            joined = np.concatenate(waiting)
            yield ids[:SHARD_ROWS], joined[:SHARD_ROWS]
            ids, waiting = ids[SHARD_ROWS:], [joined[SHARD_ROWS:]]
    if ids:
        yield ids, np.concatenate(waiting)


def _write_shard(path: Path, schema: Any, ids: Sequence[str], embeds: NDArray[np.float32]) -> None:
    import pyarrow as pa

    values = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(embeds).reshape(-1)), embeds.shape[1])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([pa.array(ids, pa.string()), values], schema=schema))
