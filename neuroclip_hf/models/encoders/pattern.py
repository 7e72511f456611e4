"""What encoders of fMRI patterns share: one number a voxel, no time."""

from typing import Any

import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count
from neuroclip_hf.models.encoders.base import BrainEncoder, BrainEncoderConfig, BrainEncoderOutput, TrialFacts


class PatternEncoderConfig(BrainEncoderConfig):
    """Settings that every encoder of patterns has.

    Args:
        num_voxels (`int`): voxels of a pattern; the default is about that of a subject's visual cortex in Generic
            Object Decoding.
    """

    num_voxels: int = 4500

    @classmethod
    def sizes(cls, trials: TrialFacts) -> dict[str, Any]:
        """See [`BrainEncoderConfig`]; trials are (voxels,)."""
        if len(trials.trial_shape) != 1:
            channels, samples = trials.trial_shape
            raise InputError(
                f"The encoder {cls.model_type} reads patterns of (voxels,), and these are trials of (channels, "
                f"samples), {channels} x {samples}: choose an encoder of trials."
            )
        return {"num_voxels": trials.trial_shape[0]}

    @property
    def trial_shape(self) -> tuple[int, ...]:
        """(num_voxels,)."""
        return (self.num_voxels,)

    @property
    def batch_layout(self) -> str:
        """See [`BrainEncoderConfig`]."""
        return f"(batch, {self.num_voxels} voxels)"

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "num_voxels")


class PatternEncoder(BrainEncoder):
    """Base of encoders that read `fmri_values` (batch, num_voxels).

    Values are standardised by the checkpoint's processor, with means and standard deviations of training patterns.
    """

    config: PatternEncoderConfig
    main_input_name = "fmri_values"

    def forward(self, fmri_values: torch.Tensor, subject_index: torch.Tensor | None = None) -> BrainEncoderOutput:
        """Encode patterns.

        Args:
            fmri_values (`torch.Tensor`): (batch, num_voxels), any floating type.
            subject_index (`torch.Tensor`, *optional*): (batch,) place of the subject in the checkpoint's list;
                encoders that treat all subjects alike ignore it.

        Raises:
            InputError: if the shape is not the one of the config.
        """
        return self.encode_checked(fmri_values, subject_index)
