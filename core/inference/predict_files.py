"""Prediction on what a user has: folders of frames, annotation files, GIFs, video files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config.schema import Config
from core.data.dataset import VideoDataset
from core.data.youtube_vis import load_folder
from core.errors import UserError
from core.inference.classes import Classes
from core.inference.draw import draw_frames, save_animation
from core.inference.frames import FileFrames, Frames, open_video
from core.inference.predict import load_model_and_classes, predict_video
from core.inference.results_writer import Result, results_writer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One video to predict on."""

    video_id: int
    frames: Frames
    classes: Classes


@dataclass(frozen=True)
class Prediction:
    """What was found in one video.

    Attributes:
        video_id: its id in the results.
        name: the video's.
        results: its tracks, best first.
        drawing: the animation with the tracks drawn in, if one was asked for.
    """

    video_id: int
    name: str
    results: Sequence[Result]
    drawing: Path | None


def predict_files(
    config: Config,
    checkpoint: Path,
    videos: Sequence[Path],
    out: Path,
    *,
    draw: Path | None = None,
    min_score: float = 0.3,
    fps: float = 6.0,
) -> Iterator[Prediction]:
    """Predict videos one by one; ``out`` appears, whole, after the last.

    Args:
        videos: each a folder of frames, an annotation file (.json: all its videos), a GIF or a
            video file.
        out: results as YouTube-VIS JSON.
        draw: folder for animations with the tracks drawn in; none: do not draw.
        min_score: of tracks that are drawn.
        fps: frames a second of the animations.

    Raises:
        UserError: a video or the checkpoint cannot be used, before anything is predicted; or a
            video turns out to be broken: ``out`` holds the results of those before it then.
    """
    opened = [_open(path) for path in videos]
    model, classes = load_model_and_classes(config, checkpoint)
    sources = list(_numbered(opened, classes, checkpoint))
    broken: UserError | None = None
    done = 0
    with results_writer(out) as write:
        for source in sources:
            ids = source.classes.ids
            try:
                results = predict_video(model, source.frames, config, source.video_id, ids)
            except UserError as error:
                broken = error
                break
            write(results)
            done += 1
            drawing = None
            if draw is not None:
                name = f"{source.video_id}_{source.frames.name.replace('/', '_')}"
                drawing = _drawn(source, results, draw / name, min_score, fps)
            yield Prediction(source.video_id, source.frames.name, results, drawing)
        if broken is not None and not done:
            raise broken
    if broken is not None:
        kept = f"{out}: the results of the {done} of {len(sources)} videos before it"
        raise UserError(f"{broken}\n{kept}") from broken


def _drawn(
    source: Source, results: Sequence[Result], path: Path, min_score: float, fps: float
) -> Path | None:
    pictures = draw_frames(source.frames, results, source.classes.names, min_score)
    try:
        return save_animation(pictures, path, fps)
    except Exception as error:  # an extra, and no reason to lose results
        log.warning("%s: cannot be drawn: %s", source.frames.name, error)
        return None


def _open(path: Path) -> VideoDataset | Frames:
    """An annotation file's videos, whose ids are its own; or one other video."""
    return load_folder(path) if path.suffix.lower() == ".json" else open_video(path)


def _numbered(
    opened: Sequence[VideoDataset | Frames], classes: Classes, checkpoint: Path
) -> Iterator[Source]:
    """Every video once, those without an id numbered from the first that is free."""
    datasets = [group for group in opened if isinstance(group, VideoDataset)]
    own = [video.id for dataset in datasets for video in dataset.videos]
    if len(own) > len(set(own)):
        twice = sorted({video for video in own if own.count(video) > 1})
        raise UserError(
            f"the annotation files share video ids ({', '.join(map(str, twice[:5]))}): "
            "predict them one at a time"
        )
    free = max(own, default=0) + 1
    for group in opened:
        if isinstance(group, VideoDataset):
            matched = classes.matched(group, checkpoint)
            yield from (Source(video.id, FileFrames(video), matched) for video in group.videos)
        else:
            yield Source(free, group, classes)
            free += 1
