"""Folders of pictures: which concept each shows, which one a name means, and opening one safely."""

import difflib
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from neuroclip_hf.errors import InputError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What a file with such a name may hold; Pillow looks at the content alone, and hands PostScript to Ghostscript."""
MAX_PIXELS = 64_000_000
"""Largest picture that is opened, in pixels (ours): larger than any stimulus, far smaller than memory."""


@dataclass(frozen=True)
class Target:
    """What is known of the picture behind a trial: the picture itself, or only its concept (`image_id` empty)."""

    concept: str
    image_id: str = ""


@dataclass(frozen=True)
class PictureFolder:
    """Pictures below one folder; a picture's concept is the name of the folder it lies in.

    Args:
        root (`Path`): the folder.
        image_ids (`tuple[str, ...]`): paths of the pictures relative to `root`, with `/`, sorted.
    """

    root: Path
    image_ids: tuple[str, ...]

    @classmethod
    def scan(cls, root: str | Path) -> "PictureFolder":
        """List the pictures below `root`.

        Raises:
            InputError: if the folder is missing or holds no picture.
        """
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root} is not a folder: name the folder that holds the pictures.")
        files = (path for path in root.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
        names = (path.relative_to(root) for path in files)
        image_ids = sorted(name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts))
        if not image_ids:
            raise InputError(f"{root} holds no picture ({', '.join(PICTURE_SUFFIXES)}): name the folder that does.")
        return cls(root, tuple(image_ids))

    def concept(self, image_id: str) -> str:
        """Name of the folder that holds the picture; for pictures directly below the root, the root's name."""
        return Path(image_id).parent.name or self.root.resolve().name

    def path(self, image_id: str) -> Path:
        """Where the picture lies on this machine."""
        return self.root / image_id

    @cached_property
    def concepts(self) -> dict[str, tuple[str, ...]]:
        """Concept -> its pictures, both sorted."""
        members: dict[str, list[str]] = {}
        for image_id in self.image_ids:
            members.setdefault(self.concept(image_id), []).append(image_id)
        return {concept: tuple(members[concept]) for concept in sorted(members)}

    @cached_property
    def _names(self) -> dict[str, str]:
        candidates: list[tuple[str, str]] = []
        for image_id in self.image_ids:
            candidates += [(spelling, image_id) for spelling in picture_spellings(image_id)]
        count = Counter(spelling for spelling, _ in candidates)
        return {spelling: image_id for spelling, image_id in candidates if count[spelling] == 1}

    def find(self, name: str) -> Target | None:
        """The target that `name` means, or None.

        A name is a picture's path below the root or its file name (with or without the suffix, where only one picture
        has it), or a concept. A concept of several pictures comes before a picture of the same name without suffix.
        Windows' backslashes, the "Stimulus/" or "Comment/" that BrainVision files put in front, and folders above the
        root are understood.
        """
        for candidate in spellings(name):
            pictures = self.concepts.get(candidate, ())
            image_id = self._names.get(candidate)
            if image_id is not None and (len(pictures) <= 1 or image_id == candidate):
                return Target(self.concept(image_id), image_id)
            if pictures:
                return Target(candidate)
        return None

    def suggestion(self, name: str) -> str:
        """A sentence that names the nearest spelling of `name`, or what the folder holds."""
        wanted = Path(spellings(name)[-1])
        same = [one for one in self.image_ids if wanted.name in (Path(one).name, Path(one).stem)]
        if len(same) > 1:
            return f"{len(same)} pictures are called so ({', '.join(same[:3])}): the name must say the folder too."
        near = difflib.get_close_matches(name, [*self.concepts, *self._names], n=1)
        if near:
            return f"Did you mean {near[0]!r}?"
        some = ", ".join(list(self.concepts)[:5])
        return f"Concepts there: {some}{', ...' if len(self.concepts) > 5 else ''}."


def picture_spellings(image_id: str) -> set[str]:
    """What a picture may be called: its path or its file name, each with or without the suffix."""
    path = Path(image_id)
    return {image_id, path.with_suffix("").as_posix(), path.name, path.stem}


def spellings(name: str) -> list[str]:
    """`name`, and what it may be once prefixes and folders are taken from its front."""
    name = name.strip().replace("\\", "/").removeprefix("./")
    parts = name.split("/")
    found = [name]
    if len(parts) > 1 and parts[0].lower() in ("stimulus", "stimuli", "comment"):
        found.append("/".join(parts[1:]))
    if parts[-1].lower().endswith(PICTURE_SUFFIXES):
        found += ["/".join(parts[start:]) for start in range(1, len(parts))]
    return list(dict.fromkeys(found))


def open_picture(path: str | Path) -> Image.Image:
    """Open a picture as RGB (see [`as_rgb`]), turned upright, fully decoded.

    Raises:
        InputError: if the file is missing, damaged, none of [`PICTURE_FORMATS`], or larger than [`MAX_PIXELS`].
    """
    return _open(Path(path))


def check_picture(path: str | Path) -> None:
    """Refuse what [`open_picture`] would refuse, in less time: of a JPEG all bytes are decoded, but few pixels made.

    Raises:
        InputError: as [`open_picture`].
    """
    _open(Path(path), small=True)


def _open(path: Path, small: bool = False) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata and large sizes: what cannot be opened is an error below
            with Image.open(path, formats=PICTURE_FORMATS) as picture:
                size = picture.size
                if size[0] * size[1] <= MAX_PIXELS:
                    if small:
                        picture.draft(None, (1, 1))
                    return as_rgb(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: put the picture there or correct its name.") from None
    except Exception as error:  # a damaged file can break any of Pillow's decoders in its own way
        raise InputError(f"{path} cannot be read as a picture ({error}): replace or remove it.") from None
    raise InputError(
        f"{path} has {size[0]} x {size[1]} pixels, more than the {MAX_PIXELS:,} that are opened: make it smaller."
    )


def as_rgb(picture: Image.Image) -> Image.Image:
    """The picture in RGB: transparent parts show white, and grey of more than 8 bits is scaled to 8.

    16-bit grey has a fixed range. 32-bit and floating point grey has none, so its own least value becomes black and
    its largest white (values that are no numbers become black).
    """
    if picture.mode.startswith("I;16"):  # Pillow's own conversion cuts off everything above 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        grey = np.asarray(picture, dtype=np.float64)
        finite = grey[np.isfinite(grey)]
        low, span = (finite.min(), np.ptp(finite)) if finite.size else (0.0, 0.0)
        grey = np.where(np.isfinite(grey), grey - low, 0.0)
        picture = Image.fromarray((grey * (255 / span if span else 0)).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")
