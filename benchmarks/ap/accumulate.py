"""From matches to precision and recall, for any number of weightings of the videos at once.

The figures are those of all videos, each counted once.  A bootstrap asks for the same figures
of a thousand resampled datasets in which a video occurs 0, 1, 2... times.  Matching never crosses
videos, so only this last step is repeated, and its result is exactly that of scoring a dataset
with the videos copied.

What makes it fast: precision falls at every false positive and interpolation takes the best
precision at or above a recall, so only the true positives' ranks matter.  A true positive's rank
in a resampled dataset is a weighted count of the tracks before it, video by video: one matrix
product for all resamples.  pycocotools' own ``accumulate`` takes some hundred milliseconds a
dataset at that size, so the tests use it as a reference instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.ap.match import THRESHOLDS, VideoMatches, concatenated
from benchmarks.ap.tracks import AREAS, Bools, Floats, Indices, Ints

RECALLS = np.linspace(0.0, 1.0, 101)
LIMITS = (("all", 1), ("all", 10), ("all", 100), ("small", 100), ("medium", 100), ("large", 100))
"""(area range, best tracks a video and category) of the six recalls."""


@dataclass(frozen=True)
class Matches:
    """All videos' matches, in the order of the video ids.

    Attributes:
        videos: number of videos.
        categories: ids of all categories, rising; K of them.
        tracks: one after the other, as :class:`benchmarks.ap.match.VideoMatches` says.
        video: (D,) index of each predicted track's video.
        truth_video: (G,) index of each annotated track's video.
    """

    videos: int
    categories: tuple[int, ...]
    tracks: VideoMatches
    video: Ints
    truth_video: Ints


@dataclass(frozen=True)
class Curves:
    """Precision and recall for R weightings of the videos; NaN where a category is absent.

    Attributes:
        precision: (R, A, T, K) mean over the recall levels, of the best 100 tracks.
        recall: (R, 6, T, K) highest recall, for each of ``LIMITS``.
    """

    precision: Floats
    recall: Floats


@dataclass(frozen=True)
class _Ranking:
    """Predicted tracks of a category, best score first; column c of the weights is theirs."""

    index: Indices
    column: Indices
    weights: Floats


def gather(parts: Sequence[VideoMatches], categories: Sequence[int]) -> Matches:
    """The matches of videos that come in the order of their ids."""
    numbers = np.arange(len(parts))
    return Matches(
        videos=len(parts),
        categories=tuple(sorted(categories)),
        tracks=concatenated(parts),
        video=np.repeat(numbers, [len(part.score) for part in parts]),
        truth_video=np.repeat(numbers, [len(part.truth_category) for part in parts]),
    )


def accumulate(matches: Matches, weights: Ints) -> Curves:
    """Precision and recall of datasets in which video v occurs ``weights[r, v]`` times.

    Args:
        matches: of V videos.
        weights: (R, V) counts.
    """
    draws = weights.astype(np.float64)
    shape = (len(weights), len(LIMITS), len(THRESHOLDS), len(matches.categories))
    recall = np.full(shape, np.nan)
    for k, category in enumerate(matches.categories):
        wanted = _wanted(matches, draws, category)
        if wanted.any():
            recall[..., k] = _recall(matches, draws, category, wanted)
    return Curves(mean_precision(matches, weights), recall)


def mean_precision(matches: Matches, weights: Ints) -> Floats:
    """(R, A, T, K) as in :class:`Curves`, for any number of ranges and thresholds."""
    draws = weights.astype(np.float64)
    shape = (len(weights), *matches.tracks.matched.shape[1:], len(matches.categories))
    precision = np.full(shape, np.nan)
    for k, category in enumerate(matches.categories):
        wanted = _wanted(matches, draws, category)
        if wanted.any():
            precision[..., k] = _precision(matches, draws, category, wanted)
    return precision


def _wanted(matches: Matches, weights: Floats, category: int) -> Floats:
    """(R, A) annotated tracks of the category that count."""
    of = matches.tracks.truth_category == category
    ignored = matches.tracks.truth_ignored[of]
    counts = np.zeros((matches.videos, ignored.shape[1]))
    np.add.at(counts, matches.truth_video[of], 1.0 - ignored)
    return weights @ counts


def _recall(matches: Matches, weights: Floats, category: int, wanted: Floats) -> Floats:
    """(R, 6, T) share of the annotated tracks that were found."""
    tracks = matches.tracks
    of = np.flatnonzero(tracks.category == category)
    found = (tracks.matched[of] & ~tracks.ignored[of]).astype(np.float64)
    counts = np.zeros((matches.videos, len(LIMITS), len(THRESHOLDS)))
    areas = [list(AREAS).index(area) for area, _ in LIMITS]
    for i, (a, (_, limit)) in enumerate(zip(areas, LIMITS, strict=True)):
        within = tracks.rank[of] < limit
        np.add.at(counts[:, i], matches.video[of][within], found[within, a])
    recalled = weights @ counts.reshape(matches.videos, -1)
    return _ratio(recalled.reshape(-1, *counts.shape[1:]), wanted[:, areas, None])


def _precision(matches: Matches, weights: Floats, category: int, wanted: Floats) -> Floats:
    """(R, A, T) interpolated precision, mean over ``RECALLS``."""
    ranking = _ranking(matches, weights, category)
    matched = matches.tracks.matched[ranking.index]
    counted = ~matches.tracks.ignored[ranking.index]
    precision = np.full((len(weights), *matched.shape[1:]), np.nan)
    cells = [(a, t) for a, t in np.ndindex(matched.shape[1:]) if wanted[:, a].any()]
    hits = [np.flatnonzero(matched[:, a, t] & counted[:, a, t]) for a, t in cells]
    before = [
        _counts_up_to(places, counted[:, a, t], ranking)
        for (a, t), places in zip(cells, hits, strict=True)
    ]
    # one product for all: the threads of many small ones would mostly wait for each other
    product = ranking.weights @ np.concatenate(before).T
    so_far = np.split(product, np.cumsum([len(places) for places in hits])[:-1], axis=1)
    for (a, t), places, tracks in zip(cells, hits, so_far, strict=True):
        hit_weights = ranking.weights[:, ranking.column[places]]
        precision[:, a, t] = _interpolated(hit_weights, tracks, wanted[:, a])
    return precision


def _interpolated(hit_weights: Floats, so_far: Floats, wanted: Floats) -> Floats:
    """(R,) mean precision, from each true positive's weight and the tracks up to it (R, P)."""
    found = np.cumsum(hit_weights, 1)
    precision = found / (so_far + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    reached = np.searchsorted(RECALLS, _ratio(found, wanted[:, None]), side="right")
    levels = np.diff(reached, axis=1, prepend=0)
    mean = (best * levels).sum(1) / len(RECALLS)
    return np.where(wanted > 0, mean, np.nan)


def _counts_up_to(hits: Indices, counted: Bools, ranking: _Ranking) -> Floats:
    """(P, C) counted tracks of each weight column at or before each hit."""
    columns = ranking.weights.shape[1]
    places = np.flatnonzero(counted)
    hit = np.searchsorted(hits, places)
    places, hit = places[hit < len(hits)], hit[hit < len(hits)]
    cells = np.bincount(hit * columns + ranking.column[places], minlength=len(hits) * columns)
    return np.cumsum(cells.reshape(len(hits), columns), 0).astype(np.float64)


def _ranking(matches: Matches, weights: Floats, category: int) -> _Ranking:
    """Tracks of the category by falling score; equal scores in the order of the videos.

    Within a video tracks keep their rank.  Tracks of one video with one score are a case of their
    own: of a video that occurs twice, all of the first copy come before all of the second.  Where
    that order matters (one of them is matched) each copy gets a place and a weight column.
    """
    tracks = matches.tracks
    index = np.flatnonzero(tracks.category == category)
    tied = _tied(matches, index)
    copies = np.where(tied, max(int(weights.max(initial=1)), 1), 1)
    index, tied = np.repeat(index, copies), np.repeat(tied, copies)
    copy = np.arange(len(index)) - np.repeat(np.cumsum(copies) - copies, copies)
    order = np.lexsort((tracks.rank[index], copy, matches.video[index], -tracks.score[index]))
    index, copy, tied = index[order], copy[order], tied[order]
    keys = np.stack([matches.video[index], np.where(tied, copy + 1, 0)], 1)
    (video, number), column = _unique_rows(keys)
    counts = weights[:, video]
    columns = np.where(number > 0, counts >= number, counts)
    return _Ranking(index, column, columns)


def _tied(matches: Matches, index: Indices) -> Bools:
    """Whether each track shares video and score with others, one of which is matched."""
    scores = np.unique(matches.tracks.score[index], return_inverse=True)[1]
    keys = np.stack([matches.video[index], scores], 1)
    group = _unique_rows(keys)[1]
    size = np.bincount(group, minlength=1)
    matched = np.zeros(len(size), bool)
    np.logical_or.at(matched, group, matches.tracks.matched[index].any((1, 2)))
    return (size[group] > 1) & matched[group]


def _unique_rows(keys: Ints) -> tuple[Ints, Indices]:
    """Distinct rows, transposed, and for each row which of them it is."""
    rows, inverse = np.unique(keys, axis=0, return_inverse=True)
    return rows.T, inverse.reshape(-1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
