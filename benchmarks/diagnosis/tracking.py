"""Tracking figures of scored predictions: HOTA with its parts, IDF1, and identity switches.

HOTA, DetA, AssA and LocA are those of Luiten et al., "HOTA: A Higher Order Metric for Evaluating
Multi-Object Tracking" (IJCV 2021), IDF1 that of Ristani et al. (2016), and an identity switch is
that of CLEAR MOT; masks are compared by IoU in each frame.  TrackEval computes the same; where it
and this part, docs/diagnosis.md says so.  Every figure is made of sums over videos, so that
resampled videos cost one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # whose parts are imported on first use: a report needs none of this one

from benchmarks.ap.tracks import Bools, Floats, Indices, Ints
from benchmarks.diagnosis.overlaps import Overlaps
from core.data.rle import coco
from core.errors import UserError

ALPHAS = np.arange(1, 20) * 0.05
"""IoU thresholds that HOTA is averaged over."""
TRACKING_FIGURES = ("HOTA", "DetA", "AssA", "LocA", "IDF1", "IDSW")
SAME = 0.5
"""IoU in a frame from which IDF1 and switches take two masks as the same."""
SUMS = 3 * len(ALPHAS) + 4
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class HardTracks:
    """How scored tracks, which may overlap, become those that a tracker would have given.

    Attributes:
        min_score: tracks below are left out.
        best_per_frame: in each frame, masks are also left out that overlap one of a better-scored
            track, of any class, by an IoU of one half or more.
    """

    min_score: float = 0.3
    best_per_frame: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise UserError(
                "the least score of a track lies between 0 and 1, such as 0.3, "
                f"not {self.min_score:g}"
            )

    def seen(self, overlaps: Overlaps) -> Bools:
        """(T, D) which predicted masks there are."""
        predicted = overlaps.predicted
        seen = (predicted.areas.T > 0) & (predicted.score >= self.min_score)
        if self.best_per_frame:
            order = np.argsort(-predicted.score, kind="stable")
            for frame, there in enumerate(seen):
                rows = order[there[order]]
                seen[frame] = False
                seen[frame, _best(rows, [predicted.masks[i][frame] for i in rows.tolist()])] = True
        return seen & ~_on_crowds(overlaps)


@dataclass(frozen=True)
class TrackingSums:
    """What the figures are made of, for each class that a video has or that was predicted in it.

    Attributes:
        category: (C,) ids.
        sums: (C, SUMS) for each of ``ALPHAS`` the matched masks, their IoU, and the association
            score of each; then predicted masks, annotated masks, IDTP, switches.
    """

    category: Ints
    sums: Floats


def track_sums(overlaps: Overlaps, hard: HardTracks) -> TrackingSums:
    """The sums of one video."""
    found = hard.seen(overlaps)
    wanted = (overlaps.annotated.areas.T > 0) & ~overlaps.annotated.crowd
    classes = (overlaps.predicted.category, overlaps.annotated.category)
    category, place = np.unique(np.concatenate(classes), return_inverse=True)
    masks = [np.zeros(len(category)), np.zeros(len(category))]
    of_row, of_column = np.split(place.reshape(-1), [len(classes[0])])
    np.add.at(masks[0], of_row, found.sum(0))
    np.add.at(masks[1], of_column, wanted.sum(0))
    sums = np.zeros((len(category), SUMS))
    sums[:, -4], sums[:, -3] = masks
    for one in np.flatnonzero((masks[0] > 0) & (masks[1] > 0)).tolist():
        rows = np.flatnonzero((of_row == one) & found.any(0))
        columns = np.flatnonzero((of_column == one) & wanted.any(0))
        seen, there = found[:, rows], wanted[:, columns]
        iou = overlaps.by_frame[:, rows][:, :, columns] * seen[:, :, None] * there[:, None]
        if iou.any():
            sums[one] = _sums(iou, seen, there)
    return TrackingSums(category, sums)


def tracking_figures(
    parts: Sequence[TrackingSums], categories: Sequence[int], weights: Ints
) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
    """The figures of datasets in which video v occurs ``weights[r, v]`` times.

    Args:
        parts: a video each.
        categories: ids, rising; K of them.
        weights: (R, V) counts.

    Returns:
        By figure: (R,) mean over the classes that are annotated; (R,) of all classes' masks
        together; (R, K) of each class, NaN where it is not annotated.  ``IDSW`` is a count, so
        the first has the sum over all classes, too.
    """
    table = np.zeros((len(parts), len(categories), SUMS))
    for video, part in enumerate(parts):
        table[video, np.searchsorted(categories, part.category)] = part.sums
    flat = weights.astype(np.float64) @ table.reshape(len(parts), -1)
    sums = flat.reshape(len(weights), len(categories), SUMS)
    by_class, together = _figures(sums), _figures(sums.sum(1))
    annotated = sums[:, :, -3] > 0
    count = annotated.sum(1)
    mean: dict[str, Floats] = {}
    for name, values in by_class.items():
        by_class[name] = np.where(annotated, values, np.nan)
        total = np.where(annotated, values, 0).sum(1)
        mean[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    mean["IDSW"] = together["IDSW"]
    return mean, together, by_class


def _figures(sums: Floats) -> dict[str, Floats]:
    """By figure, of (..., SUMS) sums."""
    hits, loc, ass = np.split(sums[..., :-4], 3, axis=-1)
    predicted, annotated, idtp, switches = np.moveaxis(sums[..., -4:], -1, 0)
    either = (predicted + annotated)[..., None] - hits
    detection, association = hits / np.maximum(either, 1), ass / np.maximum(hits, 1)
    localisation = np.maximum(loc, 1e-10) / np.maximum(hits, 1e-10)  # 1 where nothing is matched
    return {
        "HOTA": np.sqrt(detection * association).mean(-1),
        "DetA": detection.mean(-1),
        "AssA": association.mean(-1),
        "LocA": localisation.mean(-1),
        "IDF1": 2 * idtp / np.maximum(predicted + annotated, 1),
        "IDSW": switches,
    }


def _sums(iou: Floats, seen: Bools, there: Bools) -> Floats:
    """(SUMS,) of one class of a video; IoU (T, D, G), masks that there are (T, D) and (T, G)."""
    counts = [seen.sum(), there.sum(), 0, 0]
    same = iou >= SAME
    shared = same.sum(0)
    counts[2] = shared[scipy.optimize.linear_sum_assignment(shared, maximize=True)].sum()
    counts[3] = _switches(iou, np.flatnonzero(seen.any(1) & there.any(1)))
    return np.concatenate([*_hota(iou, seen.sum(0), there.sum(0)), counts])


def _hota(iou: Floats, predicted: Ints, annotated: Ints) -> tuple[Floats, Floats, Floats]:
    """For each alpha: matched masks, the sum of their IoU, and of their association scores."""
    either = iou.sum(1, keepdims=True) + iou.sum(2, keepdims=True) - iou
    likely = np.divide(iou, either, out=np.zeros_like(iou), where=either > _EPS).sum(0)
    masks = predicted[:, None] + annotated
    frame, row, column = _assign(iou * (likely / (masks - likely)))
    found = iou[frame, row, column]
    reached = found[:, None] >= ALPHAS - _EPS
    pairs = np.zeros((masks.size, len(ALPHAS)))
    np.add.at(pairs, row * masks.shape[1] + column, reached)
    association = pairs**2 / np.maximum(masks.reshape(-1, 1) - pairs, 1)
    return reached.sum(0), (found[:, None] * reached).sum(0), association.sum(0)


def _assign(score: Floats) -> tuple[Indices, Indices, Indices]:
    """Frame, row and column of the pairs of each frame that have the highest sum of scores."""
    frames = np.flatnonzero(score.any((1, 2)))
    if 1 in score.shape[1:]:
        best = score[frames].reshape(len(frames), score[0].size).argmax(1)
        return (frames, *np.divmod(best, score.shape[2]))
    of, rows, columns = ([np.zeros(0, np.intp)] for _ in range(3))
    for frame in frames.tolist():
        row, column = scipy.optimize.linear_sum_assignment(score[frame], maximize=True)
        rows.append(row)
        columns.append(column)
        of.append(np.full(len(row), frame))
    return np.concatenate(of), np.concatenate(rows), np.concatenate(columns)


def _switches(iou: Floats, both: Indices) -> int:
    """How often an annotated track is found by another predicted one than when found last.

    As CLEAR MOT: a pair of the frame before stays a pair as long as it can.  ``both``: the frames
    that have masks of either kind.
    """
    possible = np.where(iou >= SAME - _EPS, iou, 0)
    columns = iou.shape[2]
    if columns == 1:
        return _switches_of_one(possible[both, :, 0])
    before, last = np.full(columns, -1), np.full(columns, -1)
    switches = 0
    for score in possible[both]:
        kept = np.flatnonzero(before >= 0)
        pairs = score.copy()
        pairs[before[kept], kept] += 1000.0 * (score[before[kept], kept] > 0)
        _, row, column = _assign(pairs[None])
        hit = pairs[row, column] > _EPS
        row, column = row[hit], column[hit]
        switches += int(((last[column] >= 0) & (last[column] != row)).sum())
        before[:] = -1
        before[column] = last[column] = row
    return switches


def _switches_of_one(score: Floats) -> int:
    """The same for one annotated track, by the scores (T, D): most videos have one of a class."""
    best, top = score.argmax(1).tolist(), score.max(1).tolist()
    before = last = -1
    switches = 0
    for values, row, most in zip(score, best, top, strict=True):
        if before < 0 or not values[before]:
            before = row if most else -1
        if before >= 0:
            switches += last not in (-1, before)
            last = before
    return switches


def _best(rows: Indices, masks: Sequence[Any]) -> Indices:
    """Of masks in the order of their scores, those that overlap no better one that stays."""
    near = np.array(coco.iou(list(masks), list(masks), [0] * len(masks)))
    kept: list[int] = []
    for place in range(len(rows)):
        if not (near[place, kept] >= SAME).any():
            kept.append(place)
    return rows[kept]


def _on_crowds(overlaps: Overlaps) -> Bools:
    """(T, D) masks that lie mostly in a crowd of their class, and on none of its instances."""
    crowd = overlaps.annotated.crowd
    if not crowd.any():
        return np.zeros(overlaps.common.shape[:2], bool)
    inside = (overlaps.common * overlaps.same_class)[:, :, crowd].max(2)
    on_instance = (overlaps.by_frame * overlaps.same_class)[:, :, ~crowd].max(2, initial=0)
    mostly: Bools = (2 * inside > overlaps.predicted.areas.T) & (on_instance < SAME)
    return mostly
