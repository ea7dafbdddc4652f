"""Swin Transformer with shifted windows, on images of any size (padded inside)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from core.config.schema import BackboneConfig
from core.model.backbones.temporal import FrameMixer
from core.model.operators.frames import few_at_a_time
from core.model.operators.linear import Linear

WINDOW = 7


@dataclass(frozen=True)
class SwinVariant:
    """First width, blocks and attention heads a stage."""

    width: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]


_VARIANTS = {
    "swin_t": SwinVariant(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin_s": SwinVariant(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin_b": SwinVariant(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "swin_l": SwinVariant(192, (2, 2, 18, 2), (6, 12, 24, 48)),
}


def relative_position_index(window: int) -> Tensor:
    """(window^2, window^2) index into the table of (2 window - 1)^2 relative positions."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()
    dy = y[:, None] - y[None, :] + window - 1
    dx = x[:, None] - x[None, :] + window - 1
    return dy * (2 * window - 1) + dx


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Pad (B, H, W, C) with zeros at the bottom and right to a multiple of ``multiple``."""
    height, width = x.shape[1:3]
    return F.pad(x, (0, 0, 0, -width % multiple, 0, -height % multiple))


def to_windows(x: Tensor) -> Tensor:
    """(B, H, W, C) to windows (B * nH * nW, WINDOW^2, C)."""
    x = x.unflatten(2, (-1, WINDOW)).unflatten(1, (-1, WINDOW))
    return x.transpose(2, 3).flatten(0, 2).flatten(1, 2)


def from_windows(windows: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of :func:`to_windows`, for an image of ``size``."""
    rows, columns = size[0] // WINDOW, size[1] // WINDOW
    x = windows.unflatten(1, (WINDOW, WINDOW)).unflatten(0, (-1, rows, columns))
    return x.transpose(2, 3).flatten(1, 2).flatten(2, 3)


def shifted_window_mask(size: tuple[int, int], shift: int, device: torch.device) -> Tensor:
    """Additive mask (nH * nW, WINDOW^2, WINDOW^2) that keeps rolled-in borders apart."""

    def regions(length: int) -> Tensor:
        position = torch.arange(length, device=device)
        return (position >= length - WINDOW).long() + (position >= length - shift).long()

    region = 3 * regions(size[0])[:, None] + regions(size[1])[None, :]
    windows = to_windows(region[None, :, :, None]).squeeze(-1)
    apart = windows[:, :, None] != windows[:, None, :]
    return torch.zeros(apart.shape, device=device).masked_fill(apart, -100.0)


class WindowAttention(nn.Module):
    """Multi-head attention inside a window with a learned bias for relative positions."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(WINDOW))
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Windows (B * n, L, C) to the same shape; ``mask``: (n, L, L) or none."""
        qkv = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        index = self.relative_position_index.flatten()  # type: ignore[operator]
        length = windows.shape[1]
        bias = self.relative_position_bias_table[index].view(length, length, -1).permute(2, 0, 1)
        if mask is None:
            bias = bias[None]
        else:
            clips = windows.shape[0] // mask.shape[0]
            bias = (bias[None] + mask[:, None]).repeat(clips, 1, 1, 1)
        q, k, v = qkv.unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.proj(attended.transpose(1, 2).flatten(2))


class ShiftedWindowAttention(nn.Module):
    """Window attention on an image, its windows shifted by half a window in odd blocks."""

    def __init__(self, channels: int, heads: int, shift: int) -> None:
        super().__init__()
        self.w_msa = WindowAttention(channels, heads)
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape, before the residual."""
        height, width = x.shape[1:3]
        x = pad_to_multiple(x, WINDOW)
        size = (x.shape[1], x.shape[2])
        mask = None
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
            mask = shifted_window_mask(size, self.shift, x.device)
        x = from_windows(self.w_msa(to_windows(x), mask), size)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]


class MLP(nn.Module):
    """Two linear layers with GELU, four times as wide inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(Linear(channels, 4 * channels), nn.GELU()),
            Linear(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return self.layers(x)


class SwinBlock(nn.Module):
    """Pre-norm transformer block with (shifted) window attention."""

    def __init__(self, channels: int, heads: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = ShiftedWindowAttention(channels, heads, shift)
        self.norm2 = nn.LayerNorm(channels)
        self.ffn = MLP(channels)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        mlp = few_at_a_time(lambda frames: self.ffn(self.norm2(frames)), x)
        return x + self.drop_path(mlp)


class PatchEmbed(nn.Module):
    """Non-overlapping 4x4 patches, linearly projected, and LayerNorm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, channels, 4, 4)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to (B, H / 4, W / 4, C)."""
        height, width = images.shape[2:]
        images = F.pad(images, (0, -width % 4, 0, -height % 4))
        return self.norm(self.projection(images).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """Join 2x2 patches: half the size, twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), 2 C)."""
        x = pad_to_multiple(x, 2)
        # channel-major order (C, 2, 2), that of torch.nn.Unfold, as in the published weights
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 3, 5, 2, 4).flatten(3)
        return self.reduction(self.norm(x))


class SwinStage(nn.Module):
    """Blocks of one resolution, and the merging that leads to the next."""

    def __init__(self, channels: int, heads: int, rates: list[float], last: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(channels, heads, WINDOW // 2 if i % 2 else 0, rate)
            for i, rate in enumerate(rates)
        )
        self.downsample = None if last else PatchMerging(channels)


class Swin(nn.Module):
    """Swin Transformer with a LayerNorm on each stage's output.

    Attributes:
        channels: channels of the four outputs, at strides 4, 8, 16 and 32.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        variant = _VARIANTS[config.name]
        width = config.width or variant.width
        self.channels = tuple(width * 2**i for i in range(4))
        self.patch_embed = PatchEmbed(width)
        block_rates = np.linspace(0, config.drop_path, sum(variant.depths))
        rates = np.split(block_rates, np.cumsum(variant.depths)[:-1])
        self.stages = nn.ModuleList(
            SwinStage(self.channels[i], variant.heads[i], rates[i].tolist(), last=i == 3)
            for i in range(4)
        )
        for i, channels in enumerate(self.channels):
            self.add_module(f"norm{i}", nn.LayerNorm(channels))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.mixer = FrameMixer(config.temporal, self.channels[-1])
        self.mixer.enter(*(m.attn for m in self.modules() if isinstance(m, SwinBlock)))

    def stage_parameters(self, stage: int) -> Iterator[nn.Parameter]:
        """Parameters of ``stage`` (0: the patch embedding; 1 to 4)."""
        if stage == 0:
            yield from self.patch_embed.parameters()
        else:
            yield from self.stages[stage - 1].parameters()
            yield from self.get_submodule(f"norm{stage - 1}").parameters()

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Frames (B, T, 3, H, W) to four feature maps (B * T, C, H / stride, W / stride)."""
        self.mixer.clip_length = frames.shape[1]
        x = self.patch_embed(frames.flatten(0, 1))
        features = []
        for i, stage in enumerate(self.stages):
            for block in stage.blocks:  # type: ignore[union-attr]
                x = block(x)
            x = self.mixer(x.permute(0, 3, 1, 2), i + 1).permute(0, 2, 3, 1)
            features.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2))
            if stage.downsample is not None:
                x = stage.downsample(x)  # type: ignore[operator]
        return features
