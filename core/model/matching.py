"""Which query learns which instance: one assignment a clip and stage (paper, section 3.4)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from core.model.boxes import generalized_iou
from core.model.structures import BatchTargets

CLASS_COST, L1_COST, GIOU_COST = 2.0, 5.0, 2.0
ALPHA, GAMMA, EPS = 0.25, 2.0, 1e-12


def focal_cost(logits: Tensor) -> Tensor:
    """Focal loss of saying each class minus that of not saying it, of the logits' shape."""
    p = logits.sigmoid()
    absent = -(1 - p + EPS).log() * (1 - ALPHA) * p**GAMMA
    present = -(p + EPS).log() * ALPHA * (1 - p) ** GAMMA
    return present - absent


def matching_cost(logits: Tensor, boxes: Tensor, targets: BatchTargets) -> Tensor:
    """Cost of each query for each instance: the mean over the frames that show the instance.

    The L1 distance is that of the corners in units of the frame: the published assignments follow
    from it, and not from centres and sizes.

    Args:
        logits: (S, B, T, N, classes) of S stages.
        boxes: (S, B, T, N, 4) xyxy in pixels.

    Returns:
        (J, S, N); zero for an instance that no frame shows.
    """
    device = boxes.device
    clip, present = (
        part.to(device, non_blocking=True) for part in (targets.clip, targets.present.t())
    )
    classes = focal_cost(logits.float())[:, clip, :, :, targets.labels]  # (J, S, T, N)
    predicted = boxes.float().transpose(0, 1)[clip]
    true = targets.boxes.float().transpose(0, 1)[:, None, :, None]
    scale = targets.scale[:, None, None, None]
    l1 = (predicted / scale - true / scale).abs().sum(-1)
    giou = generalized_iou(predicted, true)
    cost = CLASS_COST * classes + L1_COST * l1 - GIOU_COST * giou
    shown = cost.where(present[:, None, :, None], 0.0)
    return shown.sum(2) / present.sum(1).clamp(min=1)[:, None, None]


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, targets: BatchTargets) -> Tensor:
    """Assign queries to instances, clip by clip and stage by stage, by the least sum of costs.

    A query keeps its instance in all frames of the clip.  All stages are matched at once, so that
    the host waits for the device once a step.

    Args:
        logits: (S, B, T, N, classes) of S stages.
        boxes: (S, B, T, N, 4) xyxy in pixels.

    Returns:
        (S, J) int64 on the host: the query of each instance; -1 for one that no frame shows, or
        that is left over because there are more instances than queries.
    """
    # a diverged model's costs may be no numbers: any assignment will do, its loss is none either
    costs = matching_cost(logits, boxes, targets).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    of_instances = costs.cpu().numpy()
    seen = targets.present.any(0).numpy()
    queries = np.full((len(logits), len(seen)), -1)
    first = 0
    for count in targets.counts:
        instances = first + np.flatnonzero(seen[first : first + count])
        first += count
        for stage, query in enumerate(queries):
            rows, columns = linear_sum_assignment(of_instances[instances, stage].T)
            query[instances[columns]] = rows
    return torch.from_numpy(queries)
