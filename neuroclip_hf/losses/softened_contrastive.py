"""The softened contrastive loss of NeuroCLIP."""

import torch
from torch.nn import functional


def softened_contrastive_loss(
    brain_embeds: torch.Tensor,
    image_embeds: torch.Tensor,
    scale: torch.Tensor | float,
    image_id: torch.Tensor | None = None,
    frozen_image_embeds: torch.Tensor | None = None,
    *,
    softening: float,
    softening_temperature: float,
) -> torch.Tensor:
    """Symmetric cross-entropy between brain recordings and their pictures, with softened targets.

    After NeuroCLIP (arXiv 2511.09250), whose equations were not readable for us: the form of the targets
    ([`softened_targets`]) is our reading. Without softening and with a different picture in every row it is CLIP's
    loss.

    Args:
        brain_embeds (`torch.Tensor`): (batch, projection_dim); normalised here.
        image_embeds (`torch.Tensor`): (batch, projection_dim), the picture of each recording; normalised here.
        scale (`torch.Tensor` or `float`): factor of the cosines, that is `exp(logit_scale)`.
        image_id (`torch.Tensor`, *optional*): (batch,) whole numbers; rows with equal ids are right answers to each
            other. `None`: every row is its own only answer.
        frozen_image_embeds (`torch.Tensor`, *optional*): (batch, width), the pictures as the frozen, unprompted tower
            sees them; needed if `softening` is above zero.
        softening (`float`): share of the targets that follows the similarity of the pictures, from 0 to 1.
        softening_temperature (`float`): temperature of that similarity, in units of the cosine.

    Returns:
        `torch.Tensor`: the mean over rows and both directions, in nats; computed in float32 at least.

    Raises:
        ValueError: for shapes that do not fit, settings out of range, or softening without frozen embeddings.

    Example:
        >>> softening = {"softening": 0.3, "softening_temperature": 0.1}
        >>> loss = softened_contrastive_loss(brain, image, logit_scale.exp(), ids, frozen, **softening)
    """
    _check_pair(brain_embeds, image_embeds)
    logits = contrastive_logits(brain_embeds, image_embeds, scale)
    return softened_cross_entropy(logits, image_id, frozen_image_embeds, softening, softening_temperature)


def softened_cross_entropy(
    logits: torch.Tensor,
    image_id: torch.Tensor | None,
    frozen_image_embeds: torch.Tensor | None,
    softening: float,
    softening_temperature: float,
) -> torch.Tensor:
    """[`softened_contrastive_loss`] of logits that are there already.

    Args:
        logits (`torch.Tensor`): (batch, batch), see [`contrastive_logits`].
        image_id (`torch.Tensor`, *optional*): as there.
        frozen_image_embeds (`torch.Tensor`, *optional*): as there.
        softening (`float`): as there.
        softening_temperature (`float`): as there.

    Raises:
        ValueError: for settings out of range, or softening without frozen embeddings.
    """
    with torch.autocast(logits.device.type, enabled=False):
        if image_id is None:
            image_id = torch.arange(len(logits), device=logits.device)
        targets = softened_targets(image_id, frozen_image_embeds, softening, softening_temperature, logits.dtype)
        # The targets are symmetric in what they compare, so each row serves both directions.
        return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2


def contrastive_logits(
    brain_embeds: torch.Tensor, image_embeds: torch.Tensor, scale: torch.Tensor | float
) -> torch.Tensor:
    """Cosines of every recording with every picture, times `scale`: (recordings, pictures), float32 at least."""
    with torch.autocast(brain_embeds.device.type, enabled=False):
        brain, image = _at_least_float32(brain_embeds), _at_least_float32(image_embeds)
        # Lengths are divided by after the product: there is less to do, and to go back through, than for every number.
        return (brain @ image.T) * ((scale / _lengths(brain))[:, None] / _lengths(image))


@torch.no_grad()
def softened_targets(
    image_id: torch.Tensor,
    frozen_image_embeds: torch.Tensor | None,
    softening: float,
    softening_temperature: float,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Target probabilities (batch, batch); every row sums to one.

    A share `1 - softening` is spread evenly over the rows with the same `image_id`; the rest follows the softmax of
    the pictures' cosines in the frozen tower. Similarities of trainable embeddings could collapse together with them,
    so the frozen ones are taken; this is our choice.

    Raises:
        ValueError: for settings out of range, or softening without frozen embeddings.
    """
    if not 0 <= softening <= 1:
        raise ValueError(f"softening is {softening}: it must be from 0 to 1.")
    if not softening_temperature > 0:
        raise ValueError(f"softening_temperature is {softening_temperature}: it must be above zero.")
    same = (image_id[:, None] == image_id[None, :]).to(dtype)
    same = same / same.sum(dim=1, keepdim=True)
    if softening == 0:
        return same
    if frozen_image_embeds is None or len(frozen_image_embeds) != len(image_id):
        given = "missing" if frozen_image_embeds is None else f"of shape {tuple(frozen_image_embeds.shape)}"
        raise ValueError(
            f"frozen_image_embeds is {given}: softening {softening} needs one row for each of the {len(image_id)} "
            "recordings."
        )
    frozen = functional.normalize(frozen_image_embeds.to(dtype), dim=-1)
    similar = functional.softmax(frozen @ frozen.T / softening_temperature, dim=1)
    return (1 - softening) * same + softening * similar


def _lengths(embeds: torch.Tensor) -> torch.Tensor:
    """(rows, width) to (rows,), as `functional.normalize` has them."""
    return torch.linalg.vector_norm(embeds, dim=-1).clamp_min(1e-12)


def _at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _check_pair(brain_embeds: torch.Tensor, image_embeds: torch.Tensor) -> None:
    if brain_embeds.ndim != 2 or brain_embeds.shape != image_embeds.shape:
        raise ValueError(
            f"brain_embeds {tuple(brain_embeds.shape)} and image_embeds {tuple(image_embeds.shape)} must both be "
            "(batch, projection_dim)."
        )
