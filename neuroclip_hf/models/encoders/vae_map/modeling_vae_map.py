"""A variational mapping network: a noisy latent code between patterns and features."""

import torch
from torch import nn

from neuroclip_hf.models.encoders.base import BrainEncoderOutput
from neuroclip_hf.models.encoders.layers import hidden_layer
from neuroclip_hf.models.encoders.pattern import PatternEncoder
from neuroclip_hf.models.encoders.vae_map.configuration_vae_map import VAEMapConfig

_LOG_VARIANCES = (-10.0, 10.0)  # beyond, exp of them is of no use in float32


class VAEMapEncoder(PatternEncoder):
    """Patterns to mean and variance of a latent code, a sample of it to the width of the features.

    While it trains the code is drawn from a Gaussian of that mean and variance (Kingma and Welling, "Auto-Encoding
    Variational Bayes", ICLR 2014, section 2.4); at test it is the mean. The penalty "kl" is the divergence of that
    Gaussian from the standard one, in nats, summed over the code (appendix B there).

    Source: the first version of BrainCLIP (Liu et al., arXiv 2302.12971) calls its mapping network VAE-based. Its
    layers were never released; these are ours: a hidden layer, mean and log-variance, the code, a linear map.

    Shapes: (batch, num_voxels) to (batch, hidden_size).

    Units: standard deviations of the training patterns in; not normalised out.

    Differences from the source: cannot be told, since its layers and hyper-parameters are not public.
    """

    config: VAEMapConfig

    def build(self, config: VAEMapConfig) -> None:
        """See [`BrainEncoder`]."""
        self.input = nn.Sequential(
            nn.Dropout(config.input_dropout), hidden_layer(config.num_voxels, config.width, config.dropout)
        )
        self.mean = nn.Linear(config.width, config.latent_size)
        self.log_variance = nn.Linear(config.width, config.latent_size)
        self.output = nn.Linear(config.latent_size, config.hidden_size)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> BrainEncoderOutput:
        """See [`BrainEncoder`]; subjects are treated alike."""
        mean, log_variance = self.posterior(values)
        code = mean
        if self.training:
            code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return BrainEncoderOutput(self.output(code), {"kl": _divergence(mean, log_variance).sum(dim=1)})

    def posterior(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of the code, (batch, latent_size) each, of patterns (batch, num_voxels)."""
        hidden = self.input(values)
        return self.mean(hidden), self.log_variance(hidden).clamp(*_LOG_VARIANCES)


def _divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Of each number of the code from a standard Gaussian, (batch, latent_size), in nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2
