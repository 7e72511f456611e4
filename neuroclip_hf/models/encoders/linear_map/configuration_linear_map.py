"""Settings of the linear mapping network."""

from neuroclip_hf.models.configuration import require_number
from neuroclip_hf.models.encoders.pattern import PatternEncoderConfig


class LinearMapConfig(PatternEncoderConfig):
    """Settings of [`LinearMapEncoder`].

    Args:
        dropout (`float`): share of the voxels that is left out of each pattern while it trains. Ours.
        start_scale (`float`): factor of torch's own start weights. Ours: where there are more voxels than patterns,
            training never moves what no pattern reaches, and start weights would stay there as noise.
    """

    model_type = "linear_map"

    dropout: float = 0.0
    start_scale: float = 0.01

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_number(self, "dropout", 0, 0.99)
        require_number(self, "start_scale", 0, 100, open_low=True)
