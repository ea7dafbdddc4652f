"""What is wrong with each predicted track that finds nothing, and which instances are missed.

In the manner of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection
Errors", ECCV 2020), with what tracks add: identity, and frames.  docs/diagnosis.md defines every
kind.  At each of AP's thresholds a predicted track that is not matched has exactly one kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.ap.match import THRESHOLDS
from benchmarks.ap.tracks import Bools, Floats, Indices, Ints
from benchmarks.diagnosis.overlaps import Overlaps

KINDS = (
    *("class", "mask", "identity", "frames", "duplicate", "background", "both"),
    "missed",
)
"""Of a predicted track, in the order of their numbers; the last one is of an annotated track."""
CLASS, MASK, IDENTITY, FRAMES, DUPLICATE, BACKGROUND, BOTH = range(7)
FINE = -1
"""A predicted track that is matched, or that AP ignores."""
MENDED_BY_MATCHING = (CLASS, MASK, IDENTITY, FRAMES)
"""Kinds that, mended, make a track find an instance."""
LOCATED = 0.1
"""IoU, over the frames that a track has, from which it is on an instance: TIDE's background."""
FOLLOWS = 0.5
"""IoU in a frame from which a track follows an instance there."""
SHARED_FRAMES = 0.1
"""Parts of one broken instance have no more frames in common than this share of the shorter."""


@dataclass(frozen=True)
class VideoErrors:
    """Of one video, D predicted and G annotated tracks, T thresholds.

    Attributes:
        matched: (D, T) annotated track that AP matches with each predicted one; -1: none.
        kind: (D, T) number of a kind, or ``FINE``.
        alone: (D, T) the annotated track that the predicted one would find if its kind were
            mended and nothing else; -1: none, since that one is found already.
        missed: (G, T) annotated tracks that no predicted track is on: neither matched, nor to be
            matched by mending anything.
    """

    matched: Ints
    kind: Ints
    alone: Ints
    missed: Bools


def find_errors(overlaps: Overlaps) -> VideoErrors:
    """The errors of one video's tracks."""
    crowd = overlaps.annotated.crowd
    matched = greedy(overlaps.for_matching(), crowd, crowd)
    near = overlaps.of_tracks[:, :, None] >= THRESHOLDS
    same = (overlaps.same_class & ~crowd)[:, :, None]
    other = (~overlaps.same_class & ~crowd)[:, :, None]
    located = _located(overlaps) >= LOCATED
    on_own, on_other = located & same[..., 0], located & other[..., 0]
    lost, broken = _lost(overlaps, on_own)
    target = np.where(on_own, overlaps.of_tracks, -1.0)
    main = np.full(len(lost), MASK, np.int64)
    if target.size:
        main = MASK + lost[np.arange(len(lost)), target.argmax(1)].argmax(1)
    kind = np.full(matched.shape, BACKGROUND, np.int64)
    # the last that holds decides
    kind = np.where(on_other.any(1, keepdims=True), BOTH, kind)
    kind = np.where(on_own.any(1, keepdims=True), main[:, None], kind)
    kind = np.where((near & other).any(1), CLASS, kind)
    kind = np.where((near & same).any(1), DUPLICATE, kind)
    kind = np.where(_continues(broken, near & same, matched), IDENTITY, kind)
    kind = np.where(matched >= 0, FINE, kind)
    alone, missed = _mended(overlaps, kind, matched, on_own, near & other)
    return VideoErrors(matched, kind, alone, missed)


def greedy(values: Floats, ignored: Bools, crowd: Bools) -> Ints:
    """(D, T) annotated track that each predicted one finds, as AP matches them; -1: none.

    The best-scored first, each takes the free one that it overlaps most.  Ignored tracks are for
    those that find no other; a crowd is never taken.

    Args:
        values: (D, G) as AP matches by, those of one class in the order of their scores.
        ignored: (G,) tracks that need not be found.
        crowd: (G,) likewise; and any number may find them.
    """
    matched = np.full((len(values), len(THRESHOLDS)), -1)
    free = np.ones((values.shape[1], len(THRESHOLDS)), bool)
    limits = np.minimum(THRESHOLDS, 1 - 1e-10)
    every = np.arange(len(THRESHOLDS))
    for row in np.flatnonzero((values >= THRESHOLDS[0]).any(1)).tolist():
        value = np.where(free & (values[row][:, None] >= limits), values[row][:, None], -1.0)
        for some in (~ignored, ignored):
            ranked = np.where(some[:, None], value, -1.0)[::-1]  # the last one of equals
            best = len(ranked) - 1 - ranked.argmax(0)
            found = (matched[row] < 0) & (ranked.max(0) >= 0)
            matched[row, found] = best[found]
            free[best[found], every[found]] = crowd[best[found]]
    return matched


def _located(overlaps: Overlaps) -> Floats:
    """(D, G) IoU over the frames that the predicted track has."""
    there = (overlaps.predicted.areas.T > 0)[:, :, None]
    return overlaps.common.sum(0) / np.maximum((overlaps.joint * there).sum(0), 1)


def _lost(overlaps: Overlaps, pairs: Bools) -> tuple[Ints, Bools]:
    """What keeps pairs of tracks from an overlap of 1, and the parts of broken instances.

    Args:
        pairs: (D, G) that are looked at.

    Returns:
        (D, G, 3) pixels of either mask that are not of both, by the reason: masks, identity,
        frames; and (G, D, D) whether two predicted tracks are parts of one annotated one.
    """
    follows = overlaps.by_frame >= FOLLOWS
    pixels = overlaps.joint - overlaps.common
    first, second = (overlaps.predicted.areas.T > 0), (overlaps.annotated.areas.T > 0)
    both = first[:, :, None] & second[:, None]
    regular = follows & ~overlaps.annotated.crowd
    switched = ~follows & regular.any(2, keepdims=True)
    broken = _broken(follows, overlaps.predicted.category, pairs)
    continued = np.zeros_like(both)
    for column in np.flatnonzero(broken.any((1, 2))).tolist():
        elsewhere = follows[:, :, column].astype(np.float32) @ broken[column].astype(np.float32)
        continued[:, :, column] = (elsewhere > 0) & ~first & second[:, column, None]
    identity = switched | continued
    reasons = (both & ~identity, identity, ~both & ~identity)
    lost = np.stack([(pixels * reason).sum(0) for reason in reasons], -1)
    return lost, broken


def _broken(follows: Bools, category: Ints, pairs: Bools) -> Bools:
    """(G, D, D) tracks of one class that follow the same instance at different times."""
    broken = np.zeros((pairs.shape[1], len(pairs), len(pairs)), bool)
    for column in range(pairs.shape[1]):
        rows = np.flatnonzero(pairs[:, column] & follows[:, :, column].any(0))
        frames = follows[:, rows, column].astype(np.float32)
        shared, length = frames.T @ frames, frames.sum(0)
        shorter = np.minimum.outer(length, length)
        alike = category[rows][:, None] == category[rows]
        broken[column][np.ix_(rows, rows)] = np.less_equal(shared, SHARED_FRAMES * shorter) & alike
    return broken


def _continues(broken: Bools, near: Bools, matched: Ints) -> Bools:
    """(D, T) near enough to an instance that another part of it has found already."""
    found = np.zeros(matched.shape, bool)
    for column in np.flatnonzero(broken.any((1, 2))).tolist():
        holder = (matched == column).astype(np.float64)
        parts = np.asarray(broken[column].astype(np.float64) @ holder)
        found |= (parts > 0) & near[:, column]
    return found


def _mended(
    overlaps: Overlaps, kind: Ints, matched: Ints, on_own: Bools, near_other: Bools
) -> tuple[Ints, Bools]:
    """(D, T) what each kind, mended alone, would find; (G, T) what is missed if all were mended.

    As in matching, the best-scored comes first and takes the free one that it overlaps most.
    """
    alone = np.full(kind.shape, -1)
    every = np.arange(len(THRESHOLDS))
    free = np.ones((on_own.shape[1], len(THRESHOLDS)), bool)
    rows, columns = np.nonzero(matched >= 0)
    free[matched[rows, columns], columns] = False
    missed = free & ~overlaps.annotated.crowd[:, None]
    by_kind = np.repeat(free[None], len(MENDED_BY_MATCHING), 0)
    candidates = on_own | near_other.any(2)
    some: Bools = np.logical_and(candidates.any(1), np.isin(kind, MENDED_BY_MATCHING).any(1))
    order = np.argsort(-overlaps.predicted.score, kind="stable")
    for row in order[some[order]].tolist():
        matching = np.isin(kind[row], MENDED_BY_MATCHING)
        own = np.where(matching, kind[row], 0)
        reached: Indices = np.flatnonzero(candidates[row])
        near = reached[np.argsort(-overlaps.of_tracks[row, reached], kind="stable")].tolist()
        # one that no other track would find, whatever is mended; else one that its kind leaves
        for last in (False, True):
            for column in near:
                on = np.where(kind[row] == CLASS, near_other[row, column], on_own[row, column])
                left = by_kind[own, column, every] if last else missed[column]
                takes = on & matching & (alone[row] < 0) & left
                alone[row, takes] = column
                missed[column] &= ~takes
                by_kind[own[takes], column, every[takes]] = False
    return alone, missed
