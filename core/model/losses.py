"""Losses of a cascade stage (paper, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from core.config.schema import HeadConfig
from core.model.query_head import StageOutput
from core.model.structures import BatchTargets

DICE_EPS = 1e-5
# the published GIoU guards its divisions by 1e-6; torchvision's default is 1e-7
GIOU_EPS = 1e-6


@dataclass(frozen=True)
class Positives:
    """The P (frame, query) places that show an instance, over all clips of the batch.

    Attributes:
        clip, frame, query: (P,) int64 places.
        labels: (P,) int64.
        boxes: (P, 4) true boxes in pixels.
        masks: (P, H, W) bool true masks.
        scale: (P, 4) width, height, width, height of the frame before padding.
    """

    clip: Tensor
    frame: Tensor
    query: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, values: Tensor) -> Tensor:
        """Entries of ``values`` (B, T, N, ...) at the positives: (P, ...)."""
        return values[self.clip, self.frame, self.query]


def gather_positives(targets: BatchTargets, queries: Tensor) -> Positives:
    """Where queries meet their instances; frames without the instance stay background.

    Args:
        queries: (J,) of one stage, on the host; see :func:`~core.model.matching.match`.
    """
    frame, instance = (targets.present & (queries >= 0)).nonzero(as_tuple=True)
    places = torch.stack((targets.clip[instance], frame, queries[instance], instance))
    clip, frame, query, instance = places.to(targets.boxes.device, non_blocking=True)
    return Positives(
        clip=clip,
        frame=frame,
        query=query,
        labels=targets.labels[instance],
        boxes=targets.boxes[frame, instance],
        masks=targets.masks[frame, instance],
        scale=targets.scale[instance],
    )


def mean_positives(stages: Sequence[Positives]) -> Tensor:
    """(S,) positives of each stage, averaged over a distributed run's processes; at least 1."""
    counts = torch.tensor([float(len(p)) for p in stages], device=stages[0].labels.device)
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(counts)
        counts = counts / dist.get_world_size()
    return counts.clamp(min=1)


def box_losses(
    stage: StageOutput, positives: Positives, count: Tensor, config: HeadConfig
) -> dict[str, Tensor]:
    """Focal, L1 and GIoU loss of one stage, weighted; and the positives' accuracy.

    Args:
        count: the stage's :func:`mean_positives`, by which the sums are divided.
    """
    logits = stage.logits.float()
    wanted = torch.zeros_like(logits)
    wanted[positives.clip, positives.frame, positives.query, positives.labels] = 1
    focal = sigmoid_focal_loss(
        logits, wanted, alpha=config.focal_alpha, gamma=config.focal_gamma, reduction="sum"
    )
    boxes = positives.of(stage.boxes)
    l1 = F.l1_loss(boxes / positives.scale, positives.boxes / positives.scale, reduction="sum")
    giou = generalized_box_iou_loss(boxes, positives.boxes, reduction="sum", eps=GIOU_EPS)
    right = positives.of(logits.detach()).argmax(dim=-1) == positives.labels
    return {
        "loss_cls": config.class_weight * focal / count,
        "pos_acc": 100.0 * right.sum() / max(len(positives), 1),
        "loss_bbox": config.l1_weight * l1 / count,
        "loss_iou": config.giou_weight * giou / count,
    }


def dice_loss(mask_logits: Tensor, wanted: Tensor) -> Tensor:
    """One minus the Dice overlap with squared denominators, a value a mask.

    Args:
        mask_logits: (P, h, w).
        wanted: (P, h, w), 0 or 1.

    Returns:
        (P,).
    """
    p, t = mask_logits.float().sigmoid().flatten(1), wanted.flatten(1)
    overlap = (p * t).sum(1)
    return 1 - 2 * overlap / ((p * p).sum(1) + DICE_EPS + (t * t).sum(1) + DICE_EPS)


def mask_losses(
    mask_logits: Tensor, wanted: Tensor, positives: Positives, count: Tensor, config: HeadConfig
) -> dict[str, Tensor]:
    """Dice loss, and cross-entropy where it weighs, of the positives' masks, weighted.

    Each mask is that of its instance's class; its cross-entropy is the mean over its pixels, as
    in Mask2Former (Cheng et al., CVPR 2022).

    Args:
        mask_logits: (P, classes, h, w).
        wanted: (P, h, w).
        count: as in :func:`box_losses`.
    """
    chosen = mask_logits[torch.arange(len(positives)), positives.labels]
    losses = {"loss_mask": config.dice_weight * dice_loss(chosen, wanted).sum() / count}
    if config.bce_weight:
        bce = F.binary_cross_entropy_with_logits(chosen.float(), wanted.float(), reduction="none")
        losses["loss_bce"] = config.bce_weight * bce.flatten(1).mean(1).sum() / count
    return losses
