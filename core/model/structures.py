"""What goes into the model besides pixels, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        """The same targets with their tensors on ``device``."""
        moved = {
            name: getattr(self, name).to(device) for name in ("labels", "boxes", "masks", "present")
        }
        return replace(self, **moved)


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
