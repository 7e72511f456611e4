"""Recordings of any modality to embeddings."""

import torch
from torch import nn

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.brain_image.batches import weigh_penalties
from neuroclip_hf.models.encoders.base import BrainEncoder


class RecordingSide:
    """The part of a model that reads recordings; what they are called, `main_input_name`, its encoder says."""

    main_input_name: str
    encoder: BrainEncoder
    brain_projection: nn.Module
    training: bool

    def get_brain_features(
        self,
        brain_values: torch.Tensor | None = None,
        subject_index: torch.Tensor | None = None,
        **named: torch.Tensor | None,
    ) -> torch.Tensor:
        """Recordings to embeddings (batch, projection_dim), not normalised.

        Args:
            brain_values (`torch.Tensor`): what the encoder reads: `eeg_values` (batch, num_channels, num_timesteps) or
                `fmri_values` (batch, num_voxels).
            subject_index (`torch.Tensor`, *optional*): (batch,) place of the subject in the checkpoint's list.
            named: `brain_values` by its own name instead, as `eeg_values=...`.

        Raises:
            InputError: if there are no recordings, or they are of another modality than the encoder's.
        """
        if brain_values is not None:
            named = {**named, self.main_input_name: brain_values}
        embeds, _ = self.encode_recordings(subject_index, **named)
        if embeds is None:
            raise InputError(f"there are no recordings: pass {self.main_input_name}.")
        return embeds

    def encode_recordings(
        self, subject_index: torch.Tensor | None = None, **named: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, dict[str, torch.Tensor] | None]:
        """Embeddings of recordings, and the encoder's penalties; `None` where no recordings are given.

        Args:
            subject_index (`torch.Tensor`, *optional*): see [`get_brain_features`].
            named: recordings by their names; `None` for those that were not given.

        Raises:
            InputError: for recordings of another modality than the encoder's; while training, for an encoder that is
                solved for.
        """
        given = {name: values for name, values in named.items() if values is not None}
        values = given.pop(self.main_input_name, None)
        if given:
            raise InputError(
                f"{next(iter(given))} was given, but the encoder of this model reads {self.main_input_name}."
            )
        if values is None:
            return None, None
        if self.training and self.encoder.closed_form and torch.is_grad_enabled():
            raise InputError(
                f"the encoder {self.encoder.config.model_type} is solved for, and gradients train nothing of it: call "
                "model.encoder.fit(values, targets, groups) in place of a Trainer, or run neuroclip train."
            )
        encoded = self.encoder(values, subject_index=subject_index)
        return self.brain_projection(encoded.features), encoded.penalties

    def with_penalties(self, loss: torch.Tensor, penalties: dict[str, torch.Tensor] | None) -> torch.Tensor:
        """A loss and, where the encoder has penalties, their weighted means; while training those of all processes."""
        if not penalties:
            return loss
        return loss + weigh_penalties(penalties, self.encoder.config.penalty_weights, gathered=self.training)
