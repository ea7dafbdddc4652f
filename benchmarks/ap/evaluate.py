"""Average precision: AP, AP50, AP75, AR, by object size and by class.

Of videos the figures are those of the reference evaluator (youtubevos/cocoapi), with one deviation:
an annotation whose id is 0 can be found like any other.  Of images they are pycocotools' own, of
masks and of boxes.
"""

from __future__ import annotations

import contextlib
import gc
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.ap.accumulate import LIMITS, Curves, Matches, accumulate, gather
from benchmarks.ap.images import match_images
from benchmarks.ap.match import THRESHOLDS, VideoMatches, match_video
from benchmarks.ap.tracks import AREAS, Floats, VideoTask
from benchmarks.machine.fork_map import fork_map, usable_workers
from core.data.dataset import VideoDataset
from core.data.results import entry_faults, mask_faults, raise_faults
from core.errors import UserError
from core.files import read_json

FEW_MASKS = 50_000
"""Fewer are scored in this process: starting others would take longer."""

Found = TypeVar("Found")
FigureOf = Callable[[Curves], Floats]


def _precision(area: str = "all", iou: float | None = None) -> FigureOf:
    """AP of tracks of a size, at one threshold or over all of them."""
    a = list(AREAS).index(area)
    at = slice(None) if iou is None else np.isclose(THRESHOLDS, iou).argmax()
    return lambda curves: curves.precision[:, a, at]


def _recall(limit: int, area: str = "all") -> FigureOf:
    """AR of tracks of a size, of so many tracks a video."""
    place = LIMITS.index((area, limit))
    return lambda curves: curves.recall[:, place]


AP_FIGURES: Mapping[str, FigureOf] = {
    "AP": _precision(),
    "AP50": _precision(iou=0.5),
    "AP75": _precision(iou=0.75),
    "APs": _precision("small"),
    "APm": _precision("medium"),
    "APl": _precision("large"),
    "AR1": _recall(1),
    "AR10": _recall(10),
    "AR100": _recall(100),
    "ARs": _recall(100, "small"),
    "ARm": _recall(100, "medium"),
    "ARl": _recall(100, "large"),
}
"""Name to the part of the curves whose mean it is; of images there are as many of boxes."""


@dataclass(frozen=True)
class ApResult:
    """What one set of results scores.

    Attributes:
        figures: of ``AP_FIGURES``, as fractions; none where no annotated track has the size.
        per_class: AP by category name; none where the category has no annotated track.
        recall_per_class: AR of 100 tracks, likewise.
        videos: videos scored.
        instances: annotated tracks, crowds not among them.
        tracks: predicted tracks.
        matches: what :func:`benchmarks.ap.bootstrap.bootstrap` resamples.
        box_figures: those of boxes, ``box_AP`` and so on; empty for videos.
    """

    figures: dict[str, float | None]
    per_class: dict[str, float | None]
    recall_per_class: dict[str, float | None]
    videos: int
    instances: int
    tracks: int
    matches: Matches = field(repr=False)
    box_figures: dict[str, float | None] = field(default_factory=dict)


def evaluate(
    dataset: VideoDataset, results: list[Any] | Path, *, workers: int | None = None
) -> ApResult:
    """Score results against a dataset's annotations.

    Args:
        dataset: of :func:`core.data.annotations.read_annotations`, or a part that is held out.
        results: list of ``{"video_id", "category_id", "score", "segmentations"}``, or the file.
        workers: processes; none: as many as cores if there are many masks.

    Raises:
        UserError: the dataset has no annotations, or results do not fit it; the message lists the
            faulty entries.
    """
    if not dataset.of_images:
        return ap_result(*for_each_video(match_video, dataset, results, workers=workers), dataset)
    entries, heading = _checked(dataset, results)
    raise_faults(mask_faults(entries, dataset), heading)
    masks, boxes = (
        ap_result(matched, len(entries), dataset) for matched in match_images(dataset, entries)
    )
    of_boxes = {f"box_{name}": value for name, value in boxes.figures.items()}
    return replace(masks, box_figures=of_boxes)


def for_each_video(
    function: Callable[[VideoTask], Found | list[str]],
    dataset: VideoDataset,
    results: list[Any] | Path,
    *,
    workers: int | None = None,
) -> tuple[list[Found], int]:
    """What a function finds in each video, in the order of their ids; and the predicted tracks.

    Args:
        function: of a video; or the faults of its masks.
        dataset: as :func:`evaluate` takes it; so are results and workers.

    Raises:
        UserError: as :func:`evaluate` does.
    """
    with _without_garbage_collection():
        entries, heading = _checked(dataset, results)
        tasks = _tasks(dataset, entries)
        if workers is None:
            masks = sum(len(t.predictions) * t.video.length for t in tasks)
            workers = 1 if masks < FEW_MASKS else usable_workers()
        parts = fork_map(function, tasks, workers)
    raise_faults([fault for part in parts if isinstance(part, list) for fault in part], heading)
    return [part for part in parts if not isinstance(part, list)], len(entries)


def _checked(dataset: VideoDataset, results: list[Any] | Path) -> tuple[list[Any], str]:
    """The results, which fit the dataset but for their masks; and what to say of faulty ones."""
    truth = dataset.annotations_path
    if not dataset.annotated:
        raise UserError(
            f"{truth}: has no annotations, so nothing to score against. The validation sets' "
            "are kept by the challenge servers: `tevit data export` writes what they take."
        )
    if not dataset.videos:
        raise UserError(f"{truth}: has no videos to score")
    name, entries = (results, read_json(results)) if isinstance(results, Path) else ("", results)
    heading = f"{name or 'results'}: results that do not fit {truth}:"
    raise_faults(entry_faults(entries, dataset), heading)
    return entries, heading


def figures_of(curves: Curves) -> dict[str, Floats]:
    """Each of ``AP_FIGURES``, (R,) for R weightings; NaN where the size is absent."""
    return {name: mean_of(part(curves)) for name, part in AP_FIGURES.items()}


def ap_record(
    result: ApResult, protocol: Mapping[str, Any], bootstrap: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The record of a score: JSON types, figures as fractions, null where absent.

    Args:
        result: of :func:`evaluate`.
        protocol: what was scored and how: data, split, seed, checkpoint, mode...; the number of
            videos and instances is added.
        bootstrap: ``to_dict()`` of :func:`benchmarks.ap.bootstrap.bootstrap`.
    """
    return {
        "kind": "ap",
        "schema": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "protocol": {
            **protocol,
            "videos": result.videos,
            "instances": result.instances,
            "tracks": result.tracks,
        },
        "figures": result.figures | result.box_figures,
        "per_class": result.per_class,
        "per_class_AR100": result.recall_per_class,
        "bootstrap": None if bootstrap is None else dict(bootstrap),
    }


def _tasks(dataset: VideoDataset, results: list[Any]) -> list[VideoTask]:
    predictions: dict[int, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for index, entry in enumerate(results):
        predictions[entry["video_id"]].append((index, entry))
    # by id, since that order decides between equal scores
    return [
        VideoTask(video, predictions.get(number, []), dataset.tracks_of(number))
        for number, video in sorted(dataset.by_id.items())
    ]


def ap_result(parts: Sequence[VideoMatches], tracks: int, dataset: VideoDataset) -> ApResult:
    """The figures of every video's matches, and of so many predicted tracks."""
    matches = gather(parts, list(dataset.categories))
    curves = accumulate(matches, np.ones((1, matches.videos), np.int64))
    names = dataset.distinct_names.values()
    per_class, recall_per_class = (
        dict(zip(names, map(number_of, mean_of(values.T)), strict=True))
        for values in (AP_FIGURES[name](curves)[0] for name in ("AP", "AR100"))
    )
    return ApResult(
        figures={name: number_of(value[0]) for name, value in figures_of(curves).items()},
        per_class=per_class,
        recall_per_class=recall_per_class,
        videos=matches.videos,
        instances=sum(not track.crowd for track in dataset.tracks),
        tracks=tracks,
        matches=matches,
    )


def mean_of(values: Floats) -> Floats:
    """(R,) mean of (R, ...) over what is not NaN; NaN where nothing is left."""
    flat = values.reshape(len(values), -1)
    there = ~np.isnan(flat)
    total = np.where(there, flat, 0).sum(1)
    mean: Floats = np.full(len(flat), np.nan)
    np.divide(total, there.sum(1), out=mean, where=there.any(1))
    return mean


def number_of(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collections would walk a million masks again and again, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
