"""How predicted and annotated tracks of one video overlap, frame by frame, whatever their class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.ap.tracks import Bools, Floats, Ints, Tracks, intersections


@dataclass(frozen=True)
class Overlaps:
    """D predicted and G annotated tracks of a video of T frames.

    Attributes:
        predicted: as :func:`benchmarks.ap.match.ranked` gives them.
        annotated: all of the video.
        common: (T, D, G) pixels of both tracks' masks.
    """

    predicted: Tracks
    annotated: Tracks
    common: Ints

    @cached_property
    def joint(self) -> Ints:
        """(T, D, G) pixels of either track's mask."""
        first, second = self.predicted.areas.T[:, :, None], self.annotated.areas.T[:, None, :]
        return first + second - self.common

    @cached_property
    def by_frame(self) -> Floats:
        """(T, D, G) IoU of the masks in each frame; 0 where there is none."""
        return self.common / np.maximum(self.joint, 1)

    @cached_property
    def of_tracks(self) -> Floats:
        """(D, G) intersections over unions, each summed over the frames."""
        return self.common.sum(0) / np.maximum(self.joint.sum(0), 1)

    @cached_property
    def same_class(self) -> Bools:
        """(D, G) whether the classes are the same."""
        same: Bools = self.predicted.category[:, None] == self.annotated.category
        return same

    def for_matching(self) -> Floats:
        """(D, G) what :func:`benchmarks.ap.tracks.track_overlaps` gives for the same tracks."""
        half = 3 * self.common.sum(0) >= (self.common + self.joint).sum(0)
        return np.where(self.same_class & half, self.of_tracks, 0)


def find_overlaps(predicted: Tracks, annotated: Tracks) -> Overlaps:
    """Compare every predicted with every annotated mask of the same frame."""
    frames = predicted.areas.shape[1] if len(predicted) else annotated.areas.shape[1]
    common = np.zeros((frames, len(predicted), len(annotated)), np.int64)
    for frame in range(frames):
        rows = np.flatnonzero(predicted.areas[:, frame])
        columns = np.flatnonzero(annotated.areas[:, frame])
        if len(rows) and len(columns):
            found = intersections(predicted, annotated, frame, rows, columns)
            common[frame][np.ix_(rows, columns)] = found
    return Overlaps(predicted, annotated, common)
