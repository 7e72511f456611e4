"""Every pipeline paints each picture from its own embedding and seed, and from nothing else."""

import inspect

import numpy as np
import pytest
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.generation.loading import load_painter
from neuroclip_hf.generation.pipelines import PAINTERS
from neuroclip_hf.generation.settings import IP_ADAPTER, KANDINSKY, METHODS, UNCLIP


def embeds(count, width=32):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(5))


def pixels(picture):
    return np.asarray(picture).astype(int)


def spied(monkeypatch, painter):
    """The arguments of every call of a painter's pipeline."""
    calls, call = [], type(painter.pipeline).__call__
    monkeypatch.setattr(
        type(painter.pipeline), "__call__", lambda self, **given: (calls.append(given), call(self, **given))[1]
    )
    return calls


def test_every_method_has_a_painter():
    assert tuple(PAINTERS) == METHODS


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_hangs_on_its_embedding_and_its_seed_alone(painters, method):
    painter, (one, other) = painters[method], embeds(2)
    first = painter.paint(one, 3)
    assert first.size == (16, 16)
    assert first.mode == "RGB"
    different = painter.paint(other, 3), painter.paint(one, 4)  # and whatever was painted in between
    assert painter.paint(one, 3).tobytes() == first.tobytes()
    for picture in different:
        assert np.abs(pixels(picture) - pixels(first)).max() > 5


@pytest.mark.parametrize("method", METHODS)
def test_the_pipeline_is_always_given_a_seeded_generator_and_one_picture(painters, method, monkeypatch):
    painter = painters[method]
    calls = spied(monkeypatch, painter)
    painter.paint(embeds(1)[0], 3)
    (given,) = calls
    assert given["generator"].initial_seed() == 3
    assert (given["num_inference_steps"], given["guidance_scale"]) == (2, painter.guidance)
    assert set(given) <= set(inspect.signature(type(painter.pipeline).__call__).parameters) | set(given)
    if method == UNCLIP:
        assert given["noise_level"] == 0
        assert given["prompt_embeds"].shape == given["negative_prompt_embeds"].shape == (1, 77, 32)
    if method != IP_ADAPTER:
        assert given["image_embeds"].shape == (1, 32)


def batched(painter, both, shape):
    """How one might paint two pictures by one call of an IP-Adapter pipeline."""
    conditions = {name: each.repeat(2, 1, 1) for name, each in painter.conditions.items()}
    halves = torch.cat([torch.zeros_like(both), both]).reshape(shape)
    generators = [torch.Generator().manual_seed(3) for _ in both]
    call = {"num_inference_steps": 2, "guidance_scale": painter.guidance, "generator": generators}
    return painter.pipeline(**conditions, ip_adapter_image_embeds=[halves], **call).images


@pytest.mark.parametrize("shape", [(2, 2, 32), (4, 1, 32)])
def test_a_batch_of_an_ip_adapter_would_mix_embeddings_and_ours_does_not(painters, shape):
    painter, both = painters[IP_ADAPTER], embeds(2)
    ours = [pixels(painter.paint(embed, 3)) for embed in both]
    mixed = [pixels(picture) for picture in batched(painter, both, shape)]
    assert np.abs(mixed[0] - mixed[1]).max() <= 1  # both pictures show both embeddings
    assert min(np.abs(one - other).max() for one, other in zip(ours, mixed, strict=True)) > 10
    assert np.abs(ours[0] - ours[1]).max() > 10


def test_an_ip_adapter_is_given_both_halves(painters, monkeypatch):
    painter, embed = painters[IP_ADAPTER], embeds(1)[0]
    calls = spied(monkeypatch, painter)
    ours = painter.paint(embed, 3)
    (halves,) = calls[0]["ip_adapter_image_embeds"]
    assert halves.shape == (2, 1, 32)
    assert not halves[0].any()
    assert torch.equal(halves[1, 0], embed)
    # diffusers itself takes the first of two embeddings for the negative half, and says nothing
    positives = embed.expand(2, 1, 32)
    without = painter.pipeline(**{**calls[0], "ip_adapter_image_embeds": [positives]}).images[0]
    assert np.abs(pixels(without) - pixels(ours)).max() > 10


def test_an_ip_adapter_without_guidance_is_refused(named):
    with pytest.raises(InputError, match=r"guidance is 1.0: an IP-Adapter pipeline needs more than 1"):
        load_painter(named(IP_ADAPTER, guidance=1.0), torch.device("cpu"))


def test_kandinsky_without_guidance_paints_several_pictures(named):
    painter, _ = load_painter(named(KANDINSKY, guidance=1.0), torch.device("cpu"))
    one, other = (painter.paint(embed, 3) for embed in embeds(2))
    assert one.tobytes() != other.tobytes()
    call = {"num_inference_steps": 2, "guidance_scale": 1.0, "num_images_per_prompt": 2}
    with pytest.raises(RuntimeError, match="Sizes of tensors"):  # what one call would have done
        painter.pipeline(image_embeds=embeds(1), **painter.conditions, **call)


def test_kandinsky_turns_away_from_the_embedding_of_no_picture(painters):
    painter = painters[KANDINSKY]
    expected = painter.encoder.model(torch.zeros(1, 3, 32, 32)).image_embeds
    torch.testing.assert_close(painter.conditions["negative_image_embeds"], expected)


@pytest.mark.parametrize("embed", [torch.full((32,), torch.nan), torch.zeros(16), torch.zeros(1, 32)])
def test_what_is_no_embedding_is_refused(painters, embed):
    with pytest.raises(InputError, match=r"it must be 32 finite numbers"):
        painters[UNCLIP].paint(embed, 0)
