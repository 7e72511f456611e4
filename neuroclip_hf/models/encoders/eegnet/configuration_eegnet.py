"""Settings of the EEGNet encoder."""

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count, require_number
from neuroclip_hf.models.encoders.base import EEGEncoderConfig

# What the source was made for: its kernel of 64 samples and its first average over 4 belong to this rate.
SOURCE_SAMPLING_RATE = 128.0


class EEGNetConfig(EEGEncoderConfig):
    """Settings of [`EEGNetEncoder`]; the defaults are those of EEGNet-8,2.

    The source says that its sizes are for 128 Hz and that lengths in samples should follow another rate. So the kernel
    over time is half a second, and the first average brings the rate to about 32 Hz, whatever it was; what comes after
    that is in samples at about 32 Hz and stays.

    Args:
        num_channels (`int`): channels of a trial.
        num_timesteps (`int`): samples of a trial.
        sampling_rate (`float`, *optional*): in Hz; without it, kernels are those for 128 Hz.
        hidden_size (`int`): width of the features.
        num_filters (`int`): filters over time (F1 in the source).
        depth_multiplier (`int`): spatial filters for each of them (D); their product is the number of feature maps
            (F2).
        kernel_size (`int`, *optional*): samples of the filters over time; `None` for half a second.
        pool_size (`int`, *optional*): samples of the first average; `None` for as many as leave about 32 Hz.
        separable_kernel_size (`int`): samples of the second filters over time, after the first average.
        second_pool_size (`int`): samples of the second average.
        max_norm (`float`): most that the weights of one spatial filter may measure together.
        dropout (`float`): after each of the two averages.
        projector_dropout (`float`): in the residual block at the end; NICE's.
    """

    model_type = "eegnet"

    num_filters: int = 8
    depth_multiplier: int = 2
    kernel_size: int | None = None
    pool_size: int | None = None
    separable_kernel_size: int = 16
    second_pool_size: int = 8
    max_norm: float = 1.0
    dropout: float = 0.25
    projector_dropout: float = 0.5

    @property
    def temporal_kernel_size(self) -> int:
        """Samples of the filters over time: what is set, or half a second."""
        if self.kernel_size is not None:
            return self.kernel_size
        return max(1, round((self.sampling_rate or SOURCE_SAMPLING_RATE) / 2))

    @property
    def first_pool_size(self) -> int:
        """Samples of the first average: what is set, or as many as leave about 32 Hz."""
        if self.pool_size is not None:
            return self.pool_size
        return max(1, round((self.sampling_rate or SOURCE_SAMPLING_RATE) / 32))

    @property
    def num_maps(self) -> int:
        """Feature maps after the spatial filters."""
        return self.num_filters * self.depth_multiplier

    @property
    def num_positions(self) -> int:
        """Places in time that are left after both averages."""
        return self.num_timesteps // self.first_pool_size // self.second_pool_size

    @property
    def flat_size(self) -> int:
        """Width of the flattened feature maps."""
        return self.num_maps * self.num_positions

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible, or trials are too short for the averages."""
        super().check()
        require_count(self, "num_filters", "depth_multiplier", "separable_kernel_size", "second_pool_size")
        for name in ("kernel_size", "pool_size"):
            if getattr(self, name) is not None:
                require_count(self, name)
        require_number(self, "max_norm", 0, 1e6, open_low=True)
        require_number(self, "dropout", 0, 0.99)
        require_number(self, "projector_dropout", 0, 0.99)
        shortest = self.first_pool_size * self.second_pool_size
        if self.num_timesteps < shortest:
            raise InputError(
                f"num_timesteps is {self.num_timesteps}: {self.model_type} averages over {self.first_pool_size} and "
                f"then over {self.second_pool_size} samples and needs at least {shortest}. Take a longer window, or a "
                "smaller pool_size or second_pool_size."
            )
