"""The dynamic mask head: a 28x28 mask a class for each box."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from core.config import HeadConfig
from core.dynamic_conv import DynamicConv

MASK_BINS = 14


class ConvNormReLU(nn.Module):
    """3x3 convolution, batch norm, ReLU, under the published names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, H, W) to the same shape."""
        return F.relu(self.bn(self.conv(x)))


class MaskHead(nn.Module):
    """Mask logits of boxes from their pooled features and their queries."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        channels = config.channels
        self.convs = nn.ModuleList(ConvNormReLU(channels) for _ in range(config.mask_convs))
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.conv_logits = nn.Conv2d(channels, config.classes, 1)
        self.instance_interactive_conv = DynamicConv(channels, config.dynamic_channels)

    def forward(self, attention_features: Tensor, pooled: Tensor) -> Tensor:
        """Mask logits of every class.

        Args:
            attention_features: (R, C), the box head's, after attention over time.
            pooled: (R, 196, C), features of the boxes at 14x14 positions.

        Returns:
            (R, classes, 28, 28).
        """
        x = self.instance_interactive_conv(attention_features, pooled)
        x = x.transpose(1, 2).unflatten(2, (MASK_BINS, MASK_BINS))
        for conv in self.convs:
            x = conv(x)
        return self.conv_logits(F.relu(self.upsample(x)))
