"""What goes into the model besides pixels, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClipTargets:
    """Ground truth of one clip of T frames with I instances.

    Attributes:
        labels: (I,) int64, 0 to classes - 1.
        boxes: (T, I, 4) float, xyxy in pixels of the resized frame; zeros where absent.
        masks: (T, I, H, W) bool at the resized frame (padding included); all false where absent.
        present: (T, I) bool: the instance is annotated in the frame.
        frame_size: (height, width) of the resized frame before padding.
        video_id: id of the video in its annotation file, for messages.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor
    present: Tensor
    frame_size: tuple[int, int]
    video_id: int = -1

    def to(self, device: object) -> ClipTargets:
        """The same targets with what the losses read on ``device``.

        ``present`` stays: it decides what is looked up, and asking a GPU means waiting for it.
        """
        moved = {name: getattr(self, name).to(device) for name in ("labels", "boxes", "masks")}
        return replace(self, **moved)


@dataclass(frozen=True)
class BatchTargets:
    """The J instances of a batch's clips, side by side.

    Attributes:
        counts: instances of each clip; the first clip's come first.
        clip: (J,) int64 clip of each instance, on the host.
        present: (T, J) bool, on the host.
        labels: (J,) int64.
        boxes: (T, J, 4) true boxes in pixels.
        masks: (T, J, H, W) bool.
        scale: (J, 4) width, height, width, height of the frame before padding.
    """

    counts: tuple[int, ...]
    clip: Tensor
    present: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Tensor
    scale: Tensor

    @classmethod
    def of(cls, clips: Sequence[ClipTargets]) -> BatchTargets:
        """The instances of ``clips``, which are of one length and padded to one size."""
        counts = tuple(len(clip.labels) for clip in clips)
        sizes = [list(clip.frame_size[::-1]) * 2 for clip in clips]
        clip = torch.tensor([i for i, count in enumerate(counts) for _ in range(count)]).long()
        boxes = torch.cat([clip.boxes for clip in clips], dim=1)
        return cls(
            counts=counts,
            clip=clip,
            present=torch.cat([clip.present for clip in clips], dim=1).cpu(),
            labels=torch.cat([clip.labels for clip in clips]),
            boxes=boxes,
            masks=torch.cat([clip.masks for clip in clips], dim=1),
            scale=torch.tensor(sizes, dtype=boxes.dtype)[clip].to(boxes.device, non_blocking=True),
        )


@dataclass(frozen=True)
class Detections:
    """A clip's K best (query, class) pairs, before masks are pasted into the frames.

    Attributes:
        scores: (K,) clip-level scores, falling.
        labels: (K,) int64 classes.
        queries: (K,) int64 query indices; one query may appear with several classes.
        boxes: (T, K, 4) xyxy in pixels of the resized frame.
        mask_logits: (T, K, h, w) of the chosen class inside the box (28x28 as published).
        frame_scores: (T, K) scores of the pairs in each frame, whose mean ``scores`` are.
        frame_size: (height, width) of the resized frame before padding.
    """

    scores: Tensor
    labels: Tensor
    queries: Tensor
    boxes: Tensor
    mask_logits: Tensor
    frame_scores: Tensor
    frame_size: tuple[int, int]


@dataclass(frozen=True)
class Instances:
    """A clip's instances at the video's size.

    Attributes:
        scores: (K,) falling.
        labels: (K,) int64 classes.
        boxes: (T, K, 4) xyxy in pixels of the video.
        masks: (T, K, H, W) bool.
    """

    scores: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Tensor
