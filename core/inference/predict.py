"""From videos to results: clips through the model, masks as RLE as they come, JSON on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from core.config.schema import Config
from core.data.dataset import VideoDataset
from core.data.rle import Rle, coco
from core.data.transforms import Size
from core.errors import UserError
from core.inference.classes import Classes
from core.inference.frames import FileFrames, Frames, clips_of, prepare_frames
from core.inference.near_online import ClipTracks, Stitcher
from core.inference.results_writer import Result, results_writer
from core.model.masks import paste_masks
from core.model.tevit import TeViT, build_model, rescale_boxes
from core.training.checkpoint import averaged_state, load_state, read_file, state_dict_of
from core.training.distributed import default_device

T = TypeVar("T")

log = logging.getLogger(__name__)


def load_model(config: Config, checkpoint: Path, device: torch.device | None = None) -> TeViT:
    """The configured model with a checkpoint's weights (ours or a published .pth), to predict.

    Raises:
        UserError: the file is missing, broken or unsafe, or does not fill the whole model.
    """
    return load_model_and_classes(config, checkpoint, device)[0]


def load_model_and_classes(
    config: Config, checkpoint: Path, device: torch.device | None = None
) -> tuple[TeViT, Classes]:
    """:func:`load_model`, and what its classes stand for as far as the file knows."""
    model = build_model(config)
    contents = read_file(checkpoint, lazy=True)
    averaged = config.inference.weights == "ema"
    state = (averaged_state if averaged else state_dict_of)(contents, checkpoint)
    report = load_state(model, state, checkpoint)
    if not report.complete:
        raise UserError(f"the checkpoint is not of this config\n{report.summary()}")
    log.info("%s", report.summary())
    try:
        classes = Classes.of_checkpoint(contents, config.head.classes)
    except UserError as error:
        raise UserError(f"{checkpoint}: {error}") from error
    return model.to(device or default_device()).eval(), classes


@dataclass(frozen=True)
class _Clip:
    """A clip ready for the model: frames (T, 3, h, w) and their size before padding."""

    video_id: int
    video_size: Size
    start: int
    frames: Tensor
    frame_size: Size


def predict_videos(
    model: TeViT,
    sources: Iterable[tuple[int, Frames]],
    config: Config,
    category_ids: Mapping[int, int] | None = None,
) -> Iterator[list[Result]]:
    """Each video's tracks, best first, in the order of ``sources``.

    The next clip is decoded while the model sees one.  Offline the whole video is one clip; near
    online at most two clips' frames are held, whatever the video's length.

    Args:
        model: in eval mode.
        sources: video ids and frames.
        config: its sections ``data`` (size) and ``inference``.
        category_ids: category id of each of the model's classes; classes that it lacks are left
            out.  None: class + 1.
    """
    clips = ahead(_prepared(sources, config))
    for video_id, group in groupby(clips, key=lambda clip: clip.video_id):
        stitcher = Stitcher(config.inference.match_threshold, config.inference.top_k)
        length = 0
        for clip in group:
            with _memory_told(video_id, config):
                tracks, boxes = _tracks_of(model, clip, config)
                stitcher.add(tracks)
            length = clip.start + len(clip.frames)
        ids = category_ids or {label: label + 1 for label in range(model.config.head.classes)}
        yield [
            {
                "video_id": video_id,
                "category_id": ids[found.label],
                "score": found.score,
                "segmentations": found.padded(length),
                # of an image: the order of its tracks is that of the model's
                **({"bboxes": [boxes[found.order]]} if length == 1 else {}),
            }
            for found in stitcher.finish()
            if found.label in ids
        ]


def predict_video(
    model: TeViT,
    frames: Frames,
    config: Config,
    video_id: int = 1,
    category_ids: Mapping[int, int] | None = None,
) -> list[Result]:
    """One video's tracks, best first (see :func:`predict_videos`)."""
    return next(predict_videos(model, [(video_id, frames)], config, category_ids))


def predict_dataset(
    config: Config,
    checkpoint: Path,
    dataset: VideoDataset,
    out: Path,
    *,
    progress: bool = True,
    device: torch.device | None = None,
) -> Path:
    """Predict every video of ``dataset`` and write the results as YouTube-VIS JSON.

    Returns:
        ``out``, which is written whole or not at all.

    Raises:
        UserError: the checkpoint does not fit the config or the dataset's classes, or a frame
            cannot be read.
    """
    model, classes = load_model_and_classes(config, checkpoint, device)
    ids = classes.matched(dataset, checkpoint).ids
    sources = ((video.id, FileFrames(video)) for video in dataset.videos)
    results = predict_videos(model, sources, config, ids)
    with results_writer(out) as write:
        for entries in track(
            results, "predicting", total=len(dataset.videos), disable=not progress, transient=True
        ):
            write(entries)
    return out


def _prepared(sources: Iterable[tuple[int, Frames]], config: Config) -> Iterator[_Clip]:
    inference = config.inference
    length = inference.clip_length if inference.mode == "near_online" else None
    for video_id, frames in sources:
        with _memory_told(video_id, config):
            for start, images in clips_of(frames, length, inference.stride):
                prepared, size = prepare_frames(images, config.data)
                yield _Clip(video_id, frames.size, start, prepared, size)


@contextmanager
def _memory_told(video_id: int, config: Config) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # on a CPU torch says so in a plain RuntimeError's text alone
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "allocate memory" not in str(error):
            raise
        near_online = config.inference.mode == "near_online"
        which = f"a clip of video {video_id}" if near_online else f"video {video_id} as one clip"
        less = "a smaller inference.clip_length" if near_online else "inference.mode=near_online"
        raise UserError(
            f"{which} does not fit into memory: {less} needs less, and so does a smaller "
            "data.test_size"
        ) from error


@torch.inference_mode()
def _tracks_of(model: TeViT, clip: _Clip, config: Config) -> tuple[ClipTracks, list[list[float]]]:
    """The clip's tracks, their masks encoded, and their [x, y, width, height] in its first frame.

    Masks are pasted frame by frame.
    """
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=config.inference.precision == "bf16"):
        found = model.detect(clip.frames[None].to(device), [clip.frame_size])[0]
    outputs = {"scores": found.scores, "boxes": found.boxes, "masks": found.mask_logits}
    for name, values in outputs.items():
        if values.isnan().any():
            raise UserError(
                f"the model's {name} for video {clip.video_id} are not numbers: its weights are "
                "broken"
            )
    boxes = rescale_boxes(found.boxes, clip.frame_size, clip.video_size)
    threshold = config.inference.mask_threshold
    by_frame = [
        encode_masks(paste_masks(logits, frame_boxes, clip.video_size, threshold))
        for logits, frame_boxes in zip(found.mask_logits, boxes, strict=True)
    ]
    tracks = ClipTracks(
        start=clip.start,
        scores=found.scores.float().tolist(),
        labels=found.labels.tolist(),
        frame_scores=found.frame_scores.T.tolist(),
        masks=[list(masks) for masks in zip(*by_frame, strict=True)],
    )
    corners = boxes[0].float()
    return tracks, torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1).tolist()


def encode_masks(masks: Tensor) -> list[Rle | None]:
    """(K, H, W) bool masks as compressed RLE; ``None`` where empty."""
    filled = masks.flatten(1).any(dim=1).tolist()
    # RLE runs down the columns, so columns must lie together in memory
    columns = masks.transpose(1, 2).contiguous().cpu().numpy()
    rles = coco.encode(columns.view(np.uint8).transpose(2, 1, 0))
    size = list(masks.shape[1:])
    return [
        Rle(size=size, counts=rle["counts"].decode("ascii")) if some else None
        for rle, some in zip(rles, filled, strict=True)
    ]


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one made in a thread while one is used."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
