"""One pass over the videos for all that AP, tracking figures, errors and slices are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ap.evaluate import ApResult, ap_result, for_each_video
from benchmarks.ap.match import VideoMatches, match_tracks, ranked
from benchmarks.ap.tracks import Floats, VideoTask, read_tracks
from benchmarks.diagnosis.errors import VideoErrors, find_errors
from benchmarks.diagnosis.followed import Followed, follow_tracks
from benchmarks.diagnosis.gains import Errors, gather_errors
from benchmarks.diagnosis.overlaps import find_overlaps
from benchmarks.diagnosis.tracking import HardTracks, TrackingSums, track_sums
from core.data.dataset import VideoDataset
from core.errors import UserError


@dataclass(frozen=True)
class VideoFindings:
    """Of one video; ``overlaps``: (D, G) as AP matches by them."""

    matches: VideoMatches
    overlaps: Floats
    tracking: TrackingSums
    errors: VideoErrors
    followed: Followed


@dataclass(frozen=True)
class DatasetFindings:
    """Of all videos, in the order of their ids."""

    dataset: VideoDataset
    hard: HardTracks
    ap: ApResult
    errors: Errors
    videos: Sequence[VideoFindings]

    def of(self, video: int) -> VideoFindings:
        """Those of the video of this id."""
        return self.videos[sorted(self.dataset.by_id).index(video)]


def examine_results(
    dataset: VideoDataset,
    results: list[Any] | Path,
    hard: HardTracks | None = None,
    *,
    workers: int | None = None,
) -> DatasetFindings:
    """Everything about results that AP alone does not tell.

    Args:
        dataset: as :func:`benchmarks.ap.evaluate.evaluate` takes it; so are results and workers.
        hard: which scored tracks the tracking figures are of; none: the default rule.

    Raises:
        UserError: the dataset has no annotations, or images for videos; or results do not fit it.
    """
    if dataset.of_images:
        raise UserError(
            f"{dataset.annotations_path}: has images, and a diagnosis is of tracks in videos; "
            "`tevit ap` scores images"
        )
    hard = hard or HardTracks()
    videos, tracks = for_each_video(
        partial(examine_video, hard=hard), dataset, results, workers=workers
    )
    ap = ap_result([video.matches for video in videos], tracks, dataset)
    errors = gather_errors(ap.matches, [video.errors for video in videos])
    return DatasetFindings(dataset, hard, ap, errors, videos)


def examine_video(task: VideoTask, *, hard: HardTracks) -> VideoFindings | list[str]:
    """One video's findings; or what is wrong with its masks."""
    tracks = read_tracks(task)
    if isinstance(tracks, list):
        return tracks
    overlaps = find_overlaps(ranked(tracks[0]), tracks[1])
    values = overlaps.for_matching()
    return VideoFindings(
        match_tracks(overlaps.predicted, overlaps.annotated, values),
        values,
        track_sums(overlaps, hard),
        find_errors(overlaps),
        follow_tracks(overlaps, hard),
    )
