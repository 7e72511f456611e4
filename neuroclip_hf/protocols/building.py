"""Recipe + what the trials look like -> model and image processor."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoImageProcessor, CLIPImageProcessorPil, PretrainedConfig
from transformers.activations import ACT2FN

from neuroclip_hf.columns import RANDOM_TOWER, SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders.base import TrialFacts
from neuroclip_hf.models.neuroclip.configuration_neuroclip import NeuroCLIPConfig
from neuroclip_hf.models.neuroclip.modeling_neuroclip import NeuroCLIPModel
from neuroclip_hf.models.registry import encoder_class, encoder_config
from neuroclip_hf.models.tower_loading import load_tower, read_tower_config, resolve_commit, tower_fingerprint
from neuroclip_hf.models.tower_types import TOWER_TYPES
from neuroclip_hf.models.towers import tower_location, tower_name
from neuroclip_hf.processing.processing_brain import BrainFeatureExtractor
from neuroclip_hf.training.settings import ModelSettings, Recipe

# Settings of a recipe's model that its config has under the same names.
_OF_THE_MODEL = (
    "tower_dtype",
    "vision_feature_layers",
    "vision_feature_token",
    "brain_projection",
    "image_projection",
    "projection_dim",
    "softening",
    "softening_temperature",
)


def build_model(settings: ModelSettings, trials: BrainFeatureExtractor) -> NeuroCLIPModel:
    """A model with fresh weights (from torch's global seed), sized for the trials.

    Raises:
        InputError: for an unknown encoder or a setting that it or the tower does not have.
    """
    facts = TrialFacts(trials.trial_shape, trials.sampling_rate, trials.channel_names, len(trials.subjects))
    sizes = encoder_class(settings.encoder).sizes(facts)
    fixed = sorted(set(sizes) & set(settings.encoder_settings))
    if fixed:
        raise InputError(f"encoder_settings.{fixed[0]} comes from the store: leave it out, and prepare the store so.")
    encoder_settings = {**sizes, **settings.encoder_settings}
    shared = {name: value for name in _OF_THE_MODEL if (value := getattr(settings, name)) is not None}
    tower = _tower(settings)
    if tower != RANDOM_TOWER:
        if settings.tower_settings:
            raise InputError(
                f"tower_settings are for a tower with random weights, and the tower is {tower}: leave them "
                "out, or say tower=random."
            )
        return NeuroCLIPModel.from_vision_pretrained(
            tower,
            revision=settings.tower_revision,
            encoder=settings.encoder,
            encoder_settings=encoder_settings,
            prompt=settings.prompt,
            **shared,
        )
    config = NeuroCLIPConfig(
        encoder_config=encoder_config(settings.encoder, **encoder_settings),
        vision_config={**_small_sizes(settings.tower_settings.get("model_type")), **settings.tower_settings},
        prompt_config=settings.prompt,
        **shared,
    )
    _check_random_tower(config.vision_config)
    return NeuroCLIPModel(config)


def _small_sizes(model_type: str | None) -> dict[str, Any]:
    """What a tower with random weights is like where the recipe does not say: like the one that ships."""
    small = read_tower_config(tower_location(SMALL_CLIP))
    pictures, layers = ("image_size", "patch_size"), ("hidden_size", "num_hidden_layers")
    names = (*pictures, *layers, "intermediate_size", "num_attention_heads")
    kind = TOWER_TYPES.get(model_type or small.model_type)
    known = {field.name for field in fields(kind.config_class)} if kind is not None else set()
    return {name: getattr(small, name) for name in names if name in known}


def _tower(settings: ModelSettings) -> str:
    name = settings.tower or SMALL_CLIP
    name = str(Path(name).expanduser()) if name.startswith("~") else name
    if _looks_like_path(name) and not Path(name).is_dir():
        raise InputError(f"tower {name}: there is no such folder; name one, or a model on the Hub.")
    return name


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "~", "/")) or "\\" in name or name.count("/") > 1


def _check_random_tower(config: PretrainedConfig) -> None:
    # What its own config does not look at ends in errors of torch that name no setting.
    if getattr(config, "intermediate_size", 1) < 1:
        raise InputError(f"tower_settings.intermediate_size is {config.intermediate_size}: it must be at least 1.")
    if config.num_channels != 3:
        raise InputError(f"tower_settings.num_channels is {config.num_channels}: pictures have 3 colours.")
    if config.hidden_act not in ACT2FN:
        raise InputError(f"tower_settings.hidden_act is {config.hidden_act!r}: try quick_gelu, gelu or relu.")


def image_processor_for(settings: ModelSettings, model: NeuroCLIPModel) -> Any:
    """The image processor of the tower: its own, or for a random tower CLIP's steps at its size."""
    size = model.config.vision_config.image_size
    tower = _tower(settings)
    if tower == RANDOM_TOWER:
        return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    processor = _own_image_processor(tower, model.config.tower_revision)
    made = tuple(processor(Image.new("RGB", (size + 1, size)), return_tensors="pt")["pixel_values"].shape[1:])
    if made != (3, size, size) and not (made[0] == 3 and model.takes_any_picture_size):
        raise InputError(
            f"{tower}: its image processor makes pictures of shape {made}, its tower takes "
            f"{(3, size, size)}: correct preprocessor_config.json."
        )
    return processor


def tower_facts(settings: ModelSettings) -> dict[str, Any] | None:
    """What tells the tower that a recipe names, as it lies there now, from another one of the same name.

    Returns:
        Its fingerprint and the settings of its image processor; `None` for a tower with random weights, which follows
        from the seed.

    Raises:
        InputError: if it cannot be read.
    """
    tower = _tower(settings)
    if tower == RANDOM_TOWER:
        return None
    location = tower_location(tower)
    commit = resolve_commit(location, settings.tower_revision)
    read = load_tower(location, read_tower_config(location, commit), commit, "auto")
    pictures = json.loads(_own_image_processor(tower, commit).to_json_string())
    return {"fingerprint": tower_fingerprint(read), "image_processor": pictures}


def to_share(recipe: Recipe) -> Recipe:
    """A recipe that does not say where the tower lies, if that is a folder, but what it is called."""
    return replace(recipe, model=replace(recipe.model, tower=tower_name(_tower(recipe.model))))


def _own_image_processor(tower: str, revision: str | None) -> Any:
    try:
        return AutoImageProcessor.from_pretrained(
            tower_location(tower), revision=revision, backend="pil", trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{tower} has no image processor ({error}): name a complete checkpoint.") from None
