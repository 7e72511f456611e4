"""What recordings are brought near to, and the loss that says how near they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from neuroclip_hf.losses import (
    Mixing,
    contrastive_logits,
    cross_entropy_both_ways,
    gather_with_gradient,
    softened_targets,
    squared_distance,
    weighted_directions,
)


@dataclass(frozen=True)
class Supervision:
    """One kind of target, a row for each recording.

    Args:
        embeds (`torch.Tensor`): (batch, projection_dim).
        frozen (`torch.Tensor`): the same without anything that is trained, by which targets are alike.
        ids (`torch.Tensor`, *optional*): (batch,) rows with equal ids are right answers to each other and share the
            mass of the target; `None`: every row is its own only answer.
        weight (`float`): in the loss.
        class_ids (`torch.Tensor`, *optional*): (batch,) of what the recordings show; `None`: it is not known.
        class_share (`float`): part of a row's mass that all rows of its class share.
    """

    embeds: torch.Tensor
    frozen: torch.Tensor
    ids: torch.Tensor | None
    weight: float
    class_ids: torch.Tensor | None = None
    class_share: float = 0.0

    def gathered(self) -> "Supervision":
        """The same for the rows of all processes."""
        ids, class_ids = (None if each is None else gather_with_gradient(each) for each in (self.ids, self.class_ids))
        embeds, frozen = gather_with_gradient(self.embeds), gather_with_gradient(self.frozen)
        return replace(self, embeds=embeds, frozen=frozen, ids=ids, class_ids=class_ids)

    def targets(self, softening: float, temperature: float, dtype: torch.dtype) -> torch.Tensor:
        """Which rows are right for each row, and how much: (batch, batch), every row sums to one.

        Args:
            softening (`float`): see [`softened_targets`].
            temperature (`float`): see there.
            dtype (`torch.dtype`): of the result.
        """
        rows = torch.arange(len(self.frozen), device=self.frozen.device)
        targets = softened_targets(
            rows if self.ids is None else self.ids, self.frozen, softening, temperature, dtype=dtype
        )
        if self.class_ids is None or self.class_share == 0:
            return targets
        shared = softened_targets(self.class_ids, self.frozen, softening, temperature, dtype=dtype)
        return (1 - self.class_share) * targets + self.class_share * shared


@dataclass(frozen=True)
class SupervisedLoss:
    """The loss of a batch: contrast with every kind of target, and the distance from all of them together.

    Args:
        mse_weight, soft_targets, soft_targets_temperature (`float`): see [`BrainCLIPConfig`].
    """

    mse_weight: float
    soft_targets: float
    soft_targets_temperature: float

    def __call__(
        self,
        brain: torch.Tensor,
        supervisions: Sequence[Supervision],
        scale: torch.Tensor,
        mixing: Mixing | None,
        gathered: bool,
    ) -> torch.Tensor:
        """A scalar.

        Args:
            brain (`torch.Tensor`): (batch, projection_dim), of recordings that are mixed already.
            supervisions (sequence of `Supervision`): those with weight, at least one.
            scale (`torch.Tensor`): factor of the cosines.
            mixing (`Mixing`, *optional*): how they were mixed; the targets are mixed here.
            gathered (`bool`): whether the loss is that of all processes' rows together.
        """
        if gathered:
            brain, mixing = gather_with_gradient(brain), None if mixing is None else mixing.gathered()
            supervisions = [each.gathered() for each in supervisions]
        loss = torch.stack([each.weight * self._contrast(brain, each, scale, mixing) for each in supervisions]).sum()
        if self.mse_weight == 0:
            return loss
        # The targets do not move towards the recordings, also where prompts could move them.
        targets = weighted_directions([(each.embeds.detach(), each.weight) for each in supervisions])
        targets = targets if mixing is None else mixing.mix(targets)
        return loss + self.mse_weight * squared_distance(brain, targets).mean()

    def _contrast(
        self, brain: torch.Tensor, supervision: Supervision, scale: torch.Tensor, mixing: Mixing | None
    ) -> torch.Tensor:
        logits = contrastive_logits(brain, supervision.embeds, scale)
        targets = supervision.targets(self.soft_targets, self.soft_targets_temperature, logits.dtype)
        return cross_entropy_both_ways(logits, targets if mixing is None else mixing.mix(targets))
