"""Settings of the linear mapping network."""

from neuroclip_hf.models.configuration import require_number
from neuroclip_hf.models.encoders.pattern import PatternEncoderConfig


class LinearMapConfig(PatternEncoderConfig):
    """Settings of [`LinearMapEncoder`].

    Args:
        dropout (`float`): share of the voxels that is left out of each pattern while it trains. Ours.
    """

    model_type = "linear_map"

    dropout: float = 0.0

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_number(self, "dropout", 0, 0.99)
