"""From mask logits inside boxes to masks in frames, and back to targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_align as image_roi_align

from core.model.boxes import finite_or_empty


def _interpolation(low: Tensor, high: Tensor, samples: int, cells: int) -> Tensor:
    """(K, samples, cells) weights that resample ``cells`` values spread from low to high.

    Sample i lies at pixel centre i + 0.5; beyond the outermost cells the values fall to zero
    within one cell, as zero padding does in ``grid_sample``.
    """
    centres = torch.arange(samples, device=low.device, dtype=low.dtype) + 0.5
    extent = (high - low)[:, None]
    position = (centres - low[:, None]) / extent * cells - 0.5
    distance = position[..., None] - torch.arange(cells, device=low.device, dtype=low.dtype)
    # an empty box covers nothing; its positions are not numbers
    return (1 - distance.abs()).clamp(min=0).nan_to_num(0.0)


def paste_masks(
    mask_logits: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5
) -> Tensor:
    """Paste each mask into its box of a frame.

    Bilinear sampling is separable, so a mask is pasted by two small matrix products.

    Args:
        mask_logits: (K, h, w) inside the boxes.
        boxes: (K, 4) xyxy in pixels of the frame.
        size: (height, width) of the frame.
        threshold: of the interpolated probability.

    Returns:
        (K, height, width) bool.
    """
    x1, y1, x2, y2 = boxes.float().unbind(-1)
    rows = _interpolation(y1, y2, size[0], mask_logits.shape[1])
    columns = _interpolation(x1, x2, size[1], mask_logits.shape[2])
    probabilities = rows @ mask_logits.float().sigmoid() @ columns.transpose(1, 2)
    return probabilities >= threshold


def mask_targets(masks: Tensor, boxes: Tensor, size: int, places: Tensor | None = None) -> Tensor:
    """What the mask head should say inside predicted boxes.

    Args:
        masks: (M, H, W) bool, true masks in the padded frame.
        boxes: (R, 4) predicted boxes; clipped to the frame here.
        size: side of the mask head's output.
        places: (R,) which of the masks is each box's; none: one after the other.

    Returns:
        (R, size, size) float, 0 or 1.
    """
    height, width = masks.shape[1:]
    limit = boxes.new_tensor([width, height, width, height])
    boxes = finite_or_empty(boxes).clamp(min=0).minimum(limit)
    if places is None:
        places = torch.arange(len(boxes), device=boxes.device)
    rois = torch.cat((places.to(boxes.dtype)[:, None], boxes), dim=1)
    crops = image_roi_align(masks[:, None].to(boxes.dtype), rois, size, aligned=True)
    return (crops[:, 0] >= 0.5).to(boxes.dtype)
