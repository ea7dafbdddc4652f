"""The dynamic mask head: a 28x28 mask a class for each box."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from core.config.schema import HeadConfig
from core.model.dynamic_conv import DynamicConv
from core.model.operators.linear import linear, relu_then_one_row

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

    def forward(
        self, attention_features: Tensor, pooled: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """Mask logits of every class, or of one a box.

        Args:
            attention_features: (R, C), the box head's, after attention over time.
            pooled: (R, 196, C), features of the boxes at 14x14 positions.
            labels: (R,) int64, the class of each box; none: all classes.

        Returns:
            (R, classes, 28, 28); with ``labels`` (R, 28, 28).
        """
        x = self.instance_interactive_conv(attention_features, pooled)
        x = x.transpose(1, 2).unflatten(2, (MASK_BINS, MASK_BINS))
        for conv in self.convs:
            x = conv(x)
        return self._upsampled_logits(x.permute(0, 2, 3, 1), labels)

    def _upsampled_logits(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """``conv_logits(relu(upsample(x)))`` of x (R, 14, 14, C), as two matrix products.

        A 2x2 transposed convolution of stride 2 makes four pixels of each position alone, and a
        1x1 convolution looks at each of these alone.
        """
        corners = self.upsample.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * C, C)
        assert self.upsample.bias is not None
        corner_bias = self.upsample.bias.repeat(4)
        weight, bias = self.conv_logits.weight.flatten(1), self.conv_logits.bias
        assert bias is not None
        if labels is not None:
            own = relu_then_one_row(x.flatten(1, 2), corners, corner_bias, weight[labels])
            own = (own + bias[labels][:, None]).view(len(x), MASK_BINS, MASK_BINS, 2, 2)
            return own.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        pixels = F.relu_(linear(x, corners, corner_bias))
        pixels = pixels.unflatten(3, (2, 2, self.upsample.out_channels))
        logits = linear(pixels, weight, bias)
        return logits.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
