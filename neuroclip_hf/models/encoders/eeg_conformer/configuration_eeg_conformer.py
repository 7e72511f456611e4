"""Settings of the EEG Conformer encoder."""

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count, require_number
from neuroclip_hf.models.encoders.convolution import ConvolutionEncoderConfig


class EEGConformerConfig(ConvolutionEncoderConfig):
    """Settings of [`EEGConformerEncoder`]; the defaults are the source's, for four seconds at 250 Hz.

    Args:
        num_channels (`int`): channels of a trial.
        num_timesteps (`int`): samples of a trial; enough for two tokens, because one has nothing to attend to.
        hidden_size (`int`): width of the features.
        num_filters (`int`): feature maps of the convolutions, which is the width of a token.
        kernel_size (`int`): samples that the convolution over time sees.
        pool_size (`int`): samples that are averaged to a token.
        pool_stride (`int`): samples from one token to the next.
        num_layers (`int`): layers of attention among the tokens.
        num_heads (`int`): their heads; a divisor of `num_filters`.
        expansion (`int`): how many times wider than a token their networks are.
        dropout (`float`): after the averages.
        token_dropout (`float`): in the layers of attention.
        projector_dropout (`float`): in the residual block at the end; NICE's.
    """

    model_type = "eeg_conformer"

    num_layers: int = 6
    num_heads: int = 10
    expansion: int = 4
    token_dropout: float = 0.5

    min_positions = 2

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "num_layers", "num_heads", "expansion")
        require_number(self, "token_dropout", 0, 0.99)
        if self.num_filters % self.num_heads:
            raise InputError(
                f"num_heads is {self.num_heads}: it must divide num_filters, which is {self.num_filters}."
            )
