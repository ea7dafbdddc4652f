"""Our model as a workload of measurement."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.workloads.boxes_in_frame import IN_FRAME, put_boxes_in_frame
from benchmarks.workloads.video_files import VideoFiles
from benchmarks.workloads.workload import ClipShape, Workload, autocast, random_frames
from core.config.overrides import override
from core.config.schema import Config
from core.data.transforms import Size
from core.inference.frames import FileFrames
from core.inference.predict import load_model, predict_video
from core.model.structures import Detections
from core.model.tevit import TeViT, build_model, paste


class DetectTensors(nn.Module):
    """``detect`` of a TeViT as a module that returns tensors, so that it can be traced."""

    def __init__(self, model: TeViT, frame_sizes: list[Size]) -> None:
        super().__init__()
        self.model = model
        self.frame_sizes = frame_sizes

    def forward(self, frames: Tensor) -> list[tuple[Tensor, ...]]:
        """Frames (B, T, 3, H, W) to the tensors of each clip's detections."""
        found = TeViT.detect(self.model, frames, self.frame_sizes)
        return [(d.scores, d.labels, d.queries, d.boxes, d.mask_logits) for d in found]


def tevit_workload(
    config: Config,
    shape: ClipShape,
    device: torch.device,
    *,
    name: str,
    checkpoint: Path | None = None,
    compiled: bool = False,
) -> Workload:
    """Our model of ``config`` with frames of noise.

    Args:
        name: what tables call it.
        checkpoint: its weights; none: initial ones, drawn by the config's seed, with boxes inside
            the frame.
        compiled: run ``detect`` through ``torch.compile``.
    """
    if checkpoint is None:
        torch.manual_seed(config.seed)
        model = build_model(config).to(device).eval()
        put_boxes_in_frame(model)
    else:
        model = load_model(config, checkpoint, device)
    frames = random_frames(shape, device)
    sizes = [shape.frame_size] * shape.batch
    if compiled:
        model.detect = torch.compile(model.detect)  # type: ignore[method-assign]

    @torch.inference_mode()
    def detect() -> list[Detections]:
        with autocast(device, config.inference.precision):
            return model.detect(frames, sizes)

    @torch.inference_mode()
    def segment() -> object:
        video_size = (shape.video_height, shape.video_width)
        return [paste(d, video_size, config.inference.mask_threshold) for d in detect()]

    measured = _at_shape(config, shape)
    video_frames = video_frames_of(config, shape)
    return Workload(
        name=name,
        shape=shape,
        model=model,
        traceable=DetectTensors(model, sizes),
        frames=frames,
        parts=tevit_parts(model),
        detect=detect,
        segment=segment,
        end_to_end=_predictor(model, measured, shape, video_frames),
        video_frames=video_frames,
        facts=tevit_facts(config, checkpoint, compiled),
    )


def tevit_facts(config: Config, checkpoint: Path | None, compiled: bool) -> dict[str, Any]:
    """What protocols say of a model of ours."""
    return {
        "weights": str(checkpoint) if checkpoint else f"initial, seed {config.seed}, {IN_FRAME}",
        "precision": config.inference.precision,
        "compile": compiled,
        "mode": config.inference.mode,
        "queries": config.head.queries,
        "top_k": config.inference.top_k,
    }


def _at_shape(config: Config, shape: ClipShape) -> Config:
    """``config`` made to predict at the shape that is measured."""
    values: dict[str, object] = {"data.test_size": [shape.width, shape.height]}
    if config.inference.mode == "near_online":
        values["inference.clip_length"] = shape.clip_length
        values["inference.stride"] = min(config.inference.stride, shape.clip_length - 1)
    else:
        values["data.clip_length"] = shape.clip_length
    return override(config, values)


def video_frames_of(config: Config, shape: ClipShape) -> int:
    """Frames of the video that is predicted end to end: one clip, or three overlapping ones."""
    config = _at_shape(config, shape)
    if config.inference.mode == "near_online":
        return config.inference.clip_length + 2 * config.inference.stride
    return config.data.clip_length


def _predictor(
    model: TeViT, config: Config, shape: ClipShape, video_frames: int
) -> Callable[[], object]:
    """Prediction of a video of image files, as users run it; the files are made on first use."""
    size = (shape.video_height, shape.video_width)
    files = cache(lambda: VideoFiles(video_frames, size))
    return lambda: predict_video(model, FileFrames(files().video), config)


def tevit_parts(model: TeViT) -> dict[str, list[str]]:
    """Backbone, neck, each stage's box head, and the mask head, inside :class:`DetectTensors`."""
    stages = range(len(model.roi_head.bbox_head))
    return {
        "backbone": ["model.backbone"],
        "neck": ["model.neck"],
        **{f"box_head.{k}": [f"model.roi_head.bbox_head.{k}"] for k in stages},
        "mask_head": [f"model.roi_head.mask_head.{k}" for k in stages],
    }
