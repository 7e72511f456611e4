"""Texts in the space of a run, where that is CLIP's own."""

from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.brainclip.clip_space import why_no_texts


def require_texts(model: Any) -> None:
    """Refuse a run in whose space no texts lie.

    Raises:
        InputError: naming what it has instead.
    """
    why = why_no_texts(model)
    if why is not None:
        raise InputError(f"--against texts: {why}: say --against images, or train brainclip on a whole CLIP.")
