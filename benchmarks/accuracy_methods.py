"""What `accuracy.py` compares: which recipes, what is changed in them, and among which settings each was chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.training.settings import Recipe, load_recipe

OURS = "neuroclip-intra"
"""The row that all others are compared with."""
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Args:
        name (`str`): of the row.
        recipe (`str`): of the package.
        overrides (`dict`): what makes it this row, where the recipe alone does not.
        candidates (`tuple` of `dict`): what `accuracy_search.py` compares, as many for each row.
        chosen (`int`): the candidate that the table is made with.
    """

    name: str
    recipe: str
    overrides: Settings = field(default_factory=dict)
    candidates: tuple[Settings, ...] = ({},)
    chosen: int = 0

    def load(self, changes: Settings, candidate: int | None = None) -> Recipe:
        """The recipe of the row with the `changes` that all rows share; the candidate that was chosen by default."""
        own = self.candidates[self.chosen if candidate is None else candidate]
        return load_recipe(self.recipe, {**changes, **self.overrides, **own})


# Scaled down to two cores: the small tower, batches of its 3,600 pictures, and rates that so few steps need.
COMMON: Settings = {
    "tower": SMALL_CLIP,
    "items": "targets",
    "batch_size": 256,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup": 0.05,
    "max_grad_norm": 1.0,
    "selection": "loss",
    "mixed_precision": "no",
    "gradient_checkpointing": False,
}
"""Settings that all rows share on simulated recordings (ours)."""

_DECAYS: tuple[Settings, ...] = ({"weight_decay": 0.05}, {"weight_decay": 10.0})
_SMALL: Settings = {"encoder_settings": {"hidden_size": 512, "dropout": 0.5}, "projection_dim": 128}
_UNPROMPTED: Settings = {"prompt": None, "softening": 0.0}

METHODS: tuple[Method, ...] = (
    Method(OURS, OURS, {"epochs": 12}, _DECAYS, chosen=1),
    Method("eegproject (frozen)", OURS, {**_UNPROMPTED, "epochs": 12}, _DECAYS, chosen=1),
    Method(
        "eegproject (frozen, linear)",
        OURS,
        {**_UNPROMPTED, "epochs": 12, "image_projection": "linear"},
        _DECAYS,
        chosen=1,
    ),
    Method(
        "eegproject (frozen, decay 0.05)",
        OURS,
        {**_UNPROMPTED, "epochs": 12},
        tuple(reversed(_DECAYS)),
        chosen=1,
    ),
    Method("ubp", "ubp", {"epochs": 12}, _DECAYS, chosen=1),
    Method("eegproject-lora", "eegproject-lora", {"epochs": 12, "tower_learning_rate": 5e-4}, _DECAYS, chosen=1),
    Method(
        "neuroclip-shallow",
        "neuroclip-shallow",
        {**_SMALL, "vision_feature_layers": [2], "epochs": 12},
        _DECAYS,
        chosen=1,
    ),
    Method("nice", "nice", {"epochs": 5}, ({"weight_decay": 0.0}, _DECAYS[1])),
    Method("atm-s", "atm-s", {"epochs": 5}, ({"weight_decay": 1e-2}, _DECAYS[1])),
)

RECORDED_COMMON: Settings = {
    **COMMON,
    "items": "trials",
    "average": [1, 8],
    "shift": 0.016,
    "noise": 0.5,
    "channel_dropout": 0.2,
    "epochs": 40,
    "batch_size": 64,
    "weight_decay": 0.05,
    "warmup": 0.1,
    "projection_dim": 64,
    "encoder_settings": {"hidden_size": 64},
}
"""Settings that all rows share on recorded EEG: those of recipe `concepts`, which few trials need, for all of them."""

_DROPOUT: Settings = {"encoder_settings": {"hidden_size": 64, "dropout": 0.5}}

RECORDED_METHODS: tuple[Method, ...] = (
    Method("nice", "nice"),
    Method("atm-s", "atm-s"),
    Method("ubp", "ubp", _DROPOUT),
    Method("eegproject (frozen)", OURS, {**_DROPOUT, **_UNPROMPTED}),
    Method("eegproject-lora", "eegproject-lora", _DROPOUT),
    Method(OURS, OURS, _DROPOUT),
    Method("neuroclip-shallow", "neuroclip-shallow", {**_DROPOUT, "vision_feature_layers": [2]}),
)
