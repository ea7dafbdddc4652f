"""Which predicted track is on each annotated one, frame by frame: what shows a lost identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.ap.tracks import Floats, Indices, Ints
from benchmarks.diagnosis.errors import LOCATED
from benchmarks.diagnosis.overlaps import Overlaps
from benchmarks.diagnosis.tracking import HardTracks

LEAST_OVERLAP = 0.3
"""Spatio-temporal IoU from which a predicted track has the colour of an annotated one."""


@dataclass(frozen=True)
class Followed:
    """Of one video, G annotated tracks, T frames, and the H hard predicted ones.

    Attributes:
        tracks: (H,) which of the predicted tracks they are, the best-scored first.
        place: (H,) index of the annotated track that it overlaps most and that no better-scored
            one has, else an index of its own from G on: decides its colour.
        found: (T, G) place of the predicted track, of whatever class, that overlaps the annotated
            one most in the frame; -1: none by 0.1.
        iou: (T, G) how much.
    """

    tracks: Indices
    place: Ints
    found: Ints
    iou: Floats


def follow_tracks(overlaps: Overlaps, hard: HardTracks) -> Followed:
    """Find the tracks of one video."""
    seen = hard.seen(overlaps)
    order = np.argsort(-overlaps.predicted.score, kind="stable")
    tracks = order[np.asarray(seen.any(0))[order]]
    place = places(overlaps.of_tracks[tracks])
    masks = overlaps.by_frame[:, tracks] * seen[:, tracks, None]
    iou = masks.max(1, initial=0)
    found = np.full(iou.shape, -1)
    if len(tracks):
        found = np.where(iou >= LOCATED, place[masks.argmax(1)], -1)
    return Followed(tracks, place, found, iou)


def places(values: Floats) -> Ints:
    """(D,) for each predicted track, the best-scored first, which annotated one has its colour.

    Args:
        values: (D, G) overlaps.

    Returns:
        The annotated track that it overlaps most and that no better-scored one has; those without
        get indices of their own from G on.
    """
    found, extra = np.zeros(len(values), np.int64), values.shape[1]
    free = np.ones(values.shape[1], bool)
    for row, value in enumerate(values):
        best = int(np.where(free, value, -1).argmax()) if len(value) else 0
        if len(value) and free[best] and value[best] >= LEAST_OVERLAP:
            found[row], free[best] = best, False
        else:
            found[row], extra = extra, extra + 1
    return found
