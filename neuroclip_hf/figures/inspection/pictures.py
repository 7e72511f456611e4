"""What the adapters of a vision tower do to pictures, and where they look."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuroclip_hf.adapters.neuro_prompt import PromptedEmbeddings, find_structure, token_attention


@dataclass(frozen=True)
class Filtered:
    """What a Dynamic Filter Layer makes of one picture.

    Args:
        before, after (`numpy.ndarray`): (height, width, 3), fractions; the picture as the tower gets it, and filtered.
        response (`numpy.ndarray`): the filter, its mean over the colours: a kernel (taps, taps), or gains by frequency
            (height, width) with no frequency in the middle.
        spectral (`bool`): whether it is gains.
    """

    before: NDArray[np.floating]
    after: NDArray[np.floating]
    response: NDArray[np.floating]
    spectral: bool


@dataclass(frozen=True)
class Looked:
    """Where a tower looks in one picture: maps (rows, columns) over its patches; None for what the tower has not.

    Args:
        picture (`numpy.ndarray`): (height, width, 3), fractions, as the tower gets it.
        fusion (`numpy.ndarray` or None): how much patches of the dynamic stream are attended to by CATF, the mean over
            heads and over the patches that attend; sums to one.
        prompts (`numpy.ndarray` or None): how much the prompts attend to patches, means over heads and prompts.
        prefix (`numpy.ndarray` or None): the same of the tower's own tokens, of CLIP's class token for example.
        share (`float` or None): part of the class token's attention that goes to prompts.
    """

    picture: NDArray[np.floating]
    fusion: NDArray[np.floating] | None
    prompts: NDArray[np.floating] | None
    prefix: NDArray[np.floating] | None
    share: float | None


def filter_pictures(model: Any, processor: Any, pixel_values: torch.Tensor) -> list[Filtered] | None:
    """What the live adapter's Dynamic Filter Layer makes of pictures; None if there is none.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint; its normalisation of pictures is undone.
        pixel_values (`torch.Tensor`): (pictures, 3, height, width), preprocessed.
    """
    layer, adapter = _live_layer(model)
    if layer is None or adapter not in layer.neuro_prompt_filter:
        return None
    spectral = layer.neuro_prompt_config[adapter].filter_domain == "spectral"
    pixel_values = pixel_values.to(model.device)
    filtered = layer.filter_pictures(pixel_values)
    before, after = (_as_pictures(processor, pixels) for pixels in (pixel_values, filtered.pixel_values))
    responses = filtered.responses.mean(dim=1).cpu().numpy()
    if spectral:
        responses = np.stack([_whole_plane(gains, pixel_values.shape[-1]) for gains in responses])
    return [
        Filtered(one, other, response, spectral) for one, other, response in zip(before, after, responses, strict=True)
    ]


def look_at_pictures(model: Any, processor: Any, pixel_values: torch.Tensor) -> tuple[int, list[Looked]]:
    """Where CATF, the prompts and the tower's own tokens look, in the highest layer that the model reads.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        pixel_values (`torch.Tensor`): (pictures, 3, height, width), preprocessed.

    Returns:
        The layer, 1 being the lowest, and one [`Looked`] a picture.
    """
    layer, adapter = _live_layer(model)
    pixel_values = pixel_values.to(model.device)
    attention = token_attention(model.vision_model, pixel_values)
    number = max(model.config.feature_layers or [len(attention.weights)])
    prompts = prefix = share = fusion = None
    if attention.num_prompts:
        prompts = _numpy(attention.of_prompts()[number - 1])
    if attention.num_prefix_tokens:
        prefix = _numpy(attention.of_prefix()[number - 1])
    if attention.num_prompts and attention.num_prefix_tokens:
        share = _numpy(attention.share_of_prompts()[number - 1])
    if (
        layer is not None
        and adapter in layer.neuro_prompt_fusion
        and layer.neuro_prompt_config[adapter].cross_attention
    ):
        fusion = _numpy(layer.attention_maps(pixel_values).mean(dim=(1, 2)).unflatten(-1, attention.grid))
    looked = [
        Looked(picture, _at(fusion, place), _at(prompts, place), _at(prefix, place), _at(share, place))
        for place, picture in enumerate(_as_pictures(processor, pixel_values))
    ]
    return number, looked


def _live_layer(model: Any) -> tuple[PromptedEmbeddings | None, str]:
    """The prompted embedding layer of a model's tower and the adapter at work in it; None and "" without one."""
    layer = find_structure(model.vision_model).embeddings(model.vision_model)
    if not isinstance(layer, PromptedEmbeddings) or layer.live_adapter is None:
        return None, ""
    return layer, layer.live_adapter


def _as_pictures(processor: Any, pixel_values: torch.Tensor) -> NDArray[np.floating]:
    """Undo the normalisation: (pictures, height, width, 3) in [0, 1]."""
    settings = processor.image_processor
    pixels = pixel_values.float().cpu().numpy().transpose(0, 2, 3, 1)
    if settings.do_normalize:
        pixels = pixels * np.asarray(settings.image_std) + np.asarray(settings.image_mean)
    return np.clip(pixels, 0.0, 1.0)


def _whole_plane(gains: NDArray[np.floating], width: int) -> NDArray[np.floating]:
    """Gains as `rfft2` orders them -> of all frequencies, with zero in the middle."""
    columns = np.rint(np.abs(np.fft.fftfreq(width)) * width).astype(int)
    return np.fft.fftshift(gains[:, columns])


def _numpy(values: torch.Tensor) -> NDArray[np.floating]:
    return values.float().cpu().numpy()


def _at(values: NDArray[np.floating] | None, place: int) -> Any:
    return None if values is None else values[place]
