"""Dynamic convolution: two layers whose weights the query writes (paper, section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.operators.linear import Linear


class DynamicConv(nn.Module):
    """Two 1x1 convolutions over a box's positions, with weights generated from its query.

    Args:
        channels: C, of queries and pooled features.
        hidden: channels between the two convolutions.
        positions: of the box; given, the result is projected to one vector a box.
    """

    def __init__(self, channels: int, hidden: int, positions: int | None = None) -> None:
        super().__init__()
        self.hidden = hidden
        self.dynamic_layer = Linear(channels, 2 * channels * hidden)
        self.norm_in = nn.LayerNorm(hidden)
        self.norm_out = nn.LayerNorm(channels)
        self.projects = positions is not None
        if positions is not None:
            self.fc_layer = Linear(positions * channels, channels)
            self.fc_norm = nn.LayerNorm(channels)

    def forward(self, queries: Tensor, pooled: Tensor) -> Tensor:
        """Let each query read its box.

        Args:
            queries: (R, C).
            pooled: (R, P, C), features at the box's P positions.

        Returns:
            (R, C) with the projection, else (R, P, C).
        """
        weight_in, weight_out = self.dynamic_layer(queries).chunk(2, dim=-1)
        x = torch.bmm(pooled, weight_in.unflatten(-1, (-1, self.hidden)))
        x = F.relu(self.norm_in(x))
        x = torch.bmm(x, weight_out.unflatten(-1, (self.hidden, -1)))
        x = F.relu(self.norm_out(x))
        if not self.projects:
            return x
        return F.relu(self.fc_norm(self.fc_layer(x.flatten(1))))
