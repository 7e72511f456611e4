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
from neuroclip_hf.kinds import find_kind
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.brain_image.recorded_adapters import (
    OWN_PROMPTS,
    TOWER,
    adapter_settings,
    require_kind,
)
from neuroclip_hf.models.encoders.base import TrialFacts
from neuroclip_hf.models.registry import encoder_config_class
from neuroclip_hf.models.tower_loading import read_tower_config, resolve_commit, tower_fingerprint
from neuroclip_hf.models.tower_parts import TEXT, VISION
from neuroclip_hf.models.tower_types import DEFAULT_TOWER_TYPE, TOWER_TYPES, as_vision_config
from neuroclip_hf.models.towers import looks_like_path, tower_location, tower_name
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.training.settings import ModelSettings, Recipe

LORA = "lora"
"""The name of the adapter that a recipe's `lora` puts on the tower."""

# Settings of a recipe's model that take part in how it is built; its config has the others under the same names.
_OF_THE_BUILDING = frozenset(
    {
        "encoder",
        "encoder_settings",
        "kind",
        "kind_settings",
        "lora",
        "prompt",
        "tower",
        "tower_revision",
        "tower_settings",
    }
)


def build_model(settings: ModelSettings, trials: BrainFeatureExtractor) -> BrainImageModel:
    """A model with fresh weights (from torch's global seed), sized for the trials.

    Raises:
        InputError: for an unknown kind or encoder, or a setting that it or the tower does not have.
    """
    kind = find_kind(settings.kind)
    facts = TrialFacts(
        trials.trial_shape, trials.sampling_rate, trials.channel_names, len(trials.subjects), trials.rois
    )
    sizes = encoder_config_class(settings.encoder).sizes(facts)
    fixed = sorted(set(sizes) & set(settings.encoder_settings))
    if fixed:
        raise InputError(f"encoder_settings.{fixed[0]} comes from the store: leave it out, and prepare the store so.")
    encoder_settings = {**sizes, **settings.encoder_settings}
    shared = {one.name: getattr(settings, one.name) for one in fields(settings) if one.name not in _OF_THE_BUILDING}
    shared |= settings.kind_settings | _low_rank(settings)
    tower = _tower(settings)
    if tower != RANDOM_TOWER:
        if settings.tower_settings:
            raise InputError(
                f"tower_settings are for a tower with random weights, and the tower is {tower}: leave them "
                "out, or say tower=random."
            )
        return kind.model_class.from_vision_pretrained(
            tower,
            revision=settings.tower_revision,
            encoder=settings.encoder,
            encoder_settings=encoder_settings,
            prompt=settings.prompt,
            **shared,
        )
    parts = _random_parts(settings)
    _check_random_tower(as_vision_config(parts["vision_config"]))
    config = kind.config_class(
        encoder_config={**encoder_settings, "model_type": settings.encoder},
        prompt_config=settings.prompt,
        **parts,
        **shared,
    )
    return kind.model_class(config)


def _random_parts(settings: ModelSettings) -> dict[str, dict[str, Any]]:
    """What towers with random weights are like, part by part: where the recipe does not say, like the one that ships.

    `tower_settings` are the vision tower's; a `model_type` that there is not is refused where configs are made.
    """
    parts = find_kind(settings.kind).model_class.tower_parts
    configs = {part.config: part.small_sizes() for part in parts if part is not VISION and part.config is not None}
    kind = TOWER_TYPES.get(settings.tower_settings.get("model_type", DEFAULT_TOWER_TYPE))
    small = {} if kind is None else VISION.small_sizes(kind.config_class)
    return {"vision_config": {**small, **settings.tower_settings}, **configs}


def _low_rank(settings: ModelSettings) -> dict[str, Any]:
    """Settings of the config that put a LoRA on the tower, switched on beside the prompts."""
    if settings.lora is None:
        return {}
    own = {"place": TOWER, "peft_type": "LORA"}
    wrong = sorted(set(settings.lora) & set(own))
    if wrong:
        raise InputError(f"lora.{wrong[0]} is {settings.lora[wrong[0]]!r}: it must not be set, it is always a LoRA.")
    names = adapter_settings(own["peft_type"])
    unknown = sorted(set(settings.lora) - set(names))
    if unknown:
        name = unknown[0]
        raise InputError(f"lora.{name} is {settings.lora[name]!r}: lora has no such setting, but {', '.join(names)}.")
    for name, value in settings.lora.items():
        require_kind(own["peft_type"], "lora", name, value)
    prompts = [OWN_PROMPTS] if settings.prompt is not None else []
    return {"tower_adapters": {LORA: {**own, **settings.lora}}, "active_adapters": [*prompts, LORA]}


def _tower(settings: ModelSettings) -> str:
    name = settings.tower or SMALL_CLIP
    name = str(Path(name).expanduser()) if name.startswith("~") else name
    if looks_like_path(name) and not Path(name).is_dir():
        raise InputError(f"tower {name}: there is no such folder; name one, or a model on the Hub.")
    return name


def _check_random_tower(config: PretrainedConfig) -> None:
    # Looked at here, so that messages have the recipe's words.
    if getattr(config, "intermediate_size", 1) < 1:
        raise InputError(f"tower_settings.intermediate_size is {config.intermediate_size}: it must be at least 1.")
    if config.num_channels != 3:
        raise InputError(f"tower_settings.num_channels is {config.num_channels}: pictures have 3 colours.")
    if config.hidden_act not in ACT2FN:
        raise InputError(f"tower_settings.hidden_act is {config.hidden_act!r}: try quick_gelu, gelu or relu.")


def tower_depth(settings: ModelSettings) -> int:
    """How many layers the tower of a recipe has.

    Raises:
        InputError: if its config cannot be read.
    """
    tower = _tower(settings)
    if tower == RANDOM_TOWER:
        return int(_random_parts(settings)["vision_config"]["num_hidden_layers"])
    location = tower_location(tower)
    return int(read_tower_config(location, resolve_commit(location, settings.tower_revision)).num_hidden_layers)


def image_processor_for(settings: ModelSettings, model: BrainImageModel) -> Any:
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


def build_processor(
    settings: ModelSettings, trials: BrainFeatureExtractor, model: BrainImageModel
) -> BrainImageProcessor:
    """The processor of a kind of model.

    Where a kind of model has a tokenizer and the tower none (random weights, no text side) it is that of the tower
    that ships.

    Raises:
        InputError: if the tower has no image processor that fits.
    """
    tower = _tower(settings)
    wordless = TEXT in model.tower_parts and TEXT not in model.parts_of(model.config)
    location = tower_location(SMALL_CLIP if tower == RANDOM_TOWER or wordless else tower)
    pictures = image_processor_for(settings, model)
    build = find_kind(settings.kind).processor_class.build
    return build(trials, pictures, location, None if wordless else model.config.tower_revision, model.config)


def tower_facts(settings: ModelSettings) -> dict[str, Any] | None:
    """What tells the tower that a recipe names, as it lies there now, from another one of the same name.

    Returns:
        Fingerprints of the parts that the kind of model takes from it, and the settings of its image processor;
        `None` for a tower with random weights, which follows from the seed.

    Raises:
        InputError: if it cannot be read.
    """
    tower = _tower(settings)
    if tower == RANDOM_TOWER:
        return None
    location = tower_location(tower)
    commit = resolve_commit(location, settings.tower_revision)
    facts = {}
    for part in find_kind(settings.kind).model_class.parts_in(location, commit, settings.kind_settings)[0]:
        read = part.load(location, part.read_config(location, commit), commit, "auto")
        facts[part.fingerprint.removeprefix("tower_")] = tower_fingerprint(read)
    pictures = json.loads(_own_image_processor(tower, commit).to_json_string())
    return {**facts, "image_processor": pictures}


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
