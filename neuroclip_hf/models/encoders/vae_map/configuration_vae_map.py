"""Settings of the variational mapping network."""

from collections.abc import Mapping

from neuroclip_hf.models.configuration import require_count, require_number
from neuroclip_hf.models.encoders.pattern import PatternEncoderConfig


class VAEMapConfig(PatternEncoderConfig):
    """Settings of [`VAEMapEncoder`]; all are ours.

    Args:
        width (`int`): of the hidden layer.
        latent_size (`int`): numbers of the latent code.
        input_dropout (`float`): share of the voxels that is left out of each pattern while it trains.
        dropout (`float`): at the end of the hidden layer.
        kl_weight (`float`): of the divergence of the code from its prior, in the loss.
    """

    model_type = "vae_map"

    width: int = 1024
    latent_size: int = 256
    input_dropout: float = 0.0
    dropout: float = 0.5
    kl_weight: float = 1e-3

    @property
    def penalty_weights(self) -> Mapping[str, float]:
        """See [`BrainEncoderConfig`]."""
        return {"kl": self.kl_weight}

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "width", "latent_size")
        require_number(self, "input_dropout", 0, 0.99)
        require_number(self, "dropout", 0, 0.99)
        require_number(self, "kl_weight", 0, 1e9)
