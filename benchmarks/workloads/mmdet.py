"""mmdet's models as workloads of the same measurements (needs the extra ``mmdet``).

Their own inference runs, unchanged, on all frames of a clip as one batch of images.  The scope
*model* leaves out what mmdet's ``get_seg_masks`` does, pasting masks at full size; *end to end*
uses the configuration's own test pipeline, resized to the size that is measured.  In training
their own matching and losses run in the place of ours, on the same frames.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.workloads.boxes_in_frame import IN_FRAME, put_boxes_in_frame
from benchmarks.workloads.video_files import VideoFiles
from benchmarks.workloads.workload import ClipShape, Workload, random_frames
from core.errors import UserError
from core.model.structures import ClipTargets

_INSTALL = (
    "`make mmdet` makes an environment that has it (run .venv-mmdet/bin/tevit then), "
    "tools/install_mmdet.sh PYTHON adds it to one of your own"
)
ROI_SAMPLES = 2  # a side of a bin: what adaptive RoIAlign is counted as


FACTS = {
    "precision": "fp32",
    "compile": False,
    "mode": "image by image",
    "counted_with": f"torchvision's RoIAlign, adaptive sampling as {ROI_SAMPLES}x{ROI_SAMPLES}",
}
"""What protocols say of every model of mmdet."""

TRAINS = {
    "trains": "mmdet's model, matching and losses; image by image",
    "counted_with": "no RoIAlign",
}
"""What protocols of training say of every model of mmdet, beside the config of the data."""

PLAIN_TRAINING = {
    "train.precision": "fp32", "train.compile": False, "train.checkpointing": False,
    "train.ema": 0.0,
}  # fmt: skip
"""Switches of a config that change how our model is trained, and would not change mmdet's."""


def mmdet_available() -> bool:
    """Whether mmdet and the compiled operators of mmcv can be imported."""
    with warnings.catch_warnings():
        # looking for mmcv's operators imports it, and it announces a version that is long out
        warnings.simplefilter("ignore", UserWarning)
        return all(importlib.util.find_spec(name) for name in ("mmdet", "mmcv", "mmcv._ext"))


def _need_mmdet(what: str | Path) -> None:
    if not mmdet_available():
        raise UserError(f"{what}: mmdet is not installed; {_INSTALL}")


def find_config(path: str) -> Path:
    """A configuration file by its path, or by its name among those that mmdet's wheel ships.

    Args:
        path: such as ``queryinst/queryinst_r50_fpn_1x_coco.py`` or a file of one's own.

    Raises:
        UserError: mmdet is missing, or there is no such file.
    """
    given = Path(path).expanduser()
    if given.is_file():
        return given.resolve()
    _need_mmdet(f"mmdet {path}")
    shipped = shipped_configs()
    for candidate in (shipped / path, shipped / given.parent.name / given.name):
        if candidate.is_file():
            return candidate
    found = sorted(p for p in shipped.rglob("*.py") if given.stem in p.stem)
    if len(found) == 1:
        return found[0]
    close = ", ".join(str(p.relative_to(shipped)) for p in found[:8])
    hint = f"it could be any of: {close}" if found else f"mmdet ships its own in {shipped}"
    raise UserError(f"{path}: no such mmdet configuration; {hint}")


def shipped_configs() -> Path:
    """Folder of the configurations in mmdet's wheel."""
    spec = importlib.util.find_spec("mmdet")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / ".mim" / "configs"


def mmdet_workload(
    path: Path,
    shape: ClipShape,
    device: torch.device,
    *,
    name: str,
    checkpoint: Path | None = None,
) -> Workload:
    """The model of an mmdet configuration, with initial weights or a checkpoint's.

    Raises:
        UserError: mmdet is missing, or the configuration has no mask head to measure.
    """
    _need_mmdet(name)
    config = read_config(path)
    model = build_detector(config, checkpoint).to(device).eval()
    weights = str(checkpoint) if checkpoint else "initial"
    if checkpoint is None and put_boxes_in_frame(model):
        weights = f"initial, {IN_FRAME}"
    frames = random_frames(shape, device)
    metas = [image_meta(shape) for _ in range(shape.frames)]

    @torch.inference_mode()
    def segment() -> object:
        return model.simple_test(frames.flatten(0, 1), metas, rescale=True)  # type: ignore[operator]

    def detect() -> object:
        with without_pasting(model):
            return segment()

    return Workload(
        name=name,
        shape=shape,
        model=model,
        traceable=_Counted(model, metas),
        frames=frames,
        parts=mmdet_parts(model),
        detect=detect,
        segment=segment,
        end_to_end=_predictor(model, config, shape, device),
        video_frames=shape.frames,
        facts={"weights": weights, **FACTS},
    )


class MmdetTraining(nn.Module):
    """The model of an mmdet configuration, called as ours is in training.

    Every frame of a clip is an image of its own.
    """

    def __init__(self, path: Path) -> None:
        """With initial weights.

        Raises:
            UserError: mmdet is missing, or the configuration has no mask head.
        """
        _need_mmdet(path)
        super().__init__()
        self.model = build_detector(read_config(path))

    def forward(self, frames: Tensor, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """Losses of every stage by their names, of frames (B, T, 3, H, W)."""
        images = [image for target in targets for image in image_targets(target)]
        losses: dict[str, Tensor] = self.model.forward_train(  # type: ignore[operator]
            frames.flatten(0, 1), **{name: [i[name] for i in images] for name in images[0]}
        )
        return losses


def image_targets(targets: ClipTargets) -> list[dict[str, Any]]:
    """What mmdet is told of each frame of a clip: sizes, boxes, classes and masks in it."""
    from mmdet.core import BitmapMasks

    size, (height, width) = targets.frame_size, targets.masks.shape[-2:]
    shape = ClipShape(1, height, width, video_height=size[0], video_width=size[1])
    meta = {**image_meta(shape), "img_shape": (*size, 3)}
    return [
        {
            "img_metas": meta,
            "gt_bboxes": boxes[here],
            "gt_labels": targets.labels[here],
            "gt_masks": BitmapMasks(masks[here].cpu().numpy().astype(np.uint8), height, width),
        }
        for boxes, masks, here in zip(
            targets.boxes, targets.masks, targets.present.to(targets.boxes.device), strict=True
        )
    ]


def read_config(path: Path) -> Any:
    """The configuration as mmcv reads it, without weights to download."""
    from mmcv import Config

    config = Config.fromfile(str(path))
    if "roi_head" not in config.model:
        raise UserError(f"{path}: {config.model.type} has no roi_head, so its scopes do not fit")
    config.model.backbone.init_cfg = None
    config.model.pretrained = None
    return config


def build_detector(config: Any, checkpoint: Path | None = None) -> nn.Module:
    """mmdet's model, its initial weights drawn by seed 0."""
    from mmcv.runner import load_checkpoint
    from mmcv.utils import get_logger
    from mmdet.models import build_detector as build

    torch.manual_seed(0)
    np.random.seed(0)  # mmcv's own initialisers draw from it
    model: nn.Module = build(config.model)
    with _silenced(get_logger("mmcv")):  # a line for each of a thousand parameters
        model.init_weights()  # type: ignore[operator]
    if checkpoint is not None:
        load_checkpoint(model, str(checkpoint), map_location="cpu", strict=True)
    return model


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def image_meta(shape: ClipShape) -> dict[str, Any]:
    """What mmdet wants to know of an image: its sizes, before and after resizing and padding."""
    height, width = shape.frame_size
    scale = np.array([width / shape.video_width, height / shape.video_height] * 2, np.float32)
    return {
        "img_shape": (height, width, 3),
        "pad_shape": (*shape.size, 3),
        "ori_shape": (shape.video_height, shape.video_width, 3),
        "scale_factor": scale,
        "flip": False,
        "batch_input_shape": shape.size,
    }


class _Counted(nn.Module):
    """``simple_test`` without pasting, its operators such that both counters see them."""

    def __init__(self, model: nn.Module, metas: list[dict[str, Any]]) -> None:
        super().__init__()
        self.model = model
        self.metas = metas

    def forward(self, frames: Tensor) -> tuple[()]:
        """Frames (B, T, 3, H, W) to nothing: results are not tensors, and not what is counted."""
        with without_pasting(self.model), countable_roi_align(self.model):
            self.model.simple_test(frames.flatten(0, 1), self.metas, rescale=True)  # type: ignore[operator]
        return ()


@contextmanager
def without_pasting(model: nn.Module) -> Iterator[None]:
    """Mask heads that hand their logits on instead of pasting them into the image."""
    heads = [m for m in model.modules() if hasattr(m, "get_seg_masks")]
    for head in heads:
        head.get_seg_masks = lambda mask_pred, *args, **kwargs: mask_pred  # type: ignore[assignment]
    try:
        yield
    finally:
        for head in heads:
            del head.get_seg_masks


@contextmanager
def countable_roi_align(model: nn.Module) -> Iterator[None]:
    """torchvision's RoIAlign in the place of mmcv's, which no counter sees; same numbers."""
    from mmcv.ops import RoIAlign

    layers = [m for m in model.modules() if isinstance(m, RoIAlign)]
    before = [(layer.use_torchvision, layer.sampling_ratio) for layer in layers]
    for layer in layers:
        layer.use_torchvision, layer.sampling_ratio = (
            True,
            layer.sampling_ratio or ROI_SAMPLES,
        )
    try:
        yield
    finally:
        for layer, values in zip(layers, before, strict=True):
            layer.use_torchvision, layer.sampling_ratio = values


def mmdet_parts(model: nn.Module) -> dict[str, list[str]]:
    """Backbone, neck, proposals, each stage's box head and the mask head of a two-stage model."""
    parts: dict[str, list[str]] = {}
    for name in ("backbone", "neck", "rpn_head"):
        if hasattr(model, name):
            parts[name] = [f"model.{name}"]
    heads = dict(model.roi_head.named_children())  # type: ignore[union-attr]
    for name, part in (("bbox_head", "box_head"), ("mask_head", "mask_head")):
        head = heads.get(name)
        if isinstance(head, nn.ModuleList) and part == "box_head":
            parts |= {f"{part}.{k}": [f"model.roi_head.{name}.{k}"] for k in range(len(head))}
        elif isinstance(head, nn.ModuleList):
            parts[part] = [f"model.roi_head.{name}.{k}" for k in range(len(head))]
        elif head is not None:
            parts[part] = [f"model.roi_head.{name}"]
    return parts


def _predictor(
    model: nn.Module, config: Any, shape: ClipShape, device: torch.device
) -> Callable[[], object]:
    """The configuration's test pipeline, the model, and RLE, over a clip's image files."""
    from mmdet.core import encode_mask_results
    from mmdet.datasets.pipelines import Compose

    files = cache(lambda: VideoFiles(shape.frames, (shape.video_height, shape.video_width)))
    steps = [dict(step) for step in config.data.test.pipeline]
    for step in steps:
        if "img_scale" in step:
            step["img_scale"] = (shape.width, shape.height)
    pipeline = Compose(steps)

    @torch.inference_mode()
    def predict() -> object:
        loaded = [
            pipeline({"img_info": {"filename": str(path)}, "img_prefix": None})
            for path in files().video.files
        ]
        images = torch.stack([item["img"][0] for item in loaded]).to(device)
        metas = [item["img_metas"][0].data for item in loaded]
        found = model.simple_test(images, metas, rescale=True)  # type: ignore[operator]
        return [(boxes, encode_mask_results(masks)) for boxes, masks in found]

    return predict
