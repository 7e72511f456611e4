"""Under what licence the parts of a model came: the tower it stands on, and the recordings that trained it."""

from collections.abc import Mapping
from types import MappingProxyType

from neuroclip_hf.columns import RANDOM_TOWER, SIMULATED, SMALL_CLIP
from neuroclip_hf.data.terms import PUBLISHED

_OPENAI = "MIT, that of its authors' code (their model card keeps deployed uses out of scope)"
_MIT, _APACHE = "MIT", "Apache-2.0"
TOWER_LICENCES: Mapping[str, str] = MappingProxyType(
    {
        SMALL_CLIP: _APACHE,
        "openai/clip-vit-base-patch16": _OPENAI,
        "openai/clip-vit-base-patch32": _OPENAI,
        "openai/clip-vit-large-patch14": _OPENAI,
        "openai/clip-vit-large-patch14-336": _OPENAI,
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": _MIT,
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K": _MIT,
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": _MIT,
        "google/siglip-base-patch16-224": _APACHE,
        "google/siglip-so400m-patch14-384": _APACHE,
        "facebook/dinov2-base": _APACHE,
        "facebook/dinov2-large": _APACHE,
    }
)
"""Towers whose licence is known to this package, as their model cards said it; by their names on the Hub."""


def tower_licence(tower: str) -> str:
    """The licence of a vision tower, in words; that it is unknown is said."""
    if tower == RANDOM_TOWER:
        return "none: its weights are random"
    return TOWER_LICENCES.get(tower, "not known to neuroclip_hf: see where the tower comes from")


def training_data(source: str | None, data: str) -> list[str]:
    """What the recordings of a training were, and under what terms: a few sentences.

    Args:
        source (`str`, *optional*): of the store, as its store.json says it; None where nobody said.
        data (`str`): "recorded" or "simulated".
    """
    published = PUBLISHED.get(source or "")
    if data == SIMULATED:
        layout = "" if published is None else f" in the layout of {published.title}"
        return [f"Made by neuroclip_hf's simulator{layout}, pictures included: nobody was recorded."]
    if published is None:
        return [
            "Recordings of whoever trained this model, who has not stated their licence here: it is unknown. Ask "
            "before you build on it."
        ]
    unknown = f"The licence of its recordings is not known to neuroclip_hf: see {published.page}."
    return [f"{published.title} ({published.page}).", published.recordings or unknown, published.pictures]
