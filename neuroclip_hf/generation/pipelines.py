"""Pipelines of diffusers that paint from an image embedding: one class each, called once a picture.

One picture a call is slower than a batch where memory is plenty, and the only way that is right for all of them: an
IP-Adapter pipeline that is given a batch of embeddings conditions every picture on all of them, without a word, and
KandinskyV22Pipeline without guidance crashes on several pictures. The start noise comes from a generator on the CPU,
whatever the device, so that it hangs on the seed alone.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from PIL import Image

from neuroclip_hf.errors import InputError
from neuroclip_hf.generation.image_encoder import ImageEncoder
from neuroclip_hf.generation.settings import IP_ADAPTER, KANDINSKY, UNCLIP

_TOKENS = 77  # of CLIP's text towers


class Painter:
    """Paints one picture from one image embedding.

    Args:
        pipeline (`DiffusionPipeline`): loaded, on its device.
        encoder (`ImageEncoder`): whose embeddings it takes.
        steps (`int`): denoising steps.
        guidance (`float`): guidance scale.

    Raises:
        InputError: if pipeline and encoder do not fit each other.
    """

    pipeline_class: ClassVar[str]

    def __init__(self, pipeline: Any, encoder: ImageEncoder, steps: int, guidance: float) -> None:
        self.pipeline, self.encoder, self.steps, self.guidance = pipeline, encoder, steps, guidance
        pipeline.set_progress_bar_config(disable=True)
        if self.width != encoder.width:
            raise InputError(
                f"{self.pipeline_class} takes image embeddings {self.width} wide, and its image encoder makes them "
                f"{encoder.width} wide: name the encoder that it was trained with."
            )
        self.conditions = self.make_conditions()

    @property
    def width(self) -> int:
        """Of the image embeddings that the pipeline takes."""
        raise NotImplementedError

    @property
    def prompt(self) -> str:
        """What stands in place of a text, in words."""
        return "none: the pipeline takes no text"

    def make_conditions(self) -> dict[str, torch.Tensor]:
        """What every picture is conditioned on alike, made once: arguments of the pipeline's call."""
        raise NotImplementedError

    def arguments(self, embed: torch.Tensor) -> dict[str, Any]:
        """How the pipeline is given one image embedding (1, width), which is on its device and of its type."""
        raise NotImplementedError

    def paint(self, embed: torch.Tensor, seed: int) -> Image.Image:
        """One picture, RGB.

        Args:
            embed (`torch.Tensor` of shape `(width,)`): raw CLIP scale.
            seed (`int`): of the generator, below 2**63.

        Raises:
            InputError: if the embedding has another shape, or numbers that are not finite.
        """
        if embed.shape != (self.width,) or not embed.isfinite().all():
            raise InputError(f"an image embedding is {tuple(embed.shape)}: it must be {self.width} finite numbers.")
        given = embed[None].to(self.pipeline.device, self.pipeline.unet.dtype)
        painted = self.pipeline(
            **self.conditions,
            **self.arguments(given),
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="pil",
        )
        return painted.images[0].convert("RGB")


class _WithPrompt(Painter):
    """A pipeline that also takes a text: it is given the empty one."""

    @property
    def prompt(self) -> str:
        """See [`Painter`]."""
        return "empty" if self.pipeline.text_encoder is not None else "zeros: the pipeline has no text encoder"

    @torch.no_grad()
    def make_conditions(self) -> dict[str, torch.Tensor]:
        """See [`Painter`]: embeddings of the empty text (1, tokens, width), the same for both halves of guidance."""
        pipeline = self.pipeline
        if pipeline.text_encoder is None:
            width = int(pipeline.unet.config.cross_attention_dim)
            embeds = torch.zeros(1, _TOKENS, width, device=pipeline.device, dtype=pipeline.unet.dtype)
        else:
            embeds, _ = pipeline.encode_prompt("", pipeline.device, 1, False)
        return {"prompt_embeds": embeds, "negative_prompt_embeds": embeds}


class UnclipPainter(_WithPrompt):
    """Stable unCLIP: Stable Diffusion trained on the embedding of one picture, to which no noise is added."""

    pipeline_class = "StableUnCLIPImg2ImgPipeline"

    @property
    def width(self) -> int:
        """See [`Painter`]."""
        return int(self.pipeline.image_normalizer.config.embedding_dim)

    def arguments(self, embed: torch.Tensor) -> dict[str, Any]:
        """See [`Painter`]."""
        return {"image_embeds": embed, "noise_level": 0}


class KandinskyPainter(Painter):
    """The decoder of Kandinsky 2.2; guidance turns away from the embedding of no picture, as its prior does."""

    pipeline_class = "KandinskyV22Pipeline"

    @property
    def width(self) -> int:
        """See [`Painter`]."""
        return int(self.pipeline.unet.config.encoder_hid_dim)

    def make_conditions(self) -> dict[str, torch.Tensor]:
        """See [`Painter`]; without them diffusers takes 512 pixels for any pipeline."""
        unet = self.pipeline.unet
        size = unet.config.sample_size * self.pipeline.movq_scale_factor
        negative = self.encoder.embed_nothing().to(self.pipeline.device, unet.dtype)
        return {"negative_image_embeds": negative, "height": size, "width": size}

    def arguments(self, embed: torch.Tensor) -> dict[str, Any]:
        """See [`Painter`]."""
        return {"image_embeds": embed}


class IPAdapterPainter(_WithPrompt):
    """Stable Diffusion with one IP-Adapter that takes image embeddings."""

    pipeline_class = "StableDiffusionPipeline"

    @property
    def width(self) -> int:
        """See [`Painter`].

        Raises:
            InputError: if the pipeline has no adapter, several, or one that takes hidden states ("plus", "faceid").
        """
        held = list(getattr(self.pipeline.unet.encoder_hid_proj, "image_projection_layers", []))
        names = [type(layer).__name__ for layer in held]
        if names != ["ImageProjection"]:
            raise InputError(
                f"the pipeline's IP-Adapters are of type {', '.join(names) or 'none'}: it must have one that takes "
                "CLIP's image embeddings (ImageProjection), such as ip-adapter_sd15.safetensors; name it with "
                "--ip-adapter."
            )
        return int(held[0].image_embeds.in_features)

    def arguments(self, embed: torch.Tensor) -> dict[str, Any]:
        """See [`Painter`]: (2, 1, width), the negative half first; without it diffusers would go on silently."""
        return {"ip_adapter_image_embeds": [torch.stack([torch.zeros_like(embed), embed])]}


PAINTERS: Mapping[str, type[Painter]] = MappingProxyType(
    {UNCLIP: UnclipPainter, KANDINSKY: KandinskyPainter, IP_ADAPTER: IPAdapterPainter}
)
