"""What encoders share that filter in time, average in time, and combine all channels."""

from torch import nn

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count, require_number
from neuroclip_hf.models.encoders.base import EEGEncoderConfig


class ConvolutionEncoderConfig(EEGEncoderConfig):
    """Settings of encoders that convolve without padding and then average; sizes are in samples, whatever the rate.

    Args:
        num_filters (`int`): feature maps of the convolutions over time and over channels.
        kernel_size (`int`): samples that the convolution over time sees.
        pool_size (`int`): samples that are averaged after it.
        pool_stride (`int`): samples from one average to the next.
        dropout (`float`): of the feature maps.
        projector_dropout (`float`): in the residual block at the end.
    """

    num_filters: int = 40
    kernel_size: int = 25
    pool_size: int = 75
    pool_stride: int = 15
    dropout: float = 0.5
    projector_dropout: float = 0.5

    min_positions = 1  # the fewest averages that make sense

    @property
    def convolved_setting(self) -> str:
        """The setting that says along how many samples the convolution over time runs."""
        return "num_timesteps"

    @property
    def convolved_size(self) -> int:
        """Samples that the convolution over time runs along."""
        return self.num_timesteps

    @property
    def num_positions(self) -> int:
        """Places in time that are left after the convolution and the averages."""
        return (self.convolved_size - self.kernel_size + 1 - self.pool_size) // self.pool_stride + 1

    @property
    def flat_size(self) -> int:
        """Width of the flattened feature maps."""
        return self.num_filters * self.num_positions

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible, or trials are too short for the kernels."""
        super().check()
        require_count(self, "num_filters", "kernel_size", "pool_size", "pool_stride")
        require_number(self, "dropout", 0, 0.99)
        require_number(self, "projector_dropout", 0, 0.99)
        shortest = self.kernel_size + self.pool_size - 1 + (self.min_positions - 1) * self.pool_stride
        if self.convolved_size < shortest:
            raise InputError(
                f"{self.convolved_setting} is {self.convolved_size}: {self.model_type} with kernel_size "
                f"{self.kernel_size}, pool_size {self.pool_size} and pool_stride {self.pool_stride} needs at least "
                f"{shortest} samples. Take a longer window, a higher rate or smaller kernels."
            )


def nice_convolutions(config: ConvolutionEncoderConfig) -> nn.Sequential:
    """The layers of NICE's TSConv: (batch, 1, channels, samples) to (batch, num_filters, 1, num_positions).

    The two convolutions in front of batch norm have no bias, which the norm would take out again.
    """
    filters = config.num_filters
    return nn.Sequential(
        nn.Conv2d(1, filters, (1, config.kernel_size), bias=False),
        nn.AvgPool2d((1, config.pool_size), (1, config.pool_stride)),
        nn.BatchNorm2d(filters),
        nn.ELU(),
        nn.Conv2d(filters, filters, (config.num_channels, 1), bias=False),
        nn.BatchNorm2d(filters),
        nn.ELU(),
        nn.Dropout(config.dropout),
        nn.Conv2d(filters, filters, 1),
    )


def shallow_convolutions(config: ConvolutionEncoderConfig) -> nn.Sequential:
    """The first layers of ShallowConvNet: (batch, 1, channels, samples) to (batch, num_filters, 1, samples left).

    Over time, then over all channels, then batch norm. Neither convolution has a bias: what lies between them is
    linear, and the norm would take both out again.
    """
    filters = config.num_filters
    return nn.Sequential(
        nn.Conv2d(1, filters, (1, config.kernel_size), bias=False),
        nn.Conv2d(filters, filters, (config.num_channels, 1), bias=False),
        nn.BatchNorm2d(filters),
    )
