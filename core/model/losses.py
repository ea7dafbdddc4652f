"""Losses of a cascade stage (paper, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from core.config.schema import HeadConfig
from core.model.boxes import generalized_iou
from core.model.structures import BatchTargets

DICE_EPS = 1e-5
# the published GIoU guards its divisions by 1e-6
GIOU_EPS = 1e-6


@dataclass(frozen=True)
class Positives:
    """The P (frame, query) places that show an instance, over all stages and clips of the batch.

    Attributes:
        of_stages: how many each stage has; the first stage's come first.
        stage, clip, frame, query: (P,) int64 places.
        labels: (P,) int64.
        boxes: (P, 4) true boxes in pixels.
        masks: (P,) int64 place of the true mask among the batch's T * J.
        scale: (P, 4) width, height, width, height of the frame before padding.
    """

    of_stages: tuple[int, ...]
    stage: Tensor
    clip: Tensor
    frame: Tensor
    query: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Tensor
    scale: Tensor

    def of(self, values: Tensor) -> Tensor:
        """Entries of ``values`` (S, B, T, N, ...) at the positives: (P, ...)."""
        return values[self.stage, self.clip, self.frame, self.query]

    def sums(self, values: Tensor) -> Tensor:
        """(S,) sums of each stage's entries of ``values`` (P, ...)."""
        return torch.stack([of_stage.sum() for of_stage in values.split(self.of_stages)])


def gather_positives(targets: BatchTargets, queries: Tensor) -> Positives:
    """Where queries meet their instances; frames without the instance stay background.

    Args:
        queries: (S, J), on the host; see :func:`~core.model.matching.match`.
    """
    places = targets.present & (queries >= 0)[:, None]
    stage, frame, instance = places.nonzero(as_tuple=True)
    query = queries[stage, instance]
    mask = frame * places.shape[2] + instance
    moved = torch.stack((stage, targets.clip[instance], frame, query, instance, mask))
    moved = moved.to(targets.boxes.device, non_blocking=True)
    stage, clip, frame, query, instance, mask = moved.unbind()
    return Positives(
        of_stages=tuple(places.sum((1, 2)).tolist()),
        stage=stage,
        clip=clip,
        frame=frame,
        query=query,
        labels=targets.labels[instance],
        boxes=targets.boxes[frame, instance],
        masks=mask,
        scale=targets.scale[instance],
    )


def mean_positives(positives: Positives) -> Tensor:
    """(S,) positives of each stage, averaged over a distributed run's processes; at least 1."""
    counts = torch.tensor(positives.of_stages, dtype=torch.float32)
    counts = counts.to(positives.labels.device, non_blocking=True)
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(counts)
        counts = counts / dist.get_world_size()
    return counts.clamp(min=1)


def box_losses(
    logits: Tensor, boxes: Tensor, positives: Positives, counts: Tensor, config: HeadConfig
) -> dict[str, Tensor]:
    """Focal, L1 and GIoU loss, weighted, and the positives' accuracy: (S,) of the S stages.

    Args:
        logits: (S, B, T, N, classes).
        boxes: (S, B, T, N, 4) xyxy in pixels.
        counts: (S,) :func:`mean_positives`, by which the sums are divided.
    """
    logits = logits.float()
    p = positives
    wanted = torch.zeros_like(logits)
    wanted[p.stage, p.clip, p.frame, p.query, p.labels] = 1
    focal = sigmoid_focal_loss(logits, wanted, alpha=config.focal_alpha, gamma=config.focal_gamma)
    focal = focal.flatten(1).sum(1)
    boxes = p.of(boxes)
    l1 = F.l1_loss(boxes / p.scale, p.boxes / p.scale, reduction="none")
    giou = 1 - generalized_iou(boxes, p.boxes, GIOU_EPS)
    right = p.of(logits.detach()).argmax(dim=-1) == p.labels
    own = counts.new_tensor(p.of_stages).clamp(min=1)
    return {
        "loss_cls": config.class_weight * focal / counts,
        "pos_acc": 100.0 * p.sums(right) / own,
        "loss_bbox": config.l1_weight * p.sums(l1) / counts,
        "loss_iou": config.giou_weight * p.sums(giou) / counts,
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
    mask_logits: Tensor, wanted: Tensor, positives: Positives, counts: Tensor, config: HeadConfig
) -> dict[str, Tensor]:
    """Dice loss, and cross-entropy where it weighs, of the positives' masks, weighted: each (S,).

    The cross-entropy of a mask is the mean over its pixels, as in Mask2Former (Cheng et al.,
    CVPR 2022).

    Args:
        mask_logits: (P, h, w), each of its instance's class.
        wanted: (P, h, w).
        counts: as in :func:`box_losses`.
    """
    dice = positives.sums(dice_loss(mask_logits, wanted))
    losses = {"loss_mask": config.dice_weight * dice / counts}
    if config.bce_weight:
        bce = F.binary_cross_entropy_with_logits(mask_logits.float(), wanted, reduction="none")
        bce = positives.sums(bce.flatten(1).mean(1))
        losses["loss_bce"] = config.bce_weight * bce / counts
    return losses
