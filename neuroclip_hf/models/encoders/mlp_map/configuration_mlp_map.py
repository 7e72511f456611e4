"""Settings of the mapping network with hidden layers."""

from neuroclip_hf.models.configuration import require_count, require_number
from neuroclip_hf.models.encoders.pattern import PatternEncoderConfig


class MLPMapConfig(PatternEncoderConfig):
    """Settings of [`MLPMapEncoder`]; all are ours.

    Args:
        width (`int`): of the hidden layers.
        num_blocks (`int`): residual blocks.
        input_dropout (`float`): share of the voxels that is left out of each pattern while it trains.
        dropout (`float`): at the end of the first layer and of each residual branch.
    """

    model_type = "mlp_map"

    width: int = 1024
    num_blocks: int = 1
    input_dropout: float = 0.0
    dropout: float = 0.5

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "width", "num_blocks")
        require_number(self, "input_dropout", 0, 0.99)
        require_number(self, "dropout", 0, 0.99)
