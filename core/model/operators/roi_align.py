"""RoIAlign over all FPN levels at once.

The pyramid is flattened into one table of feature vectors.  A bin of a box averages 2x2 samples,
each a bilinear mix of four vectors: a weighted sum of 16 rows of the table, which is what
``embedding_bag`` computes.  No loop over levels and no synchronisation with the host, and the
result (boxes, positions, channels) is what the dynamic convolution wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csc_array
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.model.boxes import finite_or_empty

SAMPLES = 2  # a side of a bin


@dataclass(frozen=True)
class Pyramid:
    """FPN levels as one table of feature vectors.

    Attributes:
        table: (sum of B * H * W over levels, C).
        sizes: (levels, 2) height and width of each level.
        offsets: (levels,) row of each level's first vector.
        strides: (levels,) pixels of the frame a cell.
        roi_base: box size (pixels) below which the finest level is read.
    """

    table: Tensor
    sizes: Tensor
    offsets: Tensor
    strides: Tensor
    roi_base: float

    @classmethod
    def from_levels(cls, levels: Sequence[Tensor], strides: Sequence[int], base: float) -> Pyramid:
        """Flatten ``levels``, each (B, C, H, W)."""
        device = levels[0].device
        sizes = torch.tensor([tuple(level.shape[2:]) for level in levels])
        lengths = torch.tensor([level.shape[0] * level[0, 0].numel() for level in levels])
        return cls(
            table=torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in levels]),
            sizes=sizes.to(device, non_blocking=True),
            offsets=(lengths.cumsum(0) - lengths).to(device, non_blocking=True),
            strides=torch.tensor(strides, dtype=torch.float32).to(device, non_blocking=True),
            roi_base=base,
        )

    def level_of(self, boxes: Tensor) -> Tensor:
        """(R,) level that each box (R, 4) reads: the coarser, the larger the box."""
        width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        side = (width * height).clamp(min=0).sqrt()
        level = (side / self.roi_base + 1e-6).log2().floor()
        return level.clamp(0, len(self.sizes) - 1).long()


def _axis_samples(low: Tensor, high: Tensor, bins: int, length: Tensor) -> tuple[Tensor, Tensor]:
    """Cells and weights of the samples along both axes.

    Args:
        low, high: (R, 2) edges x, y of the boxes in cells of their level.
        length: (R, 2) cells of the level along these axes.

    Returns:
        cells (R, 2, bins * SAMPLES, 2) int64 and weights of that shape.
    """
    steps = torch.arange(bins * SAMPLES, device=low.device, dtype=low.dtype)
    points = (steps + 0.5) / (bins * SAMPLES)
    position = low[..., None] + (high - low)[..., None] * points
    last = (length - 1)[..., None]
    # samples up to one cell outside read the border; those farther away are zero
    inside = (position >= -1) & (position <= length[..., None])
    position = position.clamp(min=0).minimum(last.to(position.dtype))
    first = position.floor()
    fraction = position - first
    weights = torch.stack((1 - fraction, fraction), dim=-1) * inside[..., None]
    first = first.long()
    return torch.stack((first, torch.minimum(first + 1, last)), dim=-1), weights


@torch.no_grad()
def _rows_and_weights(
    pyramid: Pyramid, boxes: Tensor, frames: Tensor, bins: int
) -> tuple[Tensor, Tensor]:
    """Rows of the table that each bin mixes and their weights, both (R * bins^2, 16)."""
    level = pyramid.level_of(boxes)
    sizes = pyramid.sizes[level]
    height, width = sizes.unbind(-1)
    # aligned: cell centres lie at half-integers of the frame's grid
    low, high = (boxes / pyramid.strides[level][:, None] - 0.5).split(2, dim=-1)
    cells, weights = _axis_samples(low, high, bins, sizes.flip(-1))
    columns, rows = cells.unbind(1)
    weight_x, weight_y = weights.unbind(1)

    def by_bin(along: Tensor) -> Tensor:  # (R, bins, samples * corners)
        return along.unflatten(1, (bins, SAMPLES)).flatten(2)

    start = (pyramid.offsets[level] + frames * height * width)[:, None, None]
    row_start = start + by_bin(rows) * width[:, None, None]
    index = row_start[:, :, None, :, None] + by_bin(columns)[:, None, :, None, :]
    weight = by_bin(weight_y)[:, :, None, :, None] * by_bin(weight_x)[:, None, :, None, :]
    return index.flatten(0, 2).flatten(1), weight.flatten(0, 2).flatten(1) / SAMPLES**2


class _WeightedRows(torch.autograd.Function):
    """``embedding_bag`` whose backward on a CPU adds rows where they belong, without a sort.

    (Sorting the indices takes most of the time of ``embedding_bag``'s own.)
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(index, weight)
        ctx.rows = len(table)
        return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        index, weight = ctx.saved_tensors
        bins, corners = index.shape
        starts = np.arange(0, index.numel() + 1, corners)
        # of one column a bin; scipy adds them one by one, without a sort or products in memory
        mix = (weight.float().flatten().numpy(), index.flatten().numpy(), starts)
        sums = csc_array(mix, shape=(ctx.rows, bins)) @ grad.float().numpy()
        return torch.from_numpy(sums).to(grad.dtype), None, None


def _weighted_rows(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """(R, C) sums of the rows ``index`` (R, K) of ``table``, times ``weight`` (R, K)."""
    if table.device.type == "cpu" and table.requires_grad and torch.is_grad_enabled():
        pooled: Tensor = _WeightedRows.apply(table, index, weight)
        return pooled
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)


def roi_align(pyramid: Pyramid, boxes: Tensor, frames: Tensor, bins: int) -> Tensor:
    """Pool each box from its FPN level into bins x bins positions.

    Equal to ``torchvision.ops.roi_align(..., sampling_ratio=2, aligned=True)`` on the level of
    each box.  No gradient flows to the boxes.

    Args:
        pyramid: levels of B frames.
        boxes: (R, 4) xyxy in pixels; they may leave the frame or be empty.
        frames: (R,) int64, the frame (0 to B - 1) of each box.
        bins: positions a side (7 for boxes, 14 for masks).

    Returns:
        (R, bins * bins, C), rows first.
    """
    index, weight = _rows_and_weights(pyramid, finite_or_empty(boxes), frames, bins)
    table = pyramid.table
    pooled = _weighted_rows(table, index, weight.to(table.dtype))
    return pooled.unflatten(0, (-1, bins * bins))
