"""One video's tracks as arrays, every mask checked, and how they overlap.

The overlap of two tracks is the sum of their intersections over the sum of their unions, over all
frames.  Overlaps below the lowest threshold never match, so frames of a pair are compared only as
long as it can still reach that: most pairs are dropped by their areas or after a few frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.dataset import Track, Video
from core.data.results import mask_fault
from core.data.rle import coco, mask_areas

AREAS = {
    "all": (0.0, 1e5**2),
    "small": (0.0, 128.0**2),
    "medium": (128.0**2, 256.0**2),
    "large": (256.0**2, 1e5**2),
}
"""Mean pixels of a track, both bounds included."""
NO_MASK = {"size": [1, 1], "counts": "1"}
"""Stands in for null: pycocotools finds no overlap with an empty mask."""
FRAMES_A_STEP = 3
"""Frames that are compared before pairs are dropped again."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class VideoTask:
    """One video's predictions (with their index in the results) and annotations."""

    video: Video
    predictions: Sequence[tuple[int, Mapping[str, Any]]]
    truths: Sequence[Track]


@dataclass(frozen=True)
class Tracks:
    """N tracks of one video of T frames.

    Attributes:
        masks: N lists of T compressed RLEs or nulls.
        areas: (N, T) pixels, 0 for null.
        size: (N,) mean pixels over non-empty frames.
        category: (N,).
        score: (N,); zeros for annotations.
        crowd: (N,); false for predictions.
    """

    masks: Sequence[Sequence[Any]]
    areas: Ints
    size: Floats
    category: Ints
    score: Floats
    crowd: Bools

    def __getitem__(self, chosen: Indices) -> Tracks:
        """The tracks with these indices."""
        arrays = {f.name: getattr(self, f.name)[chosen] for f in fields(self)[1:]}
        return Tracks([self.masks[i] for i in chosen.tolist()], **arrays)

    def __len__(self) -> int:
        return len(self.masks)

    def outside(self) -> Bools:
        """(N, A) whether the track's size is outside the area range."""
        low, high = np.array(list(AREAS.values())).T
        outside: Bools = (self.size[:, None] < low) | (self.size[:, None] > high)
        return outside


def read_tracks(task: VideoTask) -> tuple[Tracks, Tracks] | list[str]:
    """A video's predicted and annotated tracks; or what is wrong with the predicted masks."""
    predicted = _predicted(task)
    return predicted if isinstance(predicted, list) else (predicted, _annotated(task))


def track_overlaps(predicted: Tracks, annotated: Tracks) -> Floats:
    """(D, G) intersection over union; 0 for other categories and below one half."""
    total = predicted.areas.sum(1)[:, None] + annotated.areas.sum(1)
    same = (predicted.category[:, None] == annotated.category) & (total > 0)
    common = np.zeros(same.shape)
    # (T, D, G) most that the frames from each on can still add: the smaller mask
    smaller = np.minimum(predicted.areas.T[:, :, None], annotated.areas.T[:, None, :])
    ahead = np.cumsum(smaller[::-1], 0)[::-1]
    for start in range(0, len(ahead), FRAMES_A_STEP):
        # a pair overlaps by half if three times its intersection reaches both areas
        possible = same & (3 * (common + ahead[start]) >= total)
        rows, columns = np.flatnonzero(possible.any(1)), np.flatnonzero(possible.any(0))
        if not len(rows):
            break
        pairs = np.ix_(rows, columns)
        for frame in range(start, min(start + FRAMES_A_STEP, len(ahead))):
            common[pairs] += intersections(predicted, annotated, frame, rows, columns)
    overlaps = common / np.maximum(total - common, 1)
    return np.where(same & (3 * common >= total), overlaps, 0)


def intersections(
    predicted: Tracks, annotated: Tracks, frame: int, rows: Indices, columns: Indices
) -> Floats:
    """(rows, columns) common pixels of predicted and annotated tracks in a frame."""
    shares = coco.iou(
        [predicted.masks[i][frame] or NO_MASK for i in rows.tolist()],
        [annotated.masks[j][frame] or NO_MASK for j in columns.tolist()],
        [1] * len(columns),
    )
    # as of a crowd: the share of the prediction's area, from which whole pixels follow
    pixels: Floats = np.rint(shares * predicted.areas[rows, frame][:, None])
    return pixels


def _predicted(task: VideoTask) -> Tracks | list[str]:
    masks = [entry["segmentations"] for _, entry in task.predictions]
    try:
        areas = _pixels(masks, task.video)
    except ValueError:
        found = (mask_fault(index, entry, task.video) for index, entry in task.predictions)
        return [fault for fault in found if fault]
    return Tracks(
        masks=masks,
        areas=areas,
        size=np.asarray(areas.sum(1) / np.maximum((areas != 0).sum(1), 1), np.float64),
        category=np.array([entry["category_id"] for _, entry in task.predictions], np.int64),
        score=np.array([entry["score"] for _, entry in task.predictions], np.float64),
        crowd=np.zeros(len(masks), bool),
    )


def _annotated(task: VideoTask) -> Tracks:
    masks = [track.segmentations for track in task.truths]
    # the size is what the file says, the overlap what the masks show
    sizes = [np.mean([area for area in track.areas if area] or [0]) for track in task.truths]
    return Tracks(
        masks=masks,
        areas=_pixels(masks, task.video),
        size=np.array(sizes, np.float64),
        category=np.array([track.category_id for track in task.truths], np.int64),
        score=np.zeros(len(masks)),
        crowd=np.array([track.crowd for track in task.truths], bool),
    )


def _pixels(masks: Sequence[Sequence[Any]], video: Video) -> Ints:
    """(N, T) pixels of N tracks' masks, all checked at once."""
    flat = [mask for of_track in masks for mask in of_track]
    return mask_areas(flat, video.height, video.width).reshape(len(masks), video.length)
