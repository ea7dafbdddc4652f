"""TeViT: clips of frames to tracked instances."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.config.schema import ModelConfig
from core.model.backbones import build_backbone
from core.model.boxes import scale_factors
from core.model.losses import box_losses, gather_positives, mask_losses, mean_positives
from core.model.masks import mask_targets, paste_masks
from core.model.matching import match
from core.model.neck import FPN
from core.model.operators.roi_align import Pyramid
from core.model.query_head import LearnedQueries, QueryHead, StageOutput
from core.model.structures import BatchTargets, ClipTargets, Detections, Instances

STRIDES = (4, 8, 16, 32)
Size = tuple[int, int]


class TeViT(nn.Module):
    """Temporally efficient vision transformer for video instance segmentation.

    The children are named as in the published weights: ``backbone``, ``neck``, ``rpn_head``
    (learned queries) and ``roi_head`` (cascade of box and mask heads).
    """

    def __init__(self, config: ModelConfig, top_k: int = 10, mask_threshold: float = 0.5) -> None:
        super().__init__()
        self.config = config
        self.top_k = top_k
        self.mask_threshold = mask_threshold
        self.backbone = build_backbone(config)
        self.neck = FPN(self.backbone.channels, config.head.channels)
        self.rpn_head = LearnedQueries(config.head)
        self.roi_head = QueryHead(config.head)

    def forward(
        self,
        frames: Tensor,
        targets: list[ClipTargets] | None = None,
        frame_sizes: list[Size] | None = None,
        video_sizes: list[Size] | None = None,
    ) -> dict[str, Tensor] | list[Instances]:
        """Losses where ``targets`` are given, else each clip's instances.

        Args:
            frames: (B, T, 3, H, W), normalised and padded.
            targets: ground truth of each clip; they carry the frame sizes.
            frame_sizes: (height, width) of each clip before padding; none: nothing is padding.
            video_sizes: (height, width) at which masks are wanted; none: the frame sizes.
        """
        if targets is not None:
            return self.losses(frames, targets)
        detections = self.detect(frames, frame_sizes)
        sizes = video_sizes or [d.frame_size for d in detections]
        return [
            paste(d, size, self.mask_threshold) for d, size in zip(detections, sizes, strict=True)
        ]

    def stages(self, frames: Tensor, frame_sizes: list[Size]) -> tuple[Pyramid, list[StageOutput]]:
        """Run backbone, neck and box heads over ``frames`` (B, T, 3, H, W)."""
        levels = self.neck(self.backbone(frames))
        pyramid = Pyramid.from_levels(levels, STRIDES, self.config.head.roi_base)
        boxes, queries = self.rpn_head(frames.shape[1], frame_sizes)
        return pyramid, self.roi_head(pyramid, boxes, queries)

    def detect(self, frames: Tensor, frame_sizes: list[Size] | None = None) -> list[Detections]:
        """Each clip's best (query, class) pairs, masks not yet pasted.

        A pair's score is its class probability averaged over the frames; a query may appear
        with several classes.
        """
        sizes = frame_sizes or [(frames.shape[3], frames.shape[4])] * frames.shape[0]
        pyramid, outputs = self.stages(frames, sizes)
        return [
            self._best_of_clip(pyramid, outputs[-1], clip, size) for clip, size in enumerate(sizes)
        ]

    def _best_of_clip(
        self, pyramid: Pyramid, stage: StageOutput, clip: int, size: Size
    ) -> Detections:
        frame_scores = stage.logits[clip].float().sigmoid()
        scores = frame_scores.mean(dim=0)
        best, pairs = scores.flatten().topk(min(self.top_k, scores.numel()))
        queries, labels = pairs // scores.shape[1], pairs % scores.shape[1]
        boxes = stage.boxes[clip][:, queries]
        clip_length, count = boxes.shape[:2]
        frames = clip * clip_length + torch.arange(clip_length, device=boxes.device)
        logits = self.roi_head.masks(
            -1,
            pyramid,
            boxes.flatten(0, 1),
            frames.repeat_interleave(count, output_size=clip_length * count),
            stage.attention_features[clip][:, queries].flatten(0, 1),
        )
        chosen = logits[torch.arange(len(logits), device=boxes.device), labels.repeat(clip_length)]
        return Detections(
            scores=best,
            labels=labels,
            queries=queries,
            boxes=boxes,
            mask_logits=chosen.unflatten(0, (clip_length, count)),
            frame_scores=frame_scores[:, queries, labels],
            frame_size=size,
        )

    def losses(self, frames: Tensor, targets: list[ClipTargets]) -> dict[str, Tensor]:
        """Weighted losses of every stage; the total is the sum of those named ``loss``."""
        pyramid, outputs = self.stages(frames, [target.frame_size for target in targets])
        batch = BatchTargets.of(targets)
        logits, boxes, features = (
            torch.stack([getattr(stage, name) for stage in outputs])
            for name in ("logits", "boxes", "attention_features")
        )
        positives = gather_positives(batch, match(logits.detach(), boxes.detach(), batch))
        counts = mean_positives(positives)
        losses = box_losses(logits, boxes, positives, counts, self.config.head)
        rois = positives.of(boxes.detach())
        masks = self.roi_head.masks_of_labels(
            positives.of_stages,
            pyramid,
            rois,
            positives.clip * frames.shape[1] + positives.frame,
            positives.of(features),
            positives.labels,
        )
        wanted = mask_targets(batch.masks.flatten(0, 1), rois, masks.shape[-1], positives.masks)
        losses |= mask_losses(masks, wanted, positives, counts, self.config.head)
        weights = counts.new_full(counts.shape, self.config.head.auxiliary_weight)
        weights[-1] = 1
        losses = {n: weights * v if "loss" in n else v for n, v in losses.items()}
        return {
            f"stage{i}_{name}": value
            for name, values in losses.items()
            for i, value in enumerate(values.unbind())
        }


def paste(detections: Detections, video_size: Size, threshold: float = 0.5) -> Instances:
    """Detections as instances at the video's size (height, width)."""
    boxes = rescale_boxes(detections.boxes, detections.frame_size, video_size)
    masks = [
        paste_masks(logits, frame_boxes, video_size, threshold)
        for logits, frame_boxes in zip(detections.mask_logits, boxes, strict=True)
    ]
    return Instances(
        scores=detections.scores,
        labels=detections.labels,
        boxes=boxes,
        masks=torch.stack(masks, dim=1),
    )


def rescale_boxes(boxes: Tensor, frame_size: Size, video_size: Size) -> Tensor:
    """Boxes (..., 4) from the resized frame to the video."""
    return boxes * (scale_factors(video_size, boxes) / scale_factors(frame_size, boxes))


def build_model(config: ModelConfig) -> TeViT:
    """The model that ``config`` describes, with initial weights from torch's generator."""
    inference = getattr(config, "inference", None)
    if inference is None:
        return TeViT(config)
    return TeViT(config, top_k=inference.top_k, mask_threshold=inference.mask_threshold)
