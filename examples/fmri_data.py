"""The three files of `fmri.py`, and what their pictures and captions become.

`miyawaki_V1_figures.npz`: `fmri` (80, 797) voxels of primary visual cortex, `images` (80, 10, 10): ten figures, each
shown eight times (Miyawaki et al., Neuron 2008). `objects92.npz`: 92 photographs of objects of six categories with
captions, and `gram_hIT` (subjects, sessions, 92, 92), the products of all pairs of inferior-temporal patterns.
`haxby_slice.npz`: `bold` (1452, 530), one volume a row, `label` and `run` (Haxby et al., Science 2001).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.feature_extraction.text import CountVectorizer
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from neuroclip_hf import InputError
from neuroclip_hf.models.towers import tower_location

FIGURES, OBJECTS, HAXBY = "miyawaki_V1_figures", "objects92", "haxby_slice"
RANK_CUT = 1e-6


@dataclass(frozen=True)
class Trials:
    """Patterns and what was shown.

    Args:
        values (`torch.Tensor`): (trials, voxels).
        item (array): (trials,), the picture of each; the class where pictures are not known.
        unit (array): (items,), what is held out whole: the figure, or the category.
        block (array): (trials,), which presentation or run.
        names (list): of the units.
        one_scale (`bool`): voxels are coordinates of a rotation, and are not to be scaled one by one.
    """

    values: torch.Tensor
    item: NDArray[np.int64]
    unit: NDArray[np.int64]
    block: NDArray[np.int64]
    names: list[str]
    one_scale: bool = False


def read_figures(folder: Path) -> tuple[Trials, NDArray[np.uint8]]:
    """Trials, and the ten figures (10, height, width) in black and white."""
    file = _read(folder, FIGURES)
    pictures, figure = np.unique(file["images"], axis=0, return_inverse=True)
    figure = figure.ravel()
    block = np.array([int((figure[:row] == shown).sum()) for row, shown in enumerate(figure)])
    numbers = np.arange(len(pictures))
    trials = Trials(
        torch.from_numpy(file["fmri"]).float(), figure, numbers, block, [f"figure {number}" for number in numbers]
    )
    return trials, (pictures > 0).astype(np.uint8) * 255


def read_objects(folder: Path) -> tuple[Trials, NDArray[np.uint8], list[str]]:
    """Trials, photographs and captions. Patterns are the subjects' and sessions' side by side, up to a rotation."""
    file = _read(folder, OBJECTS)
    gram = file["gram_hIT"].astype(np.float64).sum(axis=(0, 1))
    sizes, directions = np.linalg.eigh((gram + gram.T) / 2)
    kept = sizes > sizes.max() * RANK_CUT
    patterns = torch.from_numpy(directions[:, kept] * np.sqrt(sizes[kept])).float()
    names, category = np.unique(file["category"], return_inverse=True)
    numbers = np.arange(len(patterns))
    trials = Trials(patterns, numbers, category, np.zeros_like(numbers), names.tolist(), one_scale=True)
    return trials, file["images"], file["caption"].tolist()


def read_haxby(folder: Path) -> Trials:
    """Volumes of the eight categories, each run detrended and scaled by its own volumes, whatever they showed."""
    file = _read(folder, HAXBY)
    run, label = file["run"].astype(np.int64), file["label"]
    values = np.concatenate([_detrended(file["bold"][run == number]) for number in np.unique(run)])
    order = np.argsort(run, kind="stable")
    shown = label[order] != "rest"
    names, category = np.unique(label[order][shown], return_inverse=True)
    numbers = np.arange(len(names))
    return Trials(torch.from_numpy(values[shown]), category, numbers, run[order][shown], names.tolist())


def picture_features(pictures: NDArray[np.uint8]) -> dict[str, torch.Tensor]:
    """Pictures (n, height, width) or (n, height, width, 3) through small-clip: its embedding, and its last patches."""
    location = tower_location("small-clip")
    tower = CLIPModel.from_pretrained(location, dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(location, backend="pil")
    size = tower.config.vision_config.image_size
    # Figures are made of few large squares, whose edges no other enlargement would keep.
    shown = [Image.fromarray(each).convert("RGB") for each in pictures]
    shown = [each if each.width > size else each.resize((size, size), Image.Resampling.NEAREST) for each in shown]
    with torch.no_grad():
        seen = tower.vision_model(processor(shown, return_tensors="pt")["pixel_values"])
        embeddings = tower.visual_projection(seen.pooler_output)
    return {"embedding": embeddings, "patches": seen.last_hidden_state[:, 1:].flatten(1)}


def caption_features(captions: list[str]) -> dict[str, torch.Tensor]:
    """Captions through small-clip's text tower, and as bags of words (1 where a caption holds a word)."""
    location = tower_location("small-clip")
    tower = CLIPModel.from_pretrained(location, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(location)(captions, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        embeddings = tower.text_projection(tower.text_model(**tokens).pooler_output)
    words = CountVectorizer(binary=True).fit_transform(captions).toarray()
    return {"embedding": embeddings, "words": torch.from_numpy(words).float()}


def _read(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise InputError(f"{path} does not exist: name the folder of the files with --data.")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _detrended(bold: NDArray[np.int16]) -> NDArray[np.float32]:
    """Volumes (volumes, voxels) of a run less a straight line in time, in standard deviations of what is left."""
    time = np.linspace(-1, 1, len(bold))
    line = np.stack([np.ones_like(time), time], axis=1)
    rest = bold - line @ np.linalg.lstsq(line, bold.astype(np.float64), rcond=None)[0]
    spread = rest.std(axis=0)
    return (rest / np.where(spread > 0, spread, 1)).astype(np.float32)
