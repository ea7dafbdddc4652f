"""Stitching the tracks of overlapping clips, so that memory is bounded by the clip.

A track is a (query, class) pair followed through the clips.  Two clips' tracks of one class are
one where their masks overlap in the frames that both clips saw; among rivals the one of the more
similar class score wins.  With a single clip nothing is stitched and everything is as offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from core.data.rle import Rle, areas_of, coco

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClipTracks:
    """What one clip of T frames shows: K tracks, best first.

    Attributes:
        start: the clip's first frame in the video.
        scores: K scores of the clip.
        labels: K classes.
        frame_scores: K lists of T class scores, one a frame.
        masks: K lists of T masks at the video's size, ``None`` where empty.
    """

    start: int
    scores: Sequence[float]
    labels: Sequence[int]
    frame_scores: Sequence[Sequence[float]]
    masks: Sequence[Sequence[Rle | None]]

    @property
    def length(self) -> int:
        """T; 0 where there are no tracks."""
        return len(self.masks[0]) if self.masks else 0


@dataclass(eq=False)
class VideoTrack:
    """A track through the clips seen so far.

    Attributes:
        label: its class.
        start: its first frame in the video.
        score: mean of its clips' scores, weighted by their frames.
        masks: one entry a frame from ``start`` on.
        order: when it was found; breaks ties of the score.
    """

    label: int
    start: int
    order: int
    score: float = 0.0
    masks: list[Rle | None] = field(default_factory=list)
    _frames: int = 0
    _clip_start: int = 0
    _clip_scores: Sequence[float] = ()

    @property
    def end(self) -> int:
        """The frame after its last one."""
        return self.start + len(self.masks)

    def extend(self, clip: ClipTracks, k: int) -> None:
        """Go on as track ``k`` of ``clip``; frames that are known already stay as they are."""
        self.masks += clip.masks[k][self.end - clip.start :]
        self._frames += clip.length
        # an incremental mean: of a single clip it is that clip's score to the last bit
        self.score += (clip.scores[k] - self.score) * (clip.length / self._frames)
        self._clip_start, self._clip_scores = clip.start, clip.frame_scores[k]

    def masks_from(self, start: int) -> list[Rle | None]:
        """Its masks from frame ``start`` of the video on."""
        return self.masks[start - self.start :]

    def score_from(self, start: int) -> float:
        """Mean class score, as its last clip saw it, from frame ``start`` of the video on."""
        return float(np.mean(self._clip_scores[max(start - self._clip_start, 0) :]))

    def padded(self, length: int) -> list[Rle | None]:
        """Masks of all ``length`` frames of the video."""
        return [None] * self.start + self.masks + [None] * (length - self.end)


class Stitcher:
    """Joins clips, given in order, into the ``top_k`` best tracks of their video.

    Besides those it holds the tracks that the next clip may still continue, and no pixels.
    """

    def __init__(self, match_threshold: float, top_k: int) -> None:
        self.match_threshold = match_threshold
        self.top_k = top_k
        self._open: list[VideoTrack] = []
        self._closed: list[VideoTrack] = []
        self._found = 0

    def add(self, clip: ClipTracks) -> None:
        """Continue tracks by those of ``clip``, or start new ones."""
        self._close(before=clip.start)
        joined = {k: i for i, k in match_clip(self._open, clip, self.match_threshold)}
        new: list[VideoTrack] = []
        for k, label in enumerate(clip.labels):
            if k in joined:
                track = self._open[joined[k]]
            else:
                track = VideoTrack(label, clip.start, self._found)
                self._found += 1
                new.append(track)
            track.extend(clip, k)
        self._open += new

    def finish(self) -> list[VideoTrack]:
        """The video's best tracks, best first."""
        self._close(before=None)
        return self._closed

    def _close(self, before: int | None) -> None:
        """Rank the tracks that end by frame ``before`` (none: all) among the finished ones."""
        ended = [t for t in self._open if before is None or t.end <= before]
        self._open = [t for t in self._open if before is not None and t.end > before]
        ranked = sorted(self._closed + ended, key=lambda t: (-t.score, t.order))
        self._closed = ranked[: self.top_k]


def match_clip(
    tracks: Sequence[VideoTrack], clip: ClipTracks, threshold: float
) -> list[tuple[int, int]]:
    """Pairs (track, track of the clip) that are the same object of the same class.

    The assignment with the largest sum of mask IoU times the ratio of class scores, both over
    the shared frames, among pairs of one class whose IoU reaches ``threshold``.
    """
    if not tracks or not clip.masks:
        return []
    iou = shared_iou([track.masks_from(clip.start) for track in tracks], clip.masks)
    ours = np.array([track.score_from(clip.start) for track in tracks])
    theirs = np.array(
        [[np.mean(s[: track.end - clip.start]) for s in clip.frame_scores] for track in tracks]
    )
    high = np.maximum(ours[:, None], theirs)
    ratio = np.minimum(ours[:, None], theirs) / np.where(high > 0, high, 1)
    same_class = np.array([[t.label == label for label in clip.labels] for t in tracks])
    allowed = same_class & (iou >= threshold) & (iou > 0)
    # every allowed pair is worth more than none, also where a score is 0
    worth = np.where(allowed, iou * ratio + 1e-9, 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [(int(i), int(k)) for i, k in zip(rows, columns, strict=True) if allowed[i, k]]


def shared_iou(
    ours: Sequence[Sequence[Rle | None]], theirs: Sequence[Sequence[Rle | None]]
) -> Array:
    """(I, K) intersection over union of masks through time.

    Args:
        ours: I lists of masks, a frame each, from the first shared frame on; they may end early.
        theirs: K lists of masks from the same frame on; frames beyond a list of ours do not count.
    """
    intersection = np.zeros((len(ours), len(theirs)))
    union = np.zeros_like(intersection)
    for t in range(min(max(map(len, ours)), len(theirs[0]))):
        there = np.array([t < len(masks) for masks in ours])
        left = [masks[t] if t < len(masks) else None for masks in ours]
        both, areas = _frame_overlap(left, [masks[t] for masks in theirs])
        intersection += both
        union += np.where(there[:, None], areas - both, 0)
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def _frame_overlap(ours: Sequence[Rle | None], theirs: Sequence[Rle | None]) -> tuple[Array, Array]:
    """(I, K) intersections and sums of areas, in pixels, of one frame's masks."""
    ours_area, theirs_area = _areas(ours), _areas(theirs)
    areas = ours_area[:, None] + theirs_area[None, :]
    both = np.zeros_like(areas)
    rows, columns = np.flatnonzero(ours_area).tolist(), np.flatnonzero(theirs_area).tolist()
    if rows and columns:
        iou = coco.iou([ours[i] for i in rows], [theirs[k] for k in columns], [0] * len(columns))
        # pycocotools gives ratios only; pixels follow: inter = iou / (1 + iou) * (a + b)
        both[np.ix_(rows, columns)] = iou / (1 + iou) * areas[np.ix_(rows, columns)]
    return both, areas


def _areas(masks: Sequence[Rle | None]) -> Array:
    return np.array([0.0 if mask is None else areas_of([mask])[0] for mask in masks])
