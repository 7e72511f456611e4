"""Settings of the EEGProject encoder."""

from neuroclip_hf.models.configuration import require_number
from neuroclip_hf.models.encoders.base import EEGEncoderConfig


class EEGProjectConfig(EEGEncoderConfig):
    """Settings of [`EEGProjectEncoder`]; the defaults are UBP's.

    Args:
        num_channels (`int`): 17, the occipital and parietal channels of THINGS-EEG2.
        num_timesteps (`int`): 250, one second at 250 Hz.
        hidden_size (`int`): width of the features.
        dropout (`float`): in the residual block.
    """

    model_type = "eeg_project"

    num_channels: int = 17
    hidden_size: int = 1024
    dropout: float = 0.3

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_number(self, "dropout", 0, 0.99)
