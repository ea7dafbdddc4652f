"""Which query learns which instance: one assignment a clip and stage (paper, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import generalized_box_iou

from core.model.boxes import scale_factors
from core.model.structures import ClipTargets

CLASS_COST, L1_COST, GIOU_COST = 2.0, 5.0, 2.0
ALPHA, GAMMA, EPS = 0.25, 2.0, 1e-12


@dataclass(frozen=True)
class Assignment:
    """Pairs of query and instance; a query keeps its instance in all frames of the clip.

    Attributes:
        queries: (P,) int64.
        instances: (P,) int64.
    """

    queries: Tensor
    instances: Tensor


def focal_cost(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal loss of saying each label minus that of not saying it.

    Args:
        logits: (N, classes).
        labels: (I,).

    Returns:
        (N, I).
    """
    p = logits.sigmoid()
    absent = -(1 - p + EPS).log() * (1 - ALPHA) * p**GAMMA
    present = -(p + EPS).log() * ALPHA * (1 - p) ** GAMMA
    return (present - absent)[:, labels]


def frame_cost(
    logits: Tensor, boxes: Tensor, labels: Tensor, target_boxes: Tensor, size: tuple[int, int]
) -> Tensor:
    """Matching cost (N, I) of N queries and I instances in one frame of ``size``.

    The L1 distance is that of the corners in units of the frame: the published assignments follow
    from it, and not from centres and sizes.
    """
    scale = scale_factors(size, boxes)
    l1 = torch.cdist(boxes / scale, target_boxes / scale, p=1)
    giou = generalized_box_iou(boxes, target_boxes)
    return CLASS_COST * focal_cost(logits, labels) + L1_COST * l1 - GIOU_COST * giou


@torch.no_grad()
def match_clip(logits: Tensor, boxes: Tensor, targets: ClipTargets) -> Assignment:
    """Assign instances to queries by the mean cost over the frames that show the instance.

    Args:
        logits: (T, N, classes).
        boxes: (T, N, 4) xyxy in pixels.
        targets: of the same clip; an instance present in no frame is not assigned.
    """
    queries = boxes.shape[1]
    cost = boxes.new_zeros((queries, len(targets.labels)), dtype=torch.float32)
    for t, seen in enumerate(targets.present):
        cost[:, seen] += frame_cost(
            logits[t].float(),
            boxes[t].float(),
            targets.labels[seen],
            targets.boxes[t, seen].float(),
            targets.frame_size,
        )
    present = targets.present.any(dim=0).nonzero().squeeze(1)
    mean = cost[:, present] / targets.present[:, present].sum(dim=0)
    # a diverged model's costs may be no numbers: any assignment will do, its loss is none either
    finite = mean.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    rows, columns = linear_sum_assignment(finite.cpu().numpy())
    device = boxes.device
    return Assignment(
        torch.as_tensor(rows, device=device), present[torch.as_tensor(columns, device=device)]
    )
