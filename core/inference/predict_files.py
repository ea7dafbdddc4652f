"""Prediction on what a user has: folders of frames, annotation files, GIFs, video files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config.schema import Config
from core.data.youtube_vis import load_folder
from core.errors import UserError
from core.inference.draw import draw_frames, save_animation
from core.inference.frames import FileFrames, Frames, open_video
from core.inference.predict import Classes, load_model_and_classes, predict_video
from core.inference.results_writer import Result, ResultsWriter


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
        UserError: a video or the checkpoint cannot be used; before anything is predicted.
    """
    opened = [_open(path) for path in videos]
    model, classes = load_model_and_classes(config, checkpoint)
    with ResultsWriter(out) as writer:
        for source in _numbered(opened, classes):
            ids = source.classes.ids
            results = predict_video(model, source.frames, config, source.video_id, ids)
            writer.write(results)
            drawing = None
            if draw is not None:
                names = source.classes.names
                pictures = draw_frames(source.frames, results, names, min_score)
                drawing = save_animation(pictures, draw / _file_name(source), fps)
            yield Prediction(source.video_id, source.frames.name, results, drawing)


def _open(path: Path) -> list[Source] | Frames:
    """An annotation file's videos, whose ids and classes are its own; or one other video."""
    if path.suffix.lower() != ".json":
        return open_video(path)
    dataset = load_folder(path)
    classes = Classes.of_dataset(dataset)
    return [Source(video.id, FileFrames(video), classes) for video in dataset.videos]


def _numbered(opened: Sequence[list[Source] | Frames], classes: Classes) -> Iterator[Source]:
    """Every video once, those without an id numbered from the first that is free."""
    own = [source.video_id for group in opened if isinstance(group, list) for source in group]
    if len(own) > len(set(own)):
        twice = sorted({video for video in own if own.count(video) > 1})
        raise UserError(
            f"the annotation files share video ids ({', '.join(map(str, twice[:5]))}): "
            "predict them one at a time"
        )
    free = max(own, default=0) + 1
    for group in opened:
        if isinstance(group, list):
            yield from group
        else:
            yield Source(free, group, classes)
            free += 1


def _file_name(source: Source) -> str:
    return f"{source.video_id}_{source.frames.name.replace('/', '_')}"
