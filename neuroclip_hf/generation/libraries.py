"""The libraries of the extra `generate`, loaded where they are used."""

from importlib import import_module
from typing import Any

from neuroclip_hf.errors import InputError


def require_diffusers() -> Any:
    """The library diffusers.

    Raises:
        InputError: if it is not installed.
    """
    return _require("diffusers", "diffusers")


def require_structural_similarity() -> Any:
    """The function `structural_similarity` of scikit-image.

    Raises:
        InputError: if scikit-image is not installed.
    """
    return _require("skimage.metrics", "scikit-image").structural_similarity


def _require(module: str, distribution: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"generating pictures needs {distribution}, which is not installed: run pip install "
            "'neuroclip-hf[generate]'."
        ) from None
