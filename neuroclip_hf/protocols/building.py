"""Recipe + what the trials look like -> model and image processor."""

from typing import Any

from transformers import AutoImageProcessor, CLIPImageProcessorPil

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.neuroclip.configuration_neuroclip import NeuroCLIPConfig
from neuroclip_hf.models.neuroclip.modeling_neuroclip import NeuroCLIPModel
from neuroclip_hf.models.registry import encoder_config
from neuroclip_hf.processing.processing_brain import BrainFeatureExtractor
from neuroclip_hf.training.settings import ModelSettings


def build_model(settings: ModelSettings, trials: BrainFeatureExtractor) -> NeuroCLIPModel:
    """A model with fresh weights (from torch's global seed), sized for the trials.

    Raises:
        InputError: for an unknown encoder or a setting that it or the tower does not have.
    """
    sizes = {"num_channels": len(trials.channel_names), "num_timesteps": trials.num_timesteps}
    encoder_settings = {**sizes, **settings.encoder_settings}
    shared: dict[str, Any] = {
        "projection_dim": settings.projection_dim,
        "softening": settings.softening,
        "softening_temperature": settings.softening_temperature,
    }
    if settings.tower is not None:
        return NeuroCLIPModel.from_vision_pretrained(
            settings.tower,
            revision=settings.tower_revision,
            encoder=settings.encoder,
            encoder_settings=encoder_settings,
            prompt=settings.prompt,
            **shared,
        )
    return NeuroCLIPModel(
        NeuroCLIPConfig(
            encoder_config=encoder_config(settings.encoder, **encoder_settings),
            vision_config=settings.tower_settings,
            prompt_config=settings.prompt,
            **shared,
        )
    )


def image_processor_for(settings: ModelSettings, model: NeuroCLIPModel) -> Any:
    """The image processor of the tower: its own, or for a random tower CLIP's steps at its size."""
    if settings.tower is None:
        size = model.config.vision_config.image_size
        return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    try:
        return AutoImageProcessor.from_pretrained(settings.tower, revision=settings.tower_revision, backend="pil")
    except OSError as error:
        raise InputError(f"{settings.tower} has no image processor ({error}): name a complete checkpoint.") from None
