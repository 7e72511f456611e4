"""Small recordings and pictures: 4 channels at 100 Hz, an event a second, and 8 x 8 pixels."""

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import datasets
import mne
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.parquet.export import export_store

CHANNELS = ("P7", "P8", "O1", "O2")
RATE = 100.0


@pytest.fixture
def make_raw() -> Callable[..., mne.io.RawArray]:
    """Noise of 10 microvolts with one annotation a second, the first at 1 s."""

    def make(
        names: Sequence[str],
        seed: int = 0,
        *,
        channels: Sequence[str] = CHANNELS,
        rate: float = RATE,
        kinds: str | list[str] = "eeg",
        first_samp: int = 0,
        duration: float = 0.1,
        scale: float = 1e-5,
    ) -> mne.io.RawArray:
        generator = np.random.default_rng(seed)
        values = scale * generator.standard_normal((len(channels), int((len(names) + 2) * rate)))
        info = mne.create_info(list(channels), rate, kinds)
        raw = mne.io.RawArray(values, info, first_samp=first_samp, verbose="ERROR")
        if first_samp:
            raw.set_meas_date(0)  # as in the files of MEG systems, which count samples from before the recording
        onsets = 1.0 + np.arange(len(names))
        return raw.set_annotations(mne.Annotations(onsets, duration, list(names)), verbose="ERROR")

    return make


@pytest.fixture
def make_fif(tmp_path: Path, make_raw) -> Callable[..., Path]:
    """A FIF file of [`make_raw`] under the test's folder."""

    def make(name: str, names: Sequence[str], seed: int = 0, **options) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_raw(names, seed, **options).save(path, verbose="ERROR", overwrite=True)
        return path

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four concepts (bird, cat, dog, fish) with four pictures each, no two alike."""
    root = tmp_path / "pictures"
    for place, concept in enumerate(("bird", "cat", "dog", "fish")):
        for number in range(1, 5):
            path = root / concept / f"{concept}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (60 * place, 50 * number, 7)).save(path)
    return root


@pytest.fixture
def make_trials() -> Callable[..., pd.DataFrame]:
    """A trial table from rows of (split, image_id, concept, run), one second apart."""

    def make(rows: Sequence[tuple[str, str, str, int]], subject: str = "sub-01") -> pd.DataFrame:
        places: dict[str, int] = {}
        table = []
        for number, (split, image_id, concept, run) in enumerate(rows):
            places[split] = places.get(split, -1) + 1
            table.append(
                {
                    columns.SUBJECT: subject,
                    columns.SPLIT: split,
                    columns.ROW: places[split],
                    columns.IMAGE_ID: image_id,
                    columns.CONCEPT: concept,
                    columns.SESSION: 1,
                    columns.RUN: run,
                    columns.REPEAT: 0,
                    columns.FILE: f"run-{run}.fif",
                    columns.SAMPLE: 100 * number,
                    "digest": f"{number:016x}",
                }
            )
        return pd.DataFrame(table)

    return make


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The published steps, plainly and slowly, see reference.py."""
    spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def without_bars():
    """No bars of `datasets`."""
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="session")
def exported(store_folder, tmp_path_factory) -> Path:
    """The export of `store_folder`; not to be changed."""
    return export_store(store_folder, tmp_path_factory.mktemp("exported") / "dataset")


@pytest.fixture(scope="session")
def python_blocks() -> Callable[[Path], list[str]]:
    """The Python code of a Markdown file, block by block."""
    return lambda path: re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
