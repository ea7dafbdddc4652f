"""Pyramid Vision Transformer v2, with or without messenger tokens.

Patches and messengers travel as one token sequence, patches first: norms, attention queries and
residuals treat them alike.  Only convolutions and the choice of keys tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from core.config.schema import BackboneConfig, MessengerConfig
from core.model.attention import MultiheadAttention
from core.model.backbones.messengers import block_shift_steps, project_messengers, shift_messengers
from core.model.backbones.temporal import FrameMixer
from core.model.operators.frames import few_at_a_time


@dataclass(frozen=True)
class PVTVariant:
    """What differs between b0 and b5: first width, blocks and MLP ratio a stage."""

    width: int
    depths: tuple[int, int, int, int]
    mlp_ratios: tuple[int, int, int, int] = (8, 8, 4, 4)


VARIANTS = {
    "pvt_v2_b0": PVTVariant(32, (2, 2, 2, 2)),
    "pvt_v2_b1": PVTVariant(64, (2, 2, 2, 2)),
    "pvt_v2_b2": PVTVariant(64, (3, 4, 6, 3)),
    "pvt_v2_b3": PVTVariant(64, (3, 4, 18, 3)),
    "pvt_v2_b4": PVTVariant(64, (3, 8, 27, 3)),
    "pvt_v2_b5": PVTVariant(64, (3, 6, 40, 3), mlp_ratios=(4, 4, 4, 4)),
}
_HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
NORM_EPS = 1e-6


def split_tokens(tokens: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Tokens (B, H*W + M, C) as an image (B, C, H, W) and messengers (B, M, C)."""
    height, width = size
    patches, messengers = tokens.tensor_split((height * width,), dim=1)
    return patches.transpose(1, 2).unflatten(2, size), messengers


def join_tokens(image: Tensor, messengers: Tensor) -> Tensor:
    """The inverse of :func:`split_tokens`."""
    patches = image.flatten(2).transpose(1, 2)
    return torch.cat((patches, messengers), dim=1) if messengers.shape[1] else patches


class OverlapPatchEmbed(nn.Module):
    """Strided overlapping convolution and LayerNorm."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)

    def forward(self, image: Tensor, messengers: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Image (B, C, H, W) and messengers (B, M, C) to tokens and their image size."""
        image = self.projection(image)
        if messengers.shape[1]:
            messengers = project_messengers(self.projection, messengers)
        return self.norm(join_tokens(image, messengers)), (image.shape[2], image.shape[3])


class SpatialReductionAttention(nn.Module):
    """Attention whose keys and values are the spatially reduced patches and the messengers.

    Where the reduction ratio is 1 (stage 4) the keys and values are the patches alone, as
    published: messengers are never read there.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.attn = MultiheadAttention(channels, heads)
        self.reduction = reduction
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, reduction)
            self.norm = nn.LayerNorm(channels, eps=NORM_EPS)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, H*W + M, C) to the same shape, before the residual."""
        if self.reduction == 1:
            return self.attn(tokens, tokens[:, : size[0] * size[1]])
        image, messengers = split_tokens(tokens, size)
        if messengers.shape[1]:
            messengers = project_messengers(self.sr, messengers)
        return self.attn(tokens, self.norm(join_tokens(self.sr(image), messengers)))


class MixFFN(nn.Module):
    """MLP of 1x1 convolutions with a 3x3 depth-wise convolution between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        # place 3 was a dropout of rate 0; the numbering of the published names stays
        self.layers = nn.ModuleDict(
            {
                "0": nn.Conv2d(channels, hidden, 1),
                "1": nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
                "4": nn.Conv2d(hidden, channels, 1),
            }
        )

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, H*W + M, C) to the same shape, before the residual."""
        expand, depthwise, reduce = (cast(nn.Conv2d, self.layers[name]) for name in "014")
        # a 1x1 convolution is a linear layer, and it takes patches and messengers together
        hidden = project_messengers(expand, tokens)
        image, messengers = split_tokens(hidden, size)
        if messengers.shape[1]:
            messengers = project_messengers(depthwise, messengers)
        hidden = F.gelu(join_tokens(depthwise(image), messengers))
        return project_messengers(reduce, hidden)


class PVTBlock(nn.Module):
    """Pre-norm transformer block: attention, then MLP."""

    def __init__(
        self, channels: int, heads: int, reduction: int, mlp_ratio: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = SpatialReductionAttention(channels, heads, reduction)
        self.norm2 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.ffn = MixFFN(channels, channels * mlp_ratio)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, H*W + M, C) to the same shape."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), size))
        mlp = few_at_a_time(lambda frames: self.ffn(self.norm2(frames), size), tokens)
        return tokens + self.drop_path(mlp)


class PVTv2(nn.Module):
    """PVTv2 over the frames of clips; with messengers it is the paper's MsgShifT backbone.

    Attributes:
        channels: channels of the four outputs, at strides 4, 8, 16 and 32.
    """

    def __init__(self, config: BackboneConfig, messenger: MessengerConfig) -> None:
        super().__init__()
        variant = VARIANTS[config.name]
        width = config.width or variant.width
        self.channels = tuple(width * heads for heads in _HEADS)
        self.messenger = messenger
        if messenger.tokens:
            first = messenger.stages[0]
            in_channels = 3 if first == 1 else self.channels[first - 2]
            self.msg_tokens = nn.Parameter(torch.empty(1, messenger.tokens, in_channels))
        rates = iter(np.linspace(0, config.drop_path, sum(variant.depths)).tolist())
        self.layers = nn.ModuleList()
        for i, depth in enumerate(variant.depths):
            embed = OverlapPatchEmbed(
                self.channels[i - 1] if i else 3,
                self.channels[i],
                kernel=3 if i else 7,
                stride=2 if i else 4,
            )
            blocks = nn.ModuleList(
                PVTBlock(
                    self.channels[i], _HEADS[i], REDUCTIONS[i], variant.mlp_ratios[i], next(rates)
                )
                for _ in range(depth)
            )
            norm = nn.LayerNorm(self.channels[i], eps=NORM_EPS)
            self.layers.append(nn.ModuleList([embed, blocks, norm]))
        self.reset_parameters()
        self.mixer = FrameMixer(config.temporal, self.channels[-1])
        self.mixer.enter(*(m.attn for m in self.modules() if isinstance(m, PVTBlock)))

    def reset_parameters(self) -> None:
        """Published initial values; messengers start as small noise, so that they differ."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            elif isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
        if self.messenger.tokens:
            nn.init.trunc_normal_(self.msg_tokens, std=0.02)

    def stage_parameters(self, stage: int) -> Iterator[nn.Parameter]:
        """Parameters of ``stage`` (0: the stem, which PVTv2 lacks; 1 to 4).

        The messengers belong to the first stage that carries them.
        """
        if stage:
            yield from self.layers[stage - 1].parameters()
        if self.messenger.tokens and stage == self.messenger.stages[0]:
            yield self.msg_tokens

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Frames (B, T, 3, H, W) to four feature maps (B * T, C, H / stride, W / stride)."""
        self.mixer.clip_length = clip_length = frames.shape[1]
        image = frames.flatten(0, 1)
        messengers = image.new_empty(image.shape[0], 0, 1)
        features = []
        for stage, parts in enumerate(self.layers, start=1):
            embed, blocks, norm = cast(nn.ModuleList, parts)
            blocks = cast(nn.ModuleList, blocks)
            messengers = self._messengers_into(stage, messengers, image.shape[0])
            tokens, size = embed(image, messengers)
            steps = self.messenger.steps_of_stage(stage)
            for i, block in enumerate(blocks):
                tokens = block(tokens, size)
                if steps:
                    image, messengers = split_tokens(tokens, size)
                    shifted = block_shift_steps(steps, i, len(blocks))
                    messengers = shift_messengers(messengers, clip_length, shifted)
                    tokens = join_tokens(image, messengers)
            image, messengers = split_tokens(norm(tokens), size)
            image = self.mixer(image, stage)
            features.append(image)
        return features

    def _messengers_into(self, stage: int, messengers: Tensor, frames: int) -> Tensor:
        """Messengers that enter ``stage``: new in the first that carries them, else passed on."""
        if not self.messenger.tokens or stage not in self.messenger.stages:
            return messengers[:, :0]
        if stage == self.messenger.stages[0]:
            return self.msg_tokens.expand(frames, -1, -1)
        return messengers
