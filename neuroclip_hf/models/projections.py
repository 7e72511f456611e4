"""The small trained parts between features and the shared space: projections, the mixture of layers, the scale."""

import math

import torch
from torch import nn

from neuroclip_hf.errors import InputError

PROJECTIONS = ("linear", "mlp", "none")
# Bounds between which the factor of the cosines may move while it is trained.
LOGIT_SCALE_RANGE = (math.log(2), math.log(100))


def build_projection(kind: str, in_features: int, out_features: int, side: str) -> nn.Module:
    """A map of features into the shared space.

    Args:
        kind (`str`): "linear"; "mlp", two linear maps with a GELU between them; or "none", the features themselves.
        in_features (`int`): width of the features.
        out_features (`int`): width of the space.
        side (`str`): "brain" or "image", for messages.

    Raises:
        InputError: for "none" between different widths.
    """
    if kind == "linear":
        return nn.Linear(in_features, out_features)
    if kind == "mlp":
        return nn.Sequential(nn.Linear(in_features, out_features), nn.GELU(), nn.Linear(out_features, out_features))
    if in_features != out_features:
        raise InputError(
            f"{side}_projection is 'none', but the features are {in_features} wide and projection_dim is "
            f"{out_features}: make them equal, or take a linear projection."
        )
    return nn.Identity()


class ImageProjection(nn.Module):
    """Features of one or several layers of the tower to embeddings.

    Hidden states are layer-normalised and projected, each layer by its own weights, and mixed with softmax weights
    that are learned, even at the start, where there are two or more. The pooled output, which the tower has normalised
    itself, is only projected.

    Args:
        num_layers (`int`): how many layers are read.
        width (`int`): of the tower.
        projection_dim (`int`): of the embeddings.
        kind (`str`): see [`build_projection`].
        normalise (`bool`): whether these are hidden states.
    """

    def __init__(self, num_layers: int, width: int, projection_dim: int, kind: str, normalise: bool) -> None:
        super().__init__()
        count = range(num_layers)
        self.norms = nn.ModuleList([nn.LayerNorm(width) if normalise else nn.Identity() for _ in count])
        self.projections = nn.ModuleList([build_projection(kind, width, projection_dim, "image") for _ in count])
        self.mixture = nn.Parameter(torch.zeros(num_layers)) if num_layers > 1 else None

    def forward(self, image_features: torch.Tensor) -> torch.Tensor:
        """(pictures, num_layers, width) to (pictures, projection_dim), not normalised."""
        image_features = image_features.to(next(self.parameters(), image_features).dtype)
        layers = zip(self.norms, self.projections, image_features.unbind(dim=1), strict=True)
        embeds = [project(norm(features)) for norm, project, features in layers]
        if self.mixture is None:
            return embeds[0]
        return torch.einsum("l,lpd->pd", self.mixture.softmax(dim=0), torch.stack(embeds).to(self.mixture.dtype))

    @torch.no_grad()
    def centre(self, image_embeds: torch.Tensor) -> None:
        """Shift and scale the last maps so that these embeddings would have mean zero and unit size.

        Every layer takes the same share, as the weights of the mixture sum to one. Without a projection there is
        nothing to be shifted.

        Args:
            image_embeds (`torch.Tensor`): (pictures, projection_dim).
        """
        lasts = [project[-1] if isinstance(project, nn.Sequential) else project for project in self.projections]
        linears = [last for last in lasts if isinstance(last, nn.Linear)]
        if not linears:
            return
        image_embeds = image_embeds.to(linears[0].weight)
        mean = image_embeds.mean(dim=0)
        size = (image_embeds - mean).square().mean().sqrt().clamp_min(torch.finfo(mean.dtype).tiny)
        for linear in linears:
            linear.weight.div_(size)
            linear.bias.sub_(mean).div_(size)


class LogitScale(nn.Module):
    """The trained factor of the cosines, kept as a logarithm between ln 2 and ln 100.

    A module of its own: a parameter called `logit_scale` in the model itself would be filled from a CLIP checkpoint.
    """

    def __init__(self, init_value: float) -> None:
        super().__init__()
        # While a checkpoint is loaded in half precision torch's default is that, and too coarse for a logarithm.
        dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self.logit_scale = nn.Parameter(torch.tensor(init_value, dtype=dtype))

    def forward(self) -> torch.Tensor:
        """The factor itself, a scalar."""
        if self.training:
            # In place, because beyond a bound clamp has no gradient that would lead back.
            with torch.no_grad():
                self.logit_scale.clamp_(*LOGIT_SCALE_RANGE)
        # Of a copy, because a later forward pass changes the parameter before this one's backward pass needs it.
        return self.logit_scale.clone().clamp(*LOGIT_SCALE_RANGE).exp()
