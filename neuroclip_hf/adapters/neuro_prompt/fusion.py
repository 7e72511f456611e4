"""Cross-Attention Token-level Fusion (CATF): the dynamic stream tells the static stream's patches what to add.

NeuroCLIP (arXiv 2511.09250) names the part and says that it joins the two streams and injects instance-specific cues
as prompts that adjust the patch tokens. Reduced width, gate and normalisation are our reading.
"""

import torch
from torch import nn
from torch.nn import functional


class CrossAttentionFusion(nn.Module):
    """Static patch tokens plus a gated multi-head cross-attention to the dynamic ones.

    `static + gate * attention(static, dynamic)`; the second term is the instance-level prompt. Queries come from the
    static tokens, keys and values from the dynamic ones, both layer-normalised. Weights that could add nothing are
    left out: a bias on the keys is lost in the softmax, one on the values is the output's, and the layer norms' own
    weights and biases are the projections'. The gate, one number per feature, starts at zero, so that the start is the
    tower itself.

    Args:
        width (`int`): length of a token.
        fusion_width (`int`): width of queries, keys and values together.
        num_heads (`int`): attention heads; divides `fusion_width`.
    """

    def __init__(self, width: int, fusion_width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_queries = nn.Linear(width, fusion_width)
        self.to_keys = nn.Linear(width, fusion_width, bias=False)
        self.to_values = nn.Linear(width, fusion_width, bias=False)
        self.to_tokens = nn.Linear(fusion_width, width)
        self.gate = nn.Parameter(torch.empty(width))

    def reset_parameters(self) -> None:
        """Draw the weights afresh (Glorot's uniform initialisation, zero biases) and close the gate."""
        for module in (self.to_queries, self.to_keys, self.to_values, self.to_tokens):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.gate)

    def forward(self, static: torch.Tensor, dynamic: torch.Tensor) -> torch.Tensor:
        """Patch tokens (pictures, patches, width) of both streams to adjusted static ones of that shape and dtype."""
        dynamic = self._normalised(dynamic)
        queries = self._heads(self.to_queries(self._normalised(static)))
        keys, values = self._heads(self.to_keys(dynamic)), self._heads(self.to_values(dynamic))
        attended = functional.scaled_dot_product_attention(queries, keys, values)
        prompts = self.gate * self.to_tokens(attended.transpose(1, 2).flatten(2))
        return static + prompts.to(static.dtype)

    def attention_maps(self, static: torch.Tensor, dynamic: torch.Tensor) -> torch.Tensor:
        """How each static patch attends to the dynamic ones: (pictures, heads, patches, patches), rows sum to one."""
        queries = self._heads(self.to_queries(self._normalised(static)))
        keys = self._heads(self.to_keys(self._normalised(dynamic)))
        return (queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5).softmax(dim=-1)

    def _normalised(self, tokens: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(tokens.to(self.gate.dtype), tokens.shape[-1:])

    def _heads(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class GatedAddition(nn.Module):
    """What stands in the place of cross-attention when that is switched off: `static + gate * dynamic`. Ours.

    Args:
        width (`int`): length of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.empty(width))

    def reset_parameters(self) -> None:
        """Close the gate."""
        nn.init.zeros_(self.gate)

    def forward(self, static: torch.Tensor, dynamic: torch.Tensor) -> torch.Tensor:
        """Patch tokens (pictures, patches, width) of both streams to adjusted static ones of that shape and dtype."""
        return static + (self.gate * dynamic).to(static.dtype)
