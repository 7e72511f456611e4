"""Pipelines with random weights that paint 16-pixel pictures in a blink, saved as diffusers saves them.

They stand for Stable unCLIP, Kandinsky 2.2 and Stable Diffusion with an IP-Adapter; only sizes differ.
"""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    KandinskyV22Pipeline,
    StableDiffusionPipeline,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import save_file
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

WIDTH = 32
SIZE = 16  # of the pictures: 8 latents, doubled once
_BLOCKS = {"sample_size": 8, "layers_per_block": 1, "block_out_channels": (32, 64)}
_CROSS = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": 8,
}


def image_encoder(width=WIDTH):
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=32, projection_dim=width, intermediate_size=37, num_hidden_layers=1, num_attention_heads=4,
        image_size=32, patch_size=16,
    )  # fmt: skip
    return CLIPVisionModelWithProjection(config).eval()


def image_processor():
    return CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def vae():
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
    ).eval()  # fmt: skip


def ddim():
    return DDIMScheduler(set_alpha_to_one=False, steps_offset=1, clip_sample=False)


def unclip(width=WIDTH, encoder=None):
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4, out_channels=4, cross_attention_dim=32, use_linear_projection=True,
        class_embed_type="projection", projection_class_embeddings_input_dim=2 * width, **_BLOCKS, **_CROSS,
    )  # fmt: skip
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=image_processor(), image_encoder=encoder or image_encoder(width), tokenizer=None,
        text_encoder=None, unet=unet.eval(), image_normalizer=StableUnCLIPImageNormalizer(embedding_dim=width),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"), scheduler=ddim(), vae=vae(),
    )  # fmt: skip


def kandinsky(width=WIDTH):
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4, out_channels=8, addition_embed_type="image", cross_attention_dim=16, encoder_hid_dim=width,
        encoder_hid_dim_type="image_proj", attention_head_dim=8, resnet_time_scale_shift="scale_shift",
        class_embed_type=None, mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), **_BLOCKS,
    )  # fmt: skip
    movq = VQModel(
        in_channels=3, out_channels=3, latent_channels=4, vq_embed_dim=4, num_vq_embeddings=12, norm_type="spatial",
        layers_per_block=1, block_out_channels=[32, 64], norm_num_groups=8,
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
    )  # fmt: skip
    return KandinskyV22Pipeline(unet=unet.eval(), scheduler=DDPMScheduler(), movq=movq.eval())


def stable_diffusion():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(in_channels=4, out_channels=4, cross_attention_dim=32, **_BLOCKS, **_CROSS)
    optional = dict.fromkeys(("tokenizer", "text_encoder", "safety_checker", "feature_extractor", "image_encoder"))
    return StableDiffusionPipeline(
        unet=unet.eval(), vae=vae(), scheduler=ddim(), requires_safety_checker=False, **optional
    )


def ip_adapter_weights(path, width=WIDTH, tokens=4):
    """Weights as the published adapters lay them out: a projection, and keys and values of every cross-attention."""
    torch.manual_seed(2)
    unet = stable_diffusion().unet
    weights = {
        "image_proj.proj.weight": torch.randn(tokens * 32, width) / width**0.5,
        "image_proj.proj.bias": torch.zeros(tokens * 32),
        "image_proj.norm.weight": torch.ones(32),
        "image_proj.norm.bias": torch.zeros(32),
    }
    for number, (name, _) in enumerate(unet.attn_processors.items()):
        if name.endswith("attn2.processor"):
            layer = unet.get_submodule(name.removesuffix(".processor"))
            for part in ("to_k", "to_v"):
                size = getattr(layer, part).weight.shape
                weights[f"ip_adapter.{number}.{part}_ip.weight"] = torch.randn(size) / size[1] ** 0.5
    save_file(weights, path)
    return path


def save(pipeline, folder):
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_encoder(folder, width=WIDTH):
    """An image encoder laid out as in a prior of Kandinsky."""
    image_encoder(width).save_pretrained(folder / "image_encoder")
    image_processor().save_pretrained(folder / "image_processor")
    return folder
