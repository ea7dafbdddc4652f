"""Copy-paste: instances of another clip before those of this one (Ghiasi et al., 2021)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from core.data.augment.view import boxes_around
from core.model.structures import ClipTargets

Sample = tuple[Tensor, ClipTargets]
"""Frames (T, 3, H, W) of a clip, and what they show."""


def pasted(clip: Sample, other: Sample, rng: np.random.Generator) -> Sample:
    """``clip`` with some instances of ``other``, at least one, pasted over it.

    What they cover is no part of an instance any more; one that no frame shows any more is no
    target.

    Args:
        clip: frames (T, 3, H, W) and their targets, not yet padded.
        other: of the same length and size.
    """
    (frames, targets), (other_frames, others) = clip, other
    chosen = torch.from_numpy(rng.random(len(others.labels)) < 0.5)
    chosen[int(rng.integers(len(chosen)))] = True
    new = others.masks[:, chosen]
    covered = torch.from_numpy(new.numpy().any(1))
    frames = torch.where(covered[:, None], other_frames, frames)
    masks = torch.cat([targets.masks & ~covered[:, None], new], 1)
    boxes = boxes_around(masks)
    seen = boxes[..., 2] > 0
    left = seen.any(0)
    labels = torch.cat([targets.labels, others.labels[chosen]])
    return frames, replace(
        targets,
        labels=labels[left],
        boxes=boxes[:, left],
        masks=masks[:, left],
        present=seen[:, left],
    )
