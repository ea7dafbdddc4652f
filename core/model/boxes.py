"""Boxes: formats, deltas, overlaps.

Boxes are xyxy in pixels unless a name says otherwise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.ops import box_convert

DELTA_STDS = (0.5, 0.5, 1.0, 1.0)
MAX_LOG_RATIO = abs(math.log(16 / 1000))


def scale_factors(size: tuple[int, int], like: Tensor) -> Tensor:
    """(4,) width, height, width, height of a frame of ``size`` (height, width)."""
    height, width = size
    return like.new_tensor([width, height, width, height])


def proposal_boxes(normalised: Tensor, size: tuple[int, int]) -> Tensor:
    """Learned boxes (N, 4), normalised cx, cy, w, h, in pixels of a frame of ``size``."""
    return box_convert(normalised, "cxcywh", "xyxy") * scale_factors(size, normalised)


def apply_deltas(boxes: Tensor, deltas: Tensor) -> Tensor:
    """Move and stretch ``boxes`` (..., 4) by the box head's ``deltas`` (..., 4).

    The result is not clipped to the image; the change of width and height is bounded.
    """
    dx, dy, dw, dh = (deltas * deltas.new_tensor(DELTA_STDS)).unbind(-1)
    cx, cy, w, h = box_convert(boxes, "xyxy", "cxcywh").unbind(-1)
    w_new = w * dw.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    h_new = h * dh.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    moved = torch.stack((cx + dx * w, cy + dy * h, w_new, h_new), dim=-1)
    return box_convert(moved, "cxcywh", "xyxy")


def generalized_iou(first: Tensor, second: Tensor, eps: float = 0.0) -> Tensor:
    """GIoU (...) of boxes (..., 4), one with one; shapes broadcast.

    Unlike torchvision's, it looks no value up, for which a GPU would have to be waited for.

    Args:
        eps: added to what is divided by.
    """
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (first, second)]
    union = areas[0] + areas[1] - common
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).clamp(min=0).prod(-1)
    return common / (union + eps) - (hull - union) / (hull + eps)


def finite_or_empty(boxes: Tensor) -> Tensor:
    """``boxes`` without gradient, those that are no numbers as empty ones.

    A diverged model must reach its loss, where training stops and says why, not fail in a look-up.
    """
    return boxes.detach().float().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
