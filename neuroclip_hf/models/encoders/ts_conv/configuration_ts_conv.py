"""Settings of the TSConv encoder."""

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count, require_number
from neuroclip_hf.models.encoders.base import EEGEncoderConfig


class TSConvConfig(EEGEncoderConfig):
    """Settings of [`TSConvEncoder`]; the defaults are those of NICE.

    Args:
        num_channels (`int`): 63, all channels of THINGS-EEG2.
        num_timesteps (`int`): 250, one second at 250 Hz.
        hidden_size (`int`): width of the features.
        num_filters (`int`): feature maps of both convolutions.
        kernel_size (`int`): samples that the temporal convolution sees.
        pool_size (`int`): samples that are averaged after it.
        pool_stride (`int`): samples from one average to the next.
        dropout (`float`): after the spatial convolution.
        projector_dropout (`float`): in the residual block at the end.
    """

    model_type = "ts_conv"

    num_filters: int = 40
    kernel_size: int = 25
    pool_size: int = 51
    pool_stride: int = 5
    dropout: float = 0.5
    projector_dropout: float = 0.5

    @property
    def num_positions(self) -> int:
        """Places in time that are left after the temporal convolution and the averages."""
        return (self.num_timesteps - self.kernel_size + 1 - self.pool_size) // self.pool_stride + 1

    @property
    def flat_size(self) -> int:
        """Width of the flattened feature maps: 1440 for 250 samples and the default filters."""
        return self.num_filters * self.num_positions

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible, or trials are too short for the kernels."""
        super().check()
        require_count(self, "num_filters", "kernel_size", "pool_size", "pool_stride")
        require_number(self, "dropout", 0, 0.99)
        require_number(self, "projector_dropout", 0, 0.99)
        shortest = self.kernel_size + self.pool_size - 1
        if self.num_timesteps < shortest:
            raise InputError(
                f"num_timesteps is {self.num_timesteps}: TSConv with kernel_size {self.kernel_size} and pool_size "
                f"{self.pool_size} needs at least {shortest} samples. Take a longer window, a higher rate or smaller "
                "kernels."
            )
