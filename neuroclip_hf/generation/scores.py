"""How like the shown picture a generated one is, query by query.

Measures on features of AlexNet, Inception, EfficientNet or SwAV, which the field also reports, are left out: their
weights do not come with this package or its libraries.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf.generation.libraries import require_structural_similarity
from neuroclip_hf.metrics.retrieval import pairwise_identification, similarity

PIXEL_CORRELATION, SSIM = "pixel_correlation", "ssim"
IDENTIFICATION_BY_PIPELINE, IDENTIFICATION_BY_RUN = "identification_pipeline", "identification_tower"
PICTURE_SCORES = (PIXEL_CORRELATION, SSIM)
CHANCE = {IDENTIFICATION_BY_PIPELINE: 0.5, IDENTIFICATION_BY_RUN: 0.5}
LEFT_OUT = "identification by AlexNet, Inception, EfficientNet and SwAV: their weights do not come with this package"
_GREY = np.array([0.2125, 0.7154, 0.0721])  # luminance, as scikit-image weighs it
_WINDOW = 11  # pixels of SSIM's window, of a Gaussian with sigma 1.5 cut at 3.5 sigma


def picture_scores(shown: Image.Image, painted: Image.Image) -> dict[str, float]:
    """Pixel correlation and SSIM of one picture.

    The shown picture is cut to its central square and brought to the size of the painted one, as an image encoder
    sees it. A picture of one colour correlates with nothing: 0.

    Args:
        shown (`PIL.Image.Image`): RGB.
        painted (`PIL.Image.Image`): RGB; one that is no square is treated alike.

    Returns:
        `pixel_correlation`, Pearson's r over all values of all three colours, and `ssim` (Wang et al. 2004) of the
        luminance, with their Gaussian window; both at most 1. `ssim` is left out for pictures below 11 pixels.
    """
    side = min(painted.size)
    one, other = (_square(picture, side) for picture in (shown, painted))
    found = {PIXEL_CORRELATION: _correlation(one, other)}
    if side >= _WINDOW:
        found[SSIM] = float(
            require_structural_similarity()(
                one @ _GREY,
                other @ _GREY,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    return found


def identification(painted: torch.Tensor, gallery: torch.Tensor, mask: torch.Tensor) -> list[float]:
    """Part of all pairs of a right and a wrong gallery picture in which a painted one is more like the right one.

    Args:
        painted (`torch.Tensor` of shape `(queries, width)`): features of what was painted.
        gallery (`torch.Tensor` of shape `(gallery, width)`): of the test gallery.
        mask (`torch.Tensor` of shape `(queries, gallery)`, bool): which pictures are right.

    Returns:
        One number a query; 0.5 is chance. Likeness is the cosine of features less the gallery's mean (ours): what all
        pictures share says nothing.
    """
    mean = gallery.mean(dim=0)
    scores = similarity(painted - mean, gallery - mean)
    return [pairwise_identification(scores[row : row + 1], mask[row : row + 1]) for row in range(len(scores))]


def by_score(rows: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """One dictionary a query -> one list a score."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _square(picture: Image.Image, side: int) -> NDArray[np.float64]:
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    cut = picture.convert("RGB").crop((left, top, left + edge, top + edge))
    return np.asarray(cut.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64) / 255


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    first, second = (each.ravel() - each.mean() for each in (one, other))
    size = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / size) if size > 1e-9 else 0.0
