"""The cascade of box and mask heads over learned queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from core.config.schema import HeadConfig
from core.model.box_head import BOX_BINS, BoxHead
from core.model.boxes import apply_deltas, proposal_boxes
from core.model.mask_head import MASK_BINS, MaskHead
from core.model.operators.roi_align import Pyramid, roi_align

CLASS_PRIOR = 0.01


class LearnedQueries(nn.Module):
    """N learned proposal boxes and features, the same for every frame (published: rpn_head)."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.init_proposal_bboxes = nn.Embedding(config.queries, 4)
        self.init_proposal_features = nn.Embedding(config.queries, config.channels)
        with torch.no_grad():
            whole_frame = torch.tensor([0.5, 0.5, 1.0, 1.0])
            self.init_proposal_bboxes.weight.copy_(whole_frame.expand(config.queries, 4))

    def forward(
        self, clip_length: int, frame_sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Boxes (B, T, N, 4) in pixels and features (B, T, N, C) for B clips of T frames.

        Args:
            frame_sizes: (height, width) of each clip's frames before padding.
        """
        normalised = self.init_proposal_bboxes.weight
        boxes = torch.stack([proposal_boxes(normalised, size) for size in frame_sizes])
        features = self.init_proposal_features.weight
        return (
            boxes[:, None].expand(-1, clip_length, -1, -1),
            features.expand(len(frame_sizes), clip_length, -1, -1),
        )


@dataclass(frozen=True)
class StageOutput:
    """One cascade stage's predictions for B clips of T frames with N queries.

    Attributes:
        logits: (B, T, N, classes).
        boxes: (B, T, N, 4) xyxy in pixels of the resized frame.
        queries: (B, T, N, C).
        attention_features: (B, T, N, C).
    """

    logits: Tensor
    boxes: Tensor
    queries: Tensor
    attention_features: Tensor


class QueryHead(nn.Module):
    """Cascade stages, each a box head and a mask head of its own (published: roi_head)."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.bbox_head = nn.ModuleList(BoxHead(config) for _ in range(config.stages))
        self.mask_head = nn.ModuleList(MaskHead(config) for _ in range(config.stages))
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1 and not name.endswith("time_bias"):
                nn.init.xavier_uniform_(parameter)
        for head in self.bbox_head:
            fc_cls = cast(BoxHead, head).fc_cls
            nn.init.constant_(fc_cls.bias, -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR))

    def forward(self, pyramid: Pyramid, boxes: Tensor, queries: Tensor) -> list[StageOutput]:
        """Refine ``boxes`` (B, T, N, 4) and ``queries`` (B, T, N, C) stage by stage.

        Each stage starts from the boxes of the one before, detached; only the first stage's
        loss reaches the learned boxes.
        """
        frames = frame_index(boxes)
        outputs: list[StageOutput] = []
        for head in self.bbox_head:
            pooled = roi_align(pyramid, boxes.flatten(0, 2), frames, BOX_BINS)
            out = head(queries, pooled)
            moved = apply_deltas(boxes.float(), out.deltas.float())
            outputs.append(StageOutput(out.logits, moved, out.queries, out.attention_features))
            boxes, queries = moved.detach(), out.queries
        return outputs

    def masks(
        self, stage: int, pyramid: Pyramid, boxes: Tensor, frames: Tensor, features: Tensor
    ) -> Tensor:
        """Mask logits (R, classes, 28, 28) of the boxes (R, 4) in ``frames`` (R,).

        Args:
            stage: whose mask head; negative counts from the last.
            features: (R, C), attention features of the boxes' queries.
        """
        pooled = roi_align(pyramid, boxes, frames, MASK_BINS)
        logits: Tensor = self.mask_head[stage](features, pooled)
        return logits

    def masks_of_labels(
        self,
        of_stages: Sequence[int],
        pyramid: Pyramid,
        boxes: Tensor,
        frames: Tensor,
        features: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Mask logits (R, 28, 28) of one class a box, as :meth:`masks` gives them of all.

        Args:
            of_stages: how many of the boxes are each stage's, in their order.
            labels: (R,) int64, the class of each box.
        """
        pooled = roi_align(pyramid, boxes, frames, MASK_BINS)
        parts = (values.split(list(of_stages)) for values in (features, pooled, labels))
        heads = zip(self.mask_head, *parts, strict=True)
        return torch.cat([head(f, p, own) for head, f, p, own in heads])


def frame_index(boxes: Tensor) -> Tensor:
    """(B * T * N,) frame (0 to B * T - 1) of each of ``boxes`` (B, T, N, 4)."""
    clips, clip_length, queries = boxes.shape[:3]
    frames = torch.arange(clips * clip_length, device=boxes.device)
    return frames.repeat_interleave(queries, output_size=clips * clip_length * queries)
