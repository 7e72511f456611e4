"""Settings of the ATM-S encoder."""

from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count, require_number
from neuroclip_hf.models.encoders.base import TrialFacts
from neuroclip_hf.models.encoders.convolution import ConvolutionEncoderConfig


class ATMSConfig(ConvolutionEncoderConfig):
    """Settings of [`ATMSEncoder`]; the defaults are the source's where nothing else is said.

    Args:
        num_channels (`int`): 63, all channels of THINGS-EEG2; each becomes a token.
        num_timesteps (`int`): 250, one second at 250 Hz.
        hidden_size (`int`): width of the features.
        num_subjects (`int`): how many subjects have a token of their own; 0 for none, and all are unknown.
        subject_dropout (`float`): share of training rows that are shown as an unknown subject's (ours).
        token_size (`int`, *optional*): width of a token; `None` for `num_timesteps`, as in the source, where both are
            250. The convolutions run along it as if it were time.
        num_layers (`int`): layers of attention among the channels.
        num_heads (`int`): their heads.
        feedforward_size (`int`): their width between two tokens.
        token_dropout (`float`): in these layers and of the embedded tokens.
        num_filters (`int`): feature maps of the convolutions.
        kernel_size (`int`): places of a token that the first convolution sees.
        pool_size (`int`): places that are averaged after it.
        pool_stride (`int`): places from one average to the next.
        dropout (`float`): after the convolution over channels.
        projector_dropout (`float`): in the residual block at the end.
    """

    model_type = "atm_s"

    hidden_size: int = 1024
    num_subjects: int = 10
    subject_dropout: float = 0.1
    token_size: int | None = None
    num_layers: int = 1
    num_heads: int = 4
    feedforward_size: int = 256
    token_dropout: float = 0.25
    pool_size: int = 51
    pool_stride: int = 5

    @classmethod
    def sizes(cls, trials: TrialFacts) -> dict[str, Any]:
        """See [`BrainEncoderConfig`]; the number of subjects is one of them."""
        return {**super().sizes(trials), "num_subjects": trials.num_subjects}

    @property
    def convolved_setting(self) -> str:
        """The setting that says how wide a token is."""
        return "num_timesteps" if self.token_size is None else "token_size"

    @property
    def convolved_size(self) -> int:
        """Width of a token."""
        return self.num_timesteps if self.token_size is None else self.token_size

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        if self.token_size is not None:
            require_count(self, "token_size")
        super().check()
        require_count(self, "num_layers", "num_heads", "feedforward_size")
        require_number(self, "subject_dropout", 0, 0.99)
        require_number(self, "token_dropout", 0, 0.99)
        if isinstance(self.num_subjects, bool) or not isinstance(self.num_subjects, int) or self.num_subjects < 0:
            raise InputError(f"num_subjects is {self.num_subjects!r}: it must be a whole number of at least 0.")
        if self.num_heads > self.convolved_size:
            raise InputError(
                f"num_heads is {self.num_heads}, but a token has {self.convolved_size} numbers: use fewer heads."
            )
