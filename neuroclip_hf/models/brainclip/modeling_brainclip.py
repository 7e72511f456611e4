"""BrainCLIP: brain recordings in the space that a frozen CLIP has for pictures and texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from transformers.utils import ModelOutput

from neuroclip_hf.errors import InputError
from neuroclip_hf.losses import Mixing, contrastive_logits, draw_mixing, weighted_directions
from neuroclip_hf.models.batches import require_whole_numbers
from neuroclip_hf.models.brain_image.batches import check_pairs, of_rows, refuse_accumulation
from neuroclip_hf.models.brainclip.clip_space import ClipSpaceModel
from neuroclip_hf.models.brainclip.configuration_brainclip import BrainCLIPConfig
from neuroclip_hf.models.brainclip.supervision import SupervisedLoss, Supervision


@dataclass
class BrainCLIPOutput(ModelOutput):
    """What [`BrainCLIPModel`] returns.

    Args:
        loss (`torch.Tensor`, *optional*): contrast, distance and the encoder's penalties, a scalar.
        logits_per_brain (`torch.Tensor`, *optional*): (batch, batch), scaled cosines of each recording with the
            picture of each row.
        logits_per_image (`torch.Tensor`, *optional*): its transpose.
        brain_embeds (`torch.Tensor`, *optional*): (batch, projection_dim), not normalised. While training with `mixco`
            they are of mixed recordings.
        image_embeds (`torch.Tensor`, *optional*): (batch, projection_dim), not normalised, one row for each recording.
        text_embeds (`torch.Tensor`, *optional*): likewise of the texts, where they were given and have weight.
        penalties (`dict[str, torch.Tensor]`, *optional*): (batch,) each, of encoders that have some, unweighted.
    """

    loss: torch.Tensor | None = None
    logits_per_brain: torch.Tensor | None = None
    logits_per_image: torch.Tensor | None = None
    brain_embeds: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None
    penalties: dict[str, torch.Tensor] | None = None


class BrainCLIPModel(ClipSpaceModel):
    """BrainCLIP: a mapping network from brain recordings into the space of a frozen CLIP, under pictures and texts.

    A re-implementation of "BrainCLIP: Bridging Brain and Visual-Linguistic Representation via CLIP for Generic Natural
    Visual Stimulus Decoding" (Liu et al., arXiv 2302.12971) and of its journal version (Ma et al., IEEE TMI 2025, doi
    10.1109/TMI.2025.3537287). The mapping network, losses and hyper-parameters were never released, and the papers
    were not readable for us beyond their abstracts.

    From the papers: fMRI patterns, a mapping network (the first version calls it VAE-based) into CLIP's embedding
    space, visual and textual supervision together, and one space for category decoding, matching with pictures and
    texts, and generation.

    Our reading: mapping networks "linear_map", "mlp_map" and "vae_map" (any other encoder serves as well); symmetric
    InfoNCE with pictures and with texts, each with a weight, in which recordings of one concept may share the mass of
    their texts (`concept_share`); a pull towards the targets themselves (`mse_weight`); mixed trials (`mixco`);
    softened targets (`soft_targets`). Embeddings of pictures and texts are CLIP's less their means over the training
    pictures, once [`prepare_for_training`] measured these (`centre`): all pictures have much in common, and so have
    all texts, which tells none from another. `clip_image_features` and `clip_text_features` are CLIP's own.

    Trained are the encoder, the factor of the cosines and, where there are some, prompts and a projection of the
    encoder's features; the tower is frozen. Checkpoints, `from_vision_pretrained` and `picture_chunk_size` are as
    [`BrainImageModel`] says.

    Args:
        config (`BrainCLIPConfig`): the settings.
        vision_model (`PreTrainedModel`, *optional*): a tower to build on, which is changed in place; without it a new
            one is made from `config.vision_config`.
        text_model, visual_projection (`nn.Module`, *optional*): likewise CLIP's text tower and projection of pictures.
    """

    config: BrainCLIPConfig
    base_model_prefix = "brainclip"
    unused_when_solved: Mapping[str, Any] | None = MappingProxyType(
        {"mixco": 0.0, "soft_targets": 0.0, "mse_weight": 0.0, "brain_projection": "none"}
    )

    def forward(
        self,
        fmri_values: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_id: torch.Tensor | None = None,
        picture_index: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        text_features: torch.Tensor | None = None,
        concept_index: torch.Tensor | None = None,
        subject_index: torch.Tensor | None = None,
        return_loss: bool = True,
        return_dict: bool | None = None,
        *,
        eeg_values: torch.Tensor | None = None,
    ) -> BrainCLIPOutput | tuple[torch.Tensor, ...]:
        """Embed recordings, pictures and texts, and compare them.

        Args:
            fmri_values (`torch.Tensor`, *optional*): (batch, num_voxels).
            pixel_values (`torch.Tensor`, *optional*): (pictures, 3, height, width), each picture of the batch once.
            image_id (`torch.Tensor`, *optional*): (batch,) whole numbers; rows with equal ids show one picture.
                `None`: every row is its own only answer.
            picture_index (`torch.Tensor`, *optional*): (batch,) the picture of each row; `None`: they are in order.
            image_features (`torch.Tensor`, *optional*): (pictures, 1, width) from [`get_frozen_image_features`], which
                stand in for `pixel_values` where no adapter is active.
            input_ids (`torch.Tensor`, *optional*): (pictures, tokens) of the pictures' texts.
            attention_mask (`torch.Tensor`, *optional*): (pictures, tokens), 1 for a token and 0 behind the last one.
            text_features (`torch.Tensor`, *optional*): (pictures, projection_dim) from [`clip_text_features`], in
                place of these two.
            concept_index (`torch.Tensor`, *optional*): (pictures,) whole numbers of their concepts, by which
                recordings share texts (`concept_share`). `None`: every picture has its own text.
            subject_index (`torch.Tensor`, *optional*): (batch,) place of the subject in the checkpoint's list.
            return_loss (`bool`): compute the loss; needs recordings and all targets with weight. While training on
                several processes it is the loss of all their rows together.
            return_dict (`bool`, *optional*): `False` for a tuple.
            eeg_values (`torch.Tensor`, *optional*): (batch, num_channels, num_timesteps), in place of `fmri_values`
                where the encoder reads trials.

        Raises:
            InputError: if a side is missing or of another modality than the encoder's, or sizes do not fit each other.
        """
        recordings = {"fmri_values": fmri_values, "eeg_values": eeg_values}
        recordings, mixing = self._mixed(recordings, subject_index)
        brain, penalties = self.encode_recordings(subject_index, **recordings)
        for name, values in (("image_id", image_id), ("picture_index", picture_index)):
            if values is not None:
                require_whole_numbers(name, values, len(values if brain is None else brain))
        needs_frozen = return_loss and self.config.soft_targets > 0
        image, frozen = self.embed_pictures(pixel_values, image_features, needs_frozen=needs_frozen)
        text = self._texts(input_ids, attention_mask, text_features)
        image, frozen, text, concept_index = (
            of_rows(each, picture_index) for each in (image, frozen, text, concept_index)
        )
        output = BrainCLIPOutput(brain_embeds=brain, image_embeds=image, text_embeds=text, penalties=penalties)
        if brain is not None and image is not None:
            check_pairs(brain, image)
            output.logits_per_brain = contrastive_logits(brain, image, self.scale())
            output.logits_per_image = output.logits_per_brain.T
        if return_loss:
            loss = self._loss(output, frozen, image_id, concept_index, mixing)
            output.loss = self.with_penalties(loss, penalties)
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()

    def fixed_targets(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The mean of picture's and text's embeddings, each of length one and weighed as the loss weighs them (ours).

        See [`BrainImageModel.fixed_targets`].
        """
        output = self(**batch, return_loss=False)
        weights = ((output.image_embeds, self.config.image_weight), (output.text_embeds, self.config.text_weight))
        return weighted_directions([(embeds, weight) for embeds, weight in weights if weight > 0])

    def _mixed(
        self, recordings: dict[str, torch.Tensor | None], subject_index: torch.Tensor | None
    ) -> tuple[dict[str, torch.Tensor | None], Mixing | None]:
        values = recordings.get(self.main_input_name)
        if not self.training or self.config.mixco == 0 or not isinstance(values, torch.Tensor):
            return recordings, None
        if not values.is_floating_point():
            return recordings, None  # the encoder says what is wrong with them
        mixing = draw_mixing(len(values), self.config.mixco, subject_index, values.device)
        return {**recordings, self.main_input_name: mixing.mix(values)}, mixing

    def _texts(
        self,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        text_features: torch.Tensor | None,
    ) -> torch.Tensor | None:
        if self.config.text_weight == 0:
            return None  # so that no text tower is run, or needed
        if text_features is None and input_ids is not None:
            text_features = self.clip_text_features(input_ids, attention_mask)
        if text_features is None:
            return None
        if text_features.ndim != 2 or text_features.shape[1] != self.config.projection_dim:
            raise InputError(
                f"text_features is {tuple(text_features.shape)}: it must be (pictures, {self.config.projection_dim}), "
                "as clip_text_features gives it."
            )
        return self._centred_texts(text_features)

    def _loss(
        self,
        output: BrainCLIPOutput,
        frozen: torch.Tensor | None,
        image_id: torch.Tensor | None,
        concept_index: torch.Tensor | None,
        mixing: Mixing | None,
    ) -> torch.Tensor:
        config, brain = self.config, output.brain_embeds
        if self.training:  # evaluation batches may be uneven, and their loss is only looked at
            refuse_accumulation()
        if brain is None:
            raise InputError(f"the loss needs {self.main_input_name}: pass it, or return_loss=False.")
        supervisions = []
        if config.image_weight > 0:
            image = self._given("pixel_values", output.image_embeds)
            alike = image if frozen is None else self.project_pictures(frozen)
            supervisions.append(Supervision(image, alike.detach(), image_id, config.image_weight))
        if config.text_weight > 0:
            text = self._given("input_ids", output.text_embeds)
            weights = (config.text_weight, concept_index, config.concept_share)
            supervisions.append(Supervision(text, text.detach(), image_id, *weights))
        for each in supervisions:
            check_pairs(brain, each.embeds)
        loss = SupervisedLoss(config.mse_weight, config.soft_targets, config.soft_targets_temperature)
        return loss(brain, supervisions, self.scale(), mixing, gathered=self.training)

    def _given(self, name: str, embeds: torch.Tensor | None) -> torch.Tensor:
        if embeds is None:
            raise InputError(
                f"the loss needs {name} beside {self.main_input_name}: pass it, or features in its place, or "
                "return_loss=False."
            )
        return embeds
