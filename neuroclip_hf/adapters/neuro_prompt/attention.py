"""What the tokens of a tower look at, for figures."""

from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from neuroclip_hf.adapters.neuro_prompt.structure import find_structure


class TokenAttention(NamedTuple):
    """Attention of all tokens to all, in every layer of a tower.

    `weights` are (layers, pictures, heads, tokens, tokens), queries first, and rows sum to one. Tokens stand in the
    order of the tower: `num_prefix_tokens` of its own, `num_prompts`, and patches row by row of the grid
    `(rows, columns)`.
    """

    weights: torch.Tensor
    num_prefix_tokens: int
    num_prompts: int
    grid: tuple[int, int]

    @property
    def num_leading(self) -> int:
        """Tokens before the first patch."""
        return self.num_prefix_tokens + self.num_prompts

    def of_prompts(self) -> torch.Tensor:
        """How the prompts look at the patches, the mean over heads and prompts: (layers, pictures, rows, columns).

        Raises:
            ValueError: if there are no prompts.
        """
        return self._on_patches(slice(self.num_prefix_tokens, self.num_leading), "prompts")

    def of_prefix(self) -> torch.Tensor:
        """The same for the tower's own tokens, CLIP's class token for example.

        Raises:
            ValueError: if it has none, as SigLIP's.
        """
        return self._on_patches(slice(0, self.num_prefix_tokens), "tokens of its own")

    def share_of_prompts(self) -> torch.Tensor:
        """The part of the prefix tokens' attention that goes to the prompts: (layers, pictures), means over heads."""
        prompts = slice(self.num_prefix_tokens, self.num_leading)
        return self.weights[..., : self.num_prefix_tokens, prompts].sum(dim=-1).mean(dim=(2, 3))

    def _on_patches(self, queries: slice, what: str) -> torch.Tensor:
        if queries.start == queries.stop:
            raise ValueError(f"the tower has no {what} that could look at patches.")
        return self.weights[..., queries, self.num_leading :].mean(dim=(2, 3)).unflatten(-1, self.grid)


@torch.no_grad()
def token_attention(tower: PreTrainedModel, pixel_values: torch.Tensor) -> TokenAttention:
    """Read the attention of every layer, with whatever adapters are active.

    Only the eager implementation of attention knows its weights; the tower computes with it here, and goes back to its
    own afterwards.

    Args:
        tower (`PreTrainedModel`): of a kind that [`find_structure`] knows, prompted or not.
        pixel_values (`torch.Tensor`): (pictures, channels, height, width).

    Raises:
        ValueError: for a module of another kind.
    """
    structure = find_structure(tower)
    implementation: Any = tower.config._attn_implementation
    tower.set_attn_implementation("eager")
    try:
        weights = torch.stack(tower(pixel_values, output_attentions=True).attentions)
    finally:
        tower.set_attn_implementation(implementation)
    num_prompts = structure.num_prompts(tower)
    rows, columns = (int(size) // int(tower.config.patch_size) for size in pixel_values.shape[-2:])
    return TokenAttention(weights, structure.num_prefix_tokens, num_prompts, (rows, columns))
