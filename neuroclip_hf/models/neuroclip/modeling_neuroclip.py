"""NeuroCLIP: brain recordings and prompted pictures in one space."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from transformers.utils import ModelOutput

from neuroclip_hf.errors import InputError
from neuroclip_hf.losses import contrastive_logits, gather_with_gradient, softened_cross_entropy
from neuroclip_hf.models.batches import require_whole_numbers
from neuroclip_hf.models.brain_image.batches import check_pairs, of_rows, refuse_accumulation
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.neuroclip.configuration_neuroclip import NeuroCLIPConfig


@dataclass
class NeuroCLIPOutput(ModelOutput):
    """What [`NeuroCLIPModel`] returns.

    Args:
        loss (`torch.Tensor`, *optional*): the softened contrastive loss and the encoder's penalties, a scalar.
        logits_per_brain (`torch.Tensor`, *optional*): (batch, batch), scaled cosines of each recording with the
            picture of each row.
        logits_per_image (`torch.Tensor`, *optional*): its transpose.
        brain_embeds (`torch.Tensor`, *optional*): (batch, projection_dim), not normalised.
        image_embeds (`torch.Tensor`, *optional*): (batch, projection_dim), not normalised, one row for each recording.
        penalties (`dict[str, torch.Tensor]`, *optional*): (batch,) each, of encoders that have some, unweighted.
    """

    loss: torch.Tensor | None = None
    logits_per_brain: torch.Tensor | None = None
    logits_per_image: torch.Tensor | None = None
    brain_embeds: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None
    penalties: dict[str, torch.Tensor] | None = None


class NeuroCLIPModel(BrainImageModel):
    """NeuroCLIP: a brain encoder trained to land where a prompted, frozen CLIP puts the picture that was seen.

    A re-implementation of "NeuroCLIP: Brain-Inspired Prompt Tuning for EEG-to-Image Multimodal Contrastive Learning"
    (Wang et al., arXiv 2511.09250). No official code is public, and the paper's equations and hyper-parameters were
    not readable for us; we worked from its abstract, summary and figure captions.

    From the paper: perturbed EEG and an encoder; a frozen CLIP vision transformer, read at its pooled output; a
    dual-stream visual embedding, one stream through a Dynamic Filter Layer; Cross-Attention Token-level Fusion, which
    joins the streams and adjusts the patch tokens (instance-level prompts); shared-level prompts, learnable tokens
    that are the same for every picture; light trainable modules on both sides; a projection of both into one space; a
    softened contrastive loss.

    Our reading: all four visual parts as [`NeuroPromptConfig`] describes them, each of which can be switched off;
    perturbation happens where trials are read (`data.perturbation`), so that it depends on seed, epoch and trial
    alone; one linear projection a side; targets of the loss softened by the similarity of the pictures in the frozen,
    unadapted tower, relative to what all training pictures share; several rows may show one picture; the factor of the
    cosines is trained, starts at 1 / 0.07 and stays between 2 and 100.

    What differs: the paper reads the pooled output alone, and here hidden states of intermediate layers can be read
    instead (`vision_feature_layers`), with the tower above them never run; SigLIP and DINOv2 towers serve as well as
    CLIP's; projections can be deeper or left out; the image projection is centred on the training pictures before
    training (`centre_pictures`). With the defaults only the last of these is in force, and only if it is called.

    Trained are the encoder, adapters, projections and logit scale. The tower is frozen, and in eval mode even while
    the model trains. Embeddings are not normalised; loss and metrics do that. A checkpoint names the tower instead of
    holding it wherever it can be fetched again ([`SmallCheckpoints`]). What all our models of recordings and pictures
    share, `from_vision_pretrained` and `picture_chunk_size` among it, is in [`BrainImageModel`].

    Args:
        config (`NeuroCLIPConfig`): the settings.
        vision_model (`PreTrainedModel`, *optional*): a tower to build on, which is changed in place; without it a new
            one is made from `config.vision_config`.
    """

    config: NeuroCLIPConfig
    base_model_prefix = "neuroclip"

    def prepare_for_training(
        self,
        embed_pictures: Callable[[], torch.Tensor],
        image_features: torch.Tensor,
        picture_inputs: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> None:
        """Centre the image projection on the training pictures; see [`BrainImageModel.prepare_for_training`]."""
        self.centre_pictures(embed_pictures(), image_features)

    def forward(
        self,
        eeg_values: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_id: torch.Tensor | None = None,
        picture_index: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        subject_index: torch.Tensor | None = None,
        return_loss: bool = True,
        return_dict: bool | None = None,
        *,
        fmri_values: torch.Tensor | None = None,
    ) -> NeuroCLIPOutput | tuple[torch.Tensor, ...]:
        """Embed recordings and pictures, and compare them.

        Args:
            eeg_values (`torch.Tensor`, *optional*): (batch, num_channels, num_timesteps).
            pixel_values (`torch.Tensor`, *optional*): (pictures, 3, height, width), each picture of the batch once.
            image_id (`torch.Tensor`, *optional*): (batch,) whole numbers; rows with equal ids are right answers to
                each other. `None`: every row is its own only answer.
            picture_index (`torch.Tensor`, *optional*): (batch,) the picture of each row; `None`: they are in order.
            image_features (`torch.Tensor`, *optional*): (pictures, num_layers, width) from
                [`get_frozen_image_features`]; computed here if the loss needs them. Without an active adapter they
                stand in for `pixel_values`.
            subject_index (`torch.Tensor`, *optional*): (batch,) place of the subject in the checkpoint's list.
            return_loss (`bool`): compute the loss; needs both sides. While training on several processes it is the
                loss of all their rows together.
            return_dict (`bool`, *optional*): `False` for a tuple.
            fmri_values (`torch.Tensor`, *optional*): (batch, num_voxels), in place of `eeg_values` where the encoder
                reads patterns.

        Raises:
            InputError: if a side is missing or of another modality than the encoder's, or sizes do not fit each other.
        """
        brain, penalties = self.encode_recordings(subject_index, eeg_values=eeg_values, fmri_values=fmri_values)
        for name, values in (("image_id", image_id), ("picture_index", picture_index)):
            if values is not None:
                require_whole_numbers(name, values, len(values if brain is None else brain))
        softened = return_loss and self.config.softening > 0
        image, frozen = self.embed_pictures(pixel_values, image_features, needs_frozen=softened)
        image, frozen = (of_rows(each, picture_index) for each in (image, frozen))
        output = NeuroCLIPOutput(brain_embeds=brain, image_embeds=image, penalties=penalties)
        if brain is not None and image is not None:
            check_pairs(brain, image)
            scale = self.scale()
            output.logits_per_brain = contrastive_logits(brain, image, scale)
            output.logits_per_image = output.logits_per_brain.T
            if return_loss:
                output.loss = self._loss(brain, image, output.logits_per_brain, scale, image_id, frozen)
                output.loss = self.with_penalties(output.loss, penalties)
        elif return_loss:
            raise InputError(
                f"the loss needs {self.main_input_name} and pixel_values: pass both, or return_loss=False."
            )
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()

    def _loss(
        self,
        brain: torch.Tensor,
        image: torch.Tensor,
        logits: torch.Tensor,
        scale: torch.Tensor,
        image_id: torch.Tensor | None,
        frozen: torch.Tensor | None,
    ) -> torch.Tensor:
        if self.training:  # evaluation batches may be uneven, and their loss is only looked at
            refuse_accumulation()
            all_brain, all_image = gather_with_gradient(brain), gather_with_gradient(image)
            if all_brain is not brain:  # there are other processes
                logits = contrastive_logits(all_brain, all_image, scale)
            image_id = None if image_id is None else gather_with_gradient(image_id)
            frozen = None if frozen is None else gather_with_gradient(frozen)
        frozen = None if frozen is None else (frozen - self.image_features_mean).flatten(1)
        return softened_cross_entropy(
            logits, image_id, frozen, self.config.softening, self.config.softening_temperature
        )
