"""Multi-head attention under the parameter names of ``torch.nn.MultiheadAttention``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.operators.linear import Linear, linear


class MultiheadAttention(nn.Module):
    """Multi-head attention over ``scaled_dot_product_attention``.

    The parameters are named as in ``torch.nn.MultiheadAttention``, so published weights load.
    That module itself is not used: its fast path in eval mode computes the same numbers inside
    one opaque operator, which no FLOP counter sees.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, query: Tensor, memory: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Attend from ``query`` to ``memory`` (to itself if none).

        Args:
            query: (B, L, C).
            memory: (B, S, C), keys and values.
            bias: (heads, L, S), added to the logits.

        Returns:
            (B, L, C), before residual and norm.
        """
        if memory is None:
            q, k, v = linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            channels = query.shape[-1]
            weight_q, weight_kv = self.in_proj_weight.split((channels, 2 * channels))
            bias_q, bias_kv = self.in_proj_bias.split((channels, 2 * channels))
            q = linear(query, weight_q, bias_q)
            k, v = linear(memory, weight_kv, bias_kv).chunk(2, dim=-1)
        q, k, v = self._split(q), self._split(k), self._split(v)
        bias = None if bias is None else bias.to(q.dtype)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, heads, L, C / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ResidualAttention(nn.Module):
    """Self-attention with its residual, under the published name."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = MultiheadAttention(channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to the same shape."""
        return x + self.attn(x)
