"""The contract of brain encoders: what goes in, what comes out, what a config says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.utils import ModelOutput

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.batch_norm import batch_norm_over_processes, several_processes
from neuroclip_hf.models.batches import require_floating, require_whole_numbers
from neuroclip_hf.models.configuration import StrictConfig, require_count, require_number
from neuroclip_hf.models.initialisation import initialise_as_torch


@dataclass(frozen=True)
class TrialFacts:
    """What trials look like, as far as encoders follow from it.

    Args:
        trial_shape (sequence of `int`): of one trial, without the batch: (channels, samples), or (voxels,).
        sampling_rate (`float` or None): in Hz.
        channel_names (sequence of `str`): of the channels (or voxels).
        num_subjects (`int`): how many subjects are trained on, for encoders that tell them apart.
        rois (`Mapping` from `str` to sequence of `int`): regions of interest, each with the places of its voxels; they
            may overlap.
    """

    trial_shape: Sequence[int]
    sampling_rate: float | None
    channel_names: Sequence[str]
    num_subjects: int
    rois: Mapping[str, Sequence[int]] = field(default_factory=dict)


class BrainEncoderConfig(StrictConfig):
    """Settings that every encoder has, whatever it reads.

    Args:
        hidden_size (`int`): width of the features that come out.
    """

    hidden_size: int = 768

    @classmethod
    def sizes(cls, trials: TrialFacts) -> dict[str, Any]:
        """The settings that follow from what trials look like.

        Raises:
            InputError: if the encoder does not read trials of that shape.
        """
        raise NotImplementedError

    @property
    def trial_shape(self) -> tuple[int, ...]:
        """Of one trial that the encoder reads, without the batch."""
        raise NotImplementedError

    @property
    def batch_layout(self) -> str:
        """The shape of a batch in words, for messages: "(batch, 63 channels, 250 samples)"."""
        raise NotImplementedError

    @property
    def penalty_weights(self) -> Mapping[str, float]:
        """What the encoder adds to the loss: name of a penalty -> its weight; none, unless an encoder has some.

        A contract test holds every encoder to these names, in both directions.
        """
        return MappingProxyType({})

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
    def sizes(cls, trials: TrialFacts) -> dict[str, Any]:
        """See [`BrainEncoderConfig`]; trials are (channels, samples)."""
        if len(trials.trial_shape) != 2:
            raise InputError(
                f"The encoder {cls.model_type} reads trials of (channels, samples), and these are patterns of "
                f"{trials.trial_shape[0]} voxels: choose an encoder of patterns."
            )
        channels, samples = trials.trial_shape
        return {
            "num_channels": channels,
            "num_timesteps": samples,
            "sampling_rate": trials.sampling_rate,
            "channel_names": list(trials.channel_names),
        }

    @property
    def trial_shape(self) -> tuple[int, ...]:
        """(num_channels, num_timesteps)."""
        return (self.num_channels, self.num_timesteps)

    @property
    def batch_layout(self) -> str:
        """See [`BrainEncoderConfig`]."""
        return f"(batch, {self.num_channels} channels, {self.num_timesteps} samples)"

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "num_channels", "num_timesteps")
        if self.sampling_rate is not None:
            require_number(self, "sampling_rate", 0, 1e9, open_low=True)
        names = self.channel_names
        if names is None:
            return
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise InputError(f"channel_names is {names!r}: it must be a list of names.")
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
        penalties (`dict[str, torch.Tensor]`, *optional*): name -> (batch,), of each recording, such as the KL
            divergence of a variational encoder. A model adds their means over the batch to its loss, with the weights
            that the config names (`penalty_weights`).
    """

    features: torch.Tensor | None = None
    penalties: dict[str, torch.Tensor] | None = None


class BrainEncoder(PreTrainedModel):
    """Base of all encoders: one brain recording to one feature vector.

    An encoder for a new kind of recording needs a `forward` whose first argument has the name of its batch key
    (`main_input_name`) and hands it to `encode_checked`; everything else is here. Start weights are torch's defaults;
    the same seed gives the same weights whether a model is built from its config or loaded from a checkpoint that
    lacks them. In evaluation a row depends on no other row.
    """

    config: BrainEncoderConfig
    base_model_prefix = "encoder"
    closed_form = False
    """Whether the encoder's weights are solved for, by a method `fit`, in place of training by gradients."""
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

    @property
    def dead_weights(self) -> tuple[str, ...]:
        """Names of parameters that get no gradient, whatever the loss: none, unless a wrapped model has some.

        A contract test holds every encoder to this list, in both directions.
        """
        return ()

    def freeze_dead_weights(self) -> None:
        """Let dead weights not learn: training on several processes would wait for their gradients in vain."""
        for name in self.dead_weights:
            self.get_parameter(name).requires_grad_(False)

    def initialize_weights(self) -> None:
        """Draw the start weights of whatever was not loaded from a checkpoint, and freeze what is dead."""
        super().initialize_weights()
        self.freeze_dead_weights()

    def encode_checked(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> BrainEncoderOutput:
        """Look at what came in, then encode it in the model's dtype.

        Args:
            values (`torch.Tensor`): (batch, *trial_shape), any floating type; named `main_input_name` in messages.
            subject_index (`torch.Tensor`, *optional*): (batch,) whole numbers.

        Raises:
            InputError: if a shape or type is not the one of the config.
        """
        name = self.main_input_name
        require_floating(name, values, "in standard deviations")
        if tuple(values.shape[1:]) != self.config.trial_shape:
            raise InputError(f"{name} is {tuple(values.shape)}: this encoder reads {self.config.batch_layout}.")
        if subject_index is not None:
            require_whole_numbers("subject_index", subject_index, len(values))
        values = values.to(self.dtype)
        if not (self.training and several_processes()):
            return _as_output(self.encode(values, subject_index))
        with batch_norm_over_processes(self):  # here, so that it holds in whatever loop trains the encoder
            return _as_output(self.encode(values, subject_index))

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor | BrainEncoderOutput:
        """(batch, *trial_shape) in the model's dtype to (batch, hidden_size); an encoder's own work.

        An encoder with penalties returns a [`BrainEncoderOutput`] that holds both.
        """
        raise NotImplementedError

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if not initialise_as_torch(module):
            super()._init_weights(module)


def _as_output(encoded: torch.Tensor | BrainEncoderOutput) -> BrainEncoderOutput:
    return encoded if isinstance(encoded, BrainEncoderOutput) else BrainEncoderOutput(features=encoded)


class EEGEncoder(BrainEncoder):
    """Base of encoders that read `eeg_values` (batch, num_channels, num_timesteps), EEG or MEG.

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
        return self.encode_checked(eeg_values, subject_index)
