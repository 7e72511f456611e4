"""The contract of brain encoders: what goes in, what comes out, what a config says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.utils import ModelOutput

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import StrictConfig, require_count, require_number
from neuroclip_hf.models.initialisation import initialise_as_torch


class BrainEncoderConfig(StrictConfig):
    """Settings that every encoder has, whatever it reads.

    Args:
        hidden_size (`int`): width of the features that come out.
    """

    hidden_size: int = 768

    @classmethod
    def sizes(
        cls, trial_shape: Sequence[int], sampling_rate: float | None, channel_names: Sequence[str]
    ) -> dict[str, Any]:
        """The settings that follow from what trials look like.

        Args:
            trial_shape (sequence of `int`): of one trial, without the batch.
            sampling_rate (`float` or None): in Hz.
            channel_names (sequence of `str`): of the channels (or voxels).

        Raises:
            InputError: if the encoder does not read trials of that shape.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        require_count(self, "hidden_size")


class EEGEncoderConfig(BrainEncoderConfig):
    """Settings that every encoder of EEG or MEG has; their sizes follow from these.

    Args:
        num_channels (`int`): channels of a trial.
        num_timesteps (`int`): samples of a trial.
        sampling_rate (`float`, *optional*): in Hz, for encoders whose sizes are in seconds.
        channel_names (`list[str]`, *optional*): names of the channels, in order.
    """

    num_channels: int = 63
    num_timesteps: int = 250
    sampling_rate: float | None = None
    channel_names: list[str] | None = None

    @classmethod
    def sizes(
        cls, trial_shape: Sequence[int], sampling_rate: float | None, channel_names: Sequence[str]
    ) -> dict[str, Any]:
        """See [`BrainEncoderConfig`]; trials are (channels, samples)."""
        if len(trial_shape) != 2:
            raise InputError(
                f"The encoder {cls.model_type} reads trials of (channels, samples), and these are patterns of "
                f"{trial_shape[0]} voxels. No encoder of patterns is built yet."
            )
        return {
            "num_channels": trial_shape[0],
            "num_timesteps": trial_shape[1],
            "sampling_rate": sampling_rate,
            "channel_names": list(channel_names),
        }

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "num_channels", "num_timesteps")
        if self.sampling_rate is not None:
            require_number(self, "sampling_rate", 0, 1e9, open_low=True)
        names = self.channel_names
        if names is None:
            return
        if len(names) != self.num_channels:
            raise InputError(f"channel_names has {len(names)} names, but num_channels is {self.num_channels}.")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(
                f"channel_names has {', '.join(repeated)} more than once: every channel needs its own name."
            )


@dataclass
class BrainEncoderOutput(ModelOutput):
    """What an encoder returns.

    Args:
        features (`torch.Tensor`): (batch, hidden_size), not normalised.
    """

    features: torch.Tensor | None = None


class BrainEncoder(PreTrainedModel):
    """Base of all encoders: one brain recording to one feature vector.

    `main_input_name` says which batch key an encoder reads. Start weights are torch's defaults; the same seed gives
    the same weights whether a model is built from its config or loaded from a checkpoint that lacks them.
    """

    config: BrainEncoderConfig
    base_model_prefix = "encoder"
    # A choice of attention made for the whole model reaches the encoder, which must not refuse it.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: BrainEncoderConfig) -> None:
        config.check()
        super().__init__(config)
        with no_init_weights():  # post_init draws them, so that they are drawn once
            self.build(config)
        self.post_init()

    def build(self, config: Any) -> None:
        """Make the layers as attributes; every encoder's own work. Start weights are drawn afterwards."""
        raise NotImplementedError

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if not initialise_as_torch(module):
            super()._init_weights(module)


class EEGEncoder(BrainEncoder):
    """Base of encoders that read `eeg_values` (batch, num_channels, num_timesteps).

    Values are standardised: the checkpoint's processor subtracts each channel's training mean and divides by the
    standard deviation of all.
    """

    config: EEGEncoderConfig
    main_input_name = "eeg_values"

    def forward(self, eeg_values: torch.Tensor, subject_index: torch.Tensor | None = None) -> BrainEncoderOutput:
        """Encode trials.

        Args:
            eeg_values (`torch.Tensor`): (batch, num_channels, num_timesteps), any floating type.
            subject_index (`torch.Tensor`, *optional*): (batch,) place of the subject in the checkpoint's list;
                encoders that treat all subjects alike ignore it.

        Raises:
            InputError: if the shape is not the one of the config.
        """
        expected = (self.config.num_channels, self.config.num_timesteps)
        if eeg_values.ndim != 3 or tuple(eeg_values.shape[1:]) != expected:
            raise InputError(
                f"eeg_values is {tuple(eeg_values.shape)}: this encoder reads (batch, {expected[0]} channels, "
                f"{expected[1]} samples)."
            )
        features = self.encode(eeg_values.to(self.dtype), subject_index)
        return BrainEncoderOutput(features=features)

    def encode(self, eeg_values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """(batch, num_channels, num_timesteps) in the model's dtype to (batch, hidden_size); an encoder's own work."""
        raise NotImplementedError
