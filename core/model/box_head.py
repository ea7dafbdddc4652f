"""One stage of the box head: queries interact in space, in time, and with their boxes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from core.config.schema import HeadConfig
from core.model.attention import ResidualAttention
from core.model.dynamic_conv import DynamicConv
from core.model.operators.linear import Linear
from core.model.query_time import own_interaction

BOX_BINS = 7


@dataclass(frozen=True)
class BoxHeadOutput:
    """What a stage says of B clips of T frames with N queries.

    Attributes:
        logits: (B, T, N, classes).
        deltas: (B, T, N, 4), of the stage's incoming boxes.
        queries: (B, T, N, C), for the next stage.
        attention_features: (B, T, N, C), for the mask head (published name: attn_feats).
    """

    logits: Tensor
    deltas: Tensor
    queries: Tensor
    attention_features: Tensor


class FeedForward(nn.Module):
    """Two linear layers with ReLU and residual, under the published names."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(Linear(channels, hidden), nn.ReLU(inplace=True)),
            Linear(hidden, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return x + self.layers(x)


def _branch(channels: int, layers: int) -> nn.Sequential:
    """``layers`` times linear without bias, LayerNorm, ReLU."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [
            Linear(channels, channels, bias=False),
            nn.LayerNorm(channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*parts)


class BoxHead(nn.Module):
    """A cascade stage of the spatiotemporal query interaction head (paper, section 3.3)."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        channels = config.channels
        self.kind = config.kind
        self.fc_cls = Linear(channels, config.classes)
        self.fc_reg = Linear(channels, 4)
        self.attention = ResidualAttention(channels, config.attention_heads)
        self.attention_norm = nn.LayerNorm(channels)
        own = own_interaction(config.kind, channels, config.attention_heads)
        if own is not None:
            self.temporal_attention = own
            self.temporal_attention_norm = nn.LayerNorm(channels)
        self.instance_interactive_conv = DynamicConv(channels, config.dynamic_channels, BOX_BINS**2)
        self.instance_interactive_conv_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, config.ffn_channels)
        self.ffn_norm = nn.LayerNorm(channels)
        self.cls_fcs = _branch(channels, 1)
        self.reg_fcs = _branch(channels, 3)

    def forward(self, queries: Tensor, pooled: Tensor) -> BoxHeadOutput:
        """Update the queries and predict classes and box deltas.

        Args:
            queries: (B, T, N, C).
            pooled: (B * T * N, 49, C), features of the queries' boxes.
        """
        attended = self._attend_over_time(self._attend_over_queries(queries))
        read = self.instance_interactive_conv(attended.flatten(0, 2), pooled)
        x = self.instance_interactive_conv_norm(attended + read.view_as(attended))
        x = self.ffn_norm(self.ffn(x))
        return BoxHeadOutput(
            logits=self.fc_cls(self.cls_fcs(x)),
            deltas=self.fc_reg(self.reg_fcs(x)),
            queries=x,
            attention_features=attended,
        )

    def _attend_over_queries(self, queries: Tensor) -> Tensor:
        """Attention among the N queries of each frame."""
        x = self.attention_norm(self.attention(queries.flatten(0, 1)))
        return x.view_as(queries)

    def _attend_over_time(self, queries: Tensor) -> Tensor:
        """What the T copies of each query tell one another; shared weights: those over queries."""
        if self.kind == "per_frame":
            return queries
        shared = self.kind == "stqi"
        attention = self.attention if shared else self.temporal_attention
        norm = self.attention_norm if shared else self.temporal_attention_norm
        # in this order in memory: else torch multiplies each query by weights copied for it
        by_query = queries.transpose(1, 2).contiguous()
        x = norm(attention(by_query.flatten(0, 1)))
        return x.view_as(by_query).transpose(1, 2)
