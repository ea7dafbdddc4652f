"""How a query interacts with itself in the other frames, where STQI's shared attention does not.

Each takes the T copies q_t of a query and adds to them what they tell of one another; the box head
normalises the sum.  STQI itself (section 3.3) is the attention over queries, used again on these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.model.attention import MultiheadAttention, ResidualAttention

FARTHEST = 16


class MeanOverTime(nn.Module):
    """q_t + mean over s of q_s: attention of equal weights and without projections."""

    def forward(self, x: Tensor) -> Tensor:
        """(B * N, T, C) to the same shape."""
        return x + x.mean(dim=1, keepdim=True)


class RelativeAttention(nn.Module):
    """q_t + attention over s whose logits get a learned bias b(s - t) a head, at first zero.

    The bias is that of T5 (Raffel et al., JMLR 2020, section 2.1), its distances clipped to
    :data:`FARTHEST` frames either way (Shaw et al., NAACL 2018, section 3.2), so that clips of any
    length go through.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = MultiheadAttention(channels, heads)
        self.time_bias = nn.Parameter(torch.zeros(heads, 2 * FARTHEST + 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B * N, T, C) to the same shape."""
        frames = torch.arange(x.shape[1], device=x.device)
        distance = (frames[None] - frames[:, None]).clamp(-FARTHEST, FARTHEST) + FARTHEST
        return x + self.attn(x, bias=self.time_bias[:, distance])


class GRUOverTime(nn.Module):
    """q_t + [forward GRU; backward GRU]_t, each of C / 2 channels (Cho et al., EMNLP 2014).

    Both directions, since a clip's frames are all there: 4.5 C^2 weights to attention's 4 C^2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, channels // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B * N, T, C) to the same shape."""
        states: Tensor = self.gru(x)[0]
        return x + states


def own_interaction(kind: str, channels: int, heads: int) -> nn.Module | None:
    """The module of ``head.kind``; none where the kind has none of its own over time."""
    match kind:
        case "stqi_unshared":
            return ResidualAttention(channels, heads)
        case "mean":
            return MeanOverTime()
        case "relative_attention":
            return RelativeAttention(channels, heads)
        case "gru":
            return GRUOverTime(channels)
    return None
