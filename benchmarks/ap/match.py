"""Which predicted track finds which annotated one: pycocotools' greedy matching, a video at a time.

Only tracks that overlap an annotated one by at least the lowest threshold take part: others stay
unmatched whatever happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from benchmarks.ap.tracks import (
    AREAS,
    Bools,
    Floats,
    Ints,
    Tracks,
    VideoTask,
    read_tracks,
    track_overlaps,
)

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_TRACKS = 100
"""Best-scored tracks a video and category that count at all."""

_Evaluation: Any = COCOeval  # which has no annotations that mypy could check


@dataclass(frozen=True)
class VideoMatches:
    """What became of one video's tracks, for A area ranges and T thresholds.

    Attributes:
        category: (D,) category id of each predicted track.
        score: (D,).
        rank: (D,) place of the track within its video and category, from 0, by falling score.
        matched: (D, A, T) whether it found an annotated track.
        ignored: (D, A, T) whether it counts neither for nor against.
        truth_category: (G,) category id of each annotated track.
        truth_ignored: (G, A) whether it need not be found.
    """

    category: Ints
    score: Floats
    rank: Ints
    matched: Bools
    ignored: Bools
    truth_category: Ints
    truth_ignored: Bools


def match_video(task: VideoTask) -> VideoMatches | list[str]:
    """The matches of one video; or what is wrong with its masks."""
    tracks = read_tracks(task)
    if isinstance(tracks, list):
        return tracks
    predicted, annotated = ranked(tracks[0]), tracks[1]
    return match_tracks(predicted, annotated, track_overlaps(predicted, annotated))


def concatenated(parts: Sequence[VideoMatches]) -> VideoMatches:
    """The parts, at least one, one after the other as one."""
    arrays = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(VideoMatches)
    }
    return VideoMatches(**arrays)


def ranked(predicted: Tracks) -> Tracks:
    """The tracks that count, by category and falling score."""
    predicted = predicted[np.lexsort((-predicted.score, predicted.category))]
    return predicted[np.flatnonzero(_ranks(predicted) < MAX_TRACKS)]


def match_tracks(predicted: Tracks, annotated: Tracks, overlaps: Floats) -> VideoMatches:
    """The matches of tracks as :func:`ranked` gives them.

    Args:
        overlaps: (D, G) as :func:`benchmarks.ap.tracks.track_overlaps` gives them.
    """
    truth_ignored = annotated.outside() | annotated.crowd[:, None]
    matched, ignored = _matched(predicted, annotated, overlaps, truth_ignored)
    return VideoMatches(
        category=predicted.category,
        score=predicted.score,
        rank=_ranks(predicted),
        matched=matched,
        ignored=ignored,
        truth_category=annotated.category,
        truth_ignored=truth_ignored,
    )


def _ranks(predicted: Tracks) -> Ints:
    """(D,) place of each track within its category, which follow each other."""
    return np.arange(len(predicted)) - np.searchsorted(predicted.category, predicted.category)


def _matched(
    predicted: Tracks, annotated: Tracks, overlaps: Floats, truth_ignored: Bools
) -> tuple[Bools, Bools]:
    """(D, A, T) matched and ignored, of tracks in the order of their scores."""
    matched = np.zeros((len(predicted), len(AREAS), len(THRESHOLDS)), bool)
    ignored = np.repeat(predicted.outside()[:, :, None], len(THRESHOLDS), 2)
    near = (overlaps >= THRESHOLDS[0]).any(1)
    evaluation = _Evaluation(iouType="segm")
    for category in np.unique(predicted.category[near]):
        rows = np.flatnonzero(near & (predicted.category == category))
        columns = np.flatnonzero(annotated.category == category)
        found, on_ignored = _greedy(
            evaluation,
            predicted[rows],
            annotated[columns],
            overlaps[np.ix_(rows, columns)],
            truth_ignored[columns],
        )
        matched[rows] = found
        ignored[rows] = np.where(found, on_ignored, ignored[rows])
    return matched, ignored


def _greedy(
    evaluation: Any, predicted: Tracks, annotated: Tracks, overlaps: Floats, truth_ignored: Bools
) -> tuple[Bools, Bools]:
    """(D, A, T) matched, and matched to a track that is ignored."""
    evaluation._dts[0, 0] = [
        {"id": i + 1, "score": score, "area": area}
        for i, (score, area) in enumerate(zip(predicted.score, predicted.size, strict=True))
    ]
    evaluation._gts[0, 0] = [
        {"id": j + 1, "area": area, "iscrowd": crowd, "ignore": crowd}
        for j, (area, crowd) in enumerate(zip(annotated.size, annotated.crowd, strict=True))
    ]
    evaluation.ious = {(0, 0): overlaps}
    shape = (len(predicted), len(AREAS), len(THRESHOLDS))
    matched, on_ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    # A range matters through the annotations that it excludes.  Many ranges exclude the same, and
    # excluding all of them changes no match.
    found: dict[bytes, Any] = {}
    for a, (excluded, bounds) in enumerate(zip(truth_ignored.T, AREAS.values(), strict=True)):
        key = b"" if excluded.all() or not excluded.any() else excluded.tobytes()
        if key not in found:
            found[key] = evaluation.evaluateImg(0, 0, bounds, MAX_TRACKS)
        matched[:, a] = found[key]["dtMatches"].T > 0
        on_ignored[:, a] = matched[:, a] & (excluded.all() if not key else found[key]["dtIgnore"].T)
    return matched, on_ignored
