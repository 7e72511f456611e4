"""Pictures as training looks at them: blurred, coarsened, noisy. Pillow and NumPy alone."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from neuroclip_hf.errors import InputError

FOVEA_SHARE = 0.5
"""Of the unblurred picture at its centre, where a view has a fovea (UBP's code)."""
_COLOURS = 255


@dataclass(frozen=True)
class PictureView:
    """What is done to a picture; lengths are parts of its shorter side, so that its size in pixels does not matter.

    `PictureView()` is the picture itself. Several are done in the order below.

    Sources: `blur` and `fovea` are UBP's (Wu et al., CVPR 2025, arXiv 2503.04207), which blurs because recordings
    carry little fine detail; `low_resolution`, `mosaic`, `blur` and `noise` are those whose mean NeuroBridge takes
    (Zhang et al., AAAI 2026, arXiv 2511.06836). Strengths in their public code are in pixels of 224 x 224.

    Differences from the sources: Pillow instead of OpenCV, whose Gaussian is approximated by boxes and whose mosaic is
    the mean of each block; UBP makes the blur of a picture depend on how well it is matched while training, which is
    left out.

    Args:
        low_resolution (`float`): resolution that is left, as a part of the picture's; 1 changes nothing.
        mosaic (`int`): blocks of one colour along the shorter side; 0 for none.
        blur (`float`): standard deviation of a Gaussian blur.
        fovea (`float` or None): the blur is blended with the picture itself, whose share falls as
            `0.5 exp(-fovea r)` with the distance r from the centre, 1 being the corner; None blurs evenly.
        noise (`float`): standard deviation of Gaussian noise, in parts of the range of a colour.

    Raises:
        InputError: for an impossible strength.
    """

    low_resolution: float = 1.0
    mosaic: int = 0
    blur: float = 0.0
    fovea: float | None = None
    noise: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = (int,) if field.name == "mosaic" else (int, float)
            if value is None and field.name == "fovea":
                continue
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < math.inf:
                number = "a whole number" if field.name == "mosaic" else "a number"
                raise InputError(f"picture_views: {field.name} is {value!r}: it must be {number} of zero or more.")
        if not 0 < self.low_resolution <= 1:
            raise InputError(f"picture_views: low_resolution is {self.low_resolution}: it must be above 0, up to 1.")
        if self.fovea is not None and not self.blur:
            raise InputError(
                f"picture_views: fovea is {self.fovea}, but blur is 0: there is nothing to be seen sharply."
            )

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "PictureView":
        """A view from settings.

        Raises:
            InputError: for an unknown setting, or an impossible strength.
        """
        known = [field.name for field in fields(cls)]
        unknown = [str(name) for name in settings if name not in known]
        if unknown:
            raise InputError(f"picture_views: {unknown[0]!r} is unknown: a view has {', '.join(known)}.")
        return cls(**settings)

    def show(self, picture: Image.Image, generator: np.random.Generator) -> Image.Image:
        """The picture in this view, RGB, of the same size.

        Args:
            picture (`PIL.Image.Image`): not changed.
            generator (`numpy.random.Generator`): of the noise; the same state gives the same picture.
        """
        picture = picture.convert("RGB")
        short = min(picture.size)
        if self.low_resolution < 1:
            picture = _through(picture, self.low_resolution, Image.Resampling.BILINEAR, Image.Resampling.BILINEAR)
        if self.mosaic:
            picture = _through(picture, self.mosaic / short, Image.Resampling.BOX, Image.Resampling.NEAREST)
        if self.blur:
            blurred = picture.filter(ImageFilter.GaussianBlur(self.blur * short))
            picture = blurred if self.fovea is None else _blend(picture, blurred, self.fovea)
        if self.noise:
            noise = self.noise * _COLOURS * generator.standard_normal((picture.height, picture.width, 3))
            picture = _picture(np.asarray(picture) + noise)
        return picture


@dataclass(frozen=True)
class ViewOpener:
    """Opens pictures in one view; what comes out depends on the seed, the view and the picture alone.

    Args:
        open_picture (callable from `str` to `PIL.Image.Image`): opens a picture by its id.
        view (`PictureView`): how it is shown.
        seed (`int`): of the noise.
        number (`int`): of the view, so that two with noise differ.
    """

    open_picture: Callable[[str], Image.Image]
    view: PictureView
    seed: int
    number: int = 0

    def __call__(self, image_id: str) -> Image.Image:
        """One picture, RGB."""
        digest = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8])
        generator = np.random.default_rng([self.seed, self.number, digest])
        return self.view.show(self.open_picture(image_id), generator)


def _through(picture: Image.Image, part: float, down: Image.Resampling, up: Image.Resampling) -> Image.Image:
    """A picture made smaller, and as large as it was again."""
    small = tuple(max(1, round(length * part)) for length in picture.size)
    return picture.resize((small[0], small[1]), down).resize(picture.size, up)


def _blend(sharp: Image.Image, blurred: Image.Image, fovea: float) -> Image.Image:
    height, width = sharp.height, sharp.width
    rows, columns = (np.arange(length) - (length - 1) / 2 for length in (height, width))
    distance = np.hypot(rows[:, None], columns[None, :])
    share = FOVEA_SHARE * np.exp(-fovea * distance / max(distance.max(), 1.0))[:, :, None]
    return _picture(share * np.asarray(sharp) + (1 - share) * np.asarray(blurred))


def _picture(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(values.round().clip(0, _COLOURS).astype(np.uint8))
