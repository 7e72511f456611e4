"""A trial store as a `datasets` builder.

```python
builder = TrialStoreBuilder(config_name="sub-01", data_dir="STORE")
builder.download_and_prepare(num_proc=2)
train = builder.as_dataset("train").with_format("torch")
stream = builder.as_streaming_dataset("train")
```

Configs, splits and columns are those of an export (see [`neuroclip_hf.data.parquet`]). Training reads the store
itself, whose memory map is much faster; this is for whoever wants the trials in `datasets`' own tools.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.builder import Key

from neuroclip_hf import columns
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.export import picture_tables
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_layout import CHANNELS_FILE, STORE_FILE, array_name
from neuroclip_hf.data.trial_arrays import array_groups, read_blocks
from neuroclip_hf.errors import InputError

PART_GROUPS = 64
"""Row groups in the smallest piece of work that a process gets (ours)."""


@dataclass
class TrialStoreConfig(datasets.BuilderConfig):
    """One subject of a store, its pictures, or its channel table where it has one.

    Args:
        name (`str`): a subject, "pictures" or "channels".
        data_dir (`str`): the store.
        images (`bool`): whether the pictures' config holds the files.
    """

    images: bool = True

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Any = None) -> str:
        """The name under which the result is cached: another store, or the same made anew, has another."""
        key = repr((content_key(_folder(self)), self.settings(), custom_features))
        return f"{self.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def settings(self) -> tuple[Any, ...]:
        """What besides the folder decides about the result."""
        return (self.images, *self.preparation().values())

    def preparation(self) -> dict[str, Any]:
        """Settings by which a store is made from a dataset's own files; a dataset's config has some."""
        return {}

    def refuse_preparation(self) -> None:
        """Raise [`InputError`] for a setting that only files of the dataset could follow."""
        defaults = type(self)().preparation()
        for name, value in self.preparation().items():
            if value != defaults[name]:
                raise InputError(
                    f"{name} is {value!r}, and {self.data_dir} is a trial store, whose trials are made already: leave "
                    f"{name} out, or name the dataset's own folder as data_dir."
                )


class TrialStoreBuilder(datasets.ArrowBasedBuilder):
    """Builds one subject of a trial store, its pictures, or its channel table where it has one.

    A dataset's builder is a subclass with a config of its own, whose `preparation` holds its settings, and with
    `store_name` and `prepare_store`, which make a store from its files. It is made once, below `trial_stores` of the
    cache, and taken from there as long as files and settings are the same.

    Raises:
        InputError: if `data_dir` is no store (nor the dataset that a subclass reads), or `config_name` none of its
            subjects, "pictures", and "channels" where it has a channel table.
    """

    BUILDER_CONFIG_CLASS = TrialStoreConfig

    def open_store(self) -> TrialStore:
        """The store that is built from, made where it is not there yet."""
        source = _folder(self.config)
        if (source / STORE_FILE).is_file():
            self.config.refuse_preparation()
            return TrialStore(source)
        name = self.store_name(source)
        settings = self.config.preparation()
        key = hashlib.sha256(repr((content_key(source), settings)).encode()).hexdigest()[:16]
        out = Path(self._cache_dir_root) / "trial_stores" / f"{name}-{key}"
        if not (out / STORE_FILE).is_file():
            self.prepare_store(source, out, settings)
        return TrialStore(out)

    def store_name(self, source: Path) -> str:
        """What the store of this config, made from a dataset's own files, is called: "things_eeg2-sub-01".

        Raises:
            InputError: if the dataset has no such config; here, where only stores are read, for any folder.
        """
        return TrialStore(source).path.name

    def prepare_store(self, source: Path, out: Path, settings: dict[str, Any]) -> None:
        """Make the store of this config from a dataset's own files, with the settings of its `preparation`."""
        raise NotImplementedError

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo()  # the columns' types depend on the store, which may have to be made first

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        store = self.open_store()
        if self.config.name == layout.PICTURES_CONFIG:
            self.info.features = layout.picture_features(self.config.images)
            parts = [
                range(start, min(start + 100, len(store.pictures))) for start in range(0, len(store.pictures), 100)
            ]
            arguments = {"store": str(store.path), "split": None, "parts": parts}
            return [datasets.SplitGenerator(name=layout.PICTURES_SPLIT, gen_kwargs=arguments)]
        if self.config.name == layout.CHANNELS_CONFIG and store.has_channel_table:
            self.info.features = datasets.Features.from_arrow_schema(_channel_table(store).schema)
            arguments = {"store": str(store.path), "split": None, "parts": [range(1)]}
            return [datasets.SplitGenerator(name=layout.CHANNELS_SPLIT, gen_kwargs=arguments)]
        if self.config.name not in store.subjects:
            tables = [layout.CHANNELS_CONFIG] if store.has_channel_table else []
            known = ", ".join([*store.subjects, *tables, layout.PICTURES_CONFIG])
            raise InputError(f"{store.path} has no config {self.config.name!r}: config_name is one of {known}.")
        shape = store.trial_shape(self.config.name)
        self.info.features = layout.trial_features(store.info, shape, store.trials)
        size = PART_GROUPS * layout.rows_per_group(shape)
        made = []
        for subject, split, rows in array_groups(store.trials):
            if subject == self.config.name:
                parts = [range(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]
                arguments = {"store": str(store.path), "split": split, "parts": parts}
                made.append(datasets.SplitGenerator(name=split, gen_kwargs=arguments))
        return made

    def _generate_shards(self, store: str, split: str | None, parts: list[range]) -> Iterator[str]:
        yield from (f"{store}/{split or self.config.name}/{part.start}" for part in parts)

    def _generate_tables(self, store: str, split: str | None, parts: list[range]) -> Iterator[tuple[Key, pa.Table]]:
        opened = TrialStore(store)
        for number, part in enumerate(parts):
            tables = self._table(opened, part) if split is None else self._trials(opened, split, part)
            yield from ((Key(number, place), table) for place, table in enumerate(tables))

    def _table(self, store: TrialStore, part: range) -> Iterator[pa.Table]:
        if self.config.name == layout.CHANNELS_CONFIG:
            return iter([_channel_table(store)])
        return picture_tables(store, part, layout.picture_features(self.config.images))

    def _trials(self, store: TrialStore, split: str, part: range) -> Iterator[pa.Table]:
        shape = store.trial_shape(self.config.name)
        schema = layout.trial_features(store.info, shape, store.trials).arrow_schema
        chosen = (store.trials[columns.SUBJECT] == self.config.name) & (store.trials[columns.SPLIT] == split)
        rows = store.trials[chosen].sort_values(columns.ROW, kind="stable")
        table = layout.row_table(rows, schema)
        path = store.path / array_name(self.config.name, split)
        for start, values in read_blocks(path, part, layout.rows_per_group(shape), shape):
            yield layout.trial_table(values, table.slice(start, len(values)), schema)


def _channel_table(store: TrialStore) -> pa.Table:
    return pq.read_table(store.path / CHANNELS_FILE).replace_schema_metadata(None)


def content_key(folder: Path) -> str:
    """Something that changes with what a folder holds: store.json, or names, sizes and times of other files."""
    if (folder / STORE_FILE).is_file():
        return hashlib.sha256((folder / STORE_FILE).read_bytes()).hexdigest()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr((str(folder.resolve()), facts)).encode()).hexdigest()


def _folder(config: datasets.BuilderConfig) -> Path:
    folder = Path(config.data_dir or "")
    if config.data_dir is None or not folder.is_dir():
        raise InputError(f"data_dir is {config.data_dir!r}: name the folder of the store.")
    return folder
