"""AP that would be gained if one kind of error were mended, for any weightings of the videos.

A mended track finds the instance that it is on, if that one is not found yet, and else is gone;
duplicates, tracks on the background and those of kind ``both`` are gone; missed instances are not
asked for.  This is TIDE's rule; here AP is the mean over all thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.ap.accumulate import Matches, mean_precision
from benchmarks.ap.match import VideoMatches, concatenated
from benchmarks.ap.tracks import Bools, Floats, Ints
from benchmarks.diagnosis.errors import CLASS, KINDS, MENDED_BY_MATCHING, VideoErrors


@dataclass(frozen=True)
class Errors:
    """All videos' errors, beside their matches.

    Attributes:
        matches: of the videos, with one range of areas: all.
        kind: (D, T) as :class:`VideoErrors` says.
        alone: (D, T) likewise, among all annotated tracks.
        missed: (G, T) likewise.
    """

    matches: Matches
    kind: Ints
    alone: Ints
    missed: Bools

    def occurs(self, kind: str) -> bool:
        """Whether any track has this kind of error at any threshold."""
        return bool(sum(self.counts()[kind]))

    def counts(self) -> dict[str, list[int]]:
        """By kind, how many tracks have it at each threshold."""
        found = {name: (self.kind == number).sum(0) for number, name in enumerate(KINDS[:-1])}
        found[KINDS[-1]] = self.missed.sum(0)
        return {name: count.tolist() for name, count in found.items()}


def gather_errors(matches: Matches, parts: Sequence[VideoErrors]) -> Errors:
    """The errors of videos in the order of their matches."""
    first = np.cumsum([0, *(len(part.missed) for part in parts)])
    alone = [np.where(p.alone < 0, -1, p.alone + n) for p, n in zip(parts, first[:-1], strict=True)]
    every = {
        name: getattr(matches.tracks, name)[:, :1]
        for name in ("matched", "ignored", "truth_ignored")
    }
    return Errors(
        replace(matches, tracks=replace(matches.tracks, **every)),
        np.concatenate([part.kind for part in parts]),
        np.concatenate(alone),
        np.concatenate([part.missed for part in parts]),
    )


def ap_once_mended(errors: Errors, kind: str | None, weights: Ints) -> Floats:
    """AP of each class if one kind of error were mended.

    Args:
        kind: one of :data:`benchmarks.diagnosis.errors.KINDS`; none: AP as it is.
        weights: (R, V) how often each video occurs.

    Returns:
        (R, K); NaN for a class that is not annotated.
    """
    if kind == KINDS[-1]:
        return _without_missed(errors, weights)
    matches = errors.matches if kind is None else _mended(errors, KINDS.index(kind))
    mean: Floats = mean_precision(matches, weights)[:, 0].mean(1)
    return mean


def _mended(errors: Errors, number: int) -> Matches:
    """The matches if the tracks of a kind were right, or gone."""
    tracks = errors.matches.tracks
    wrong = errors.kind == number
    right = wrong & (errors.alone >= 0)
    ignored, matched = tracks.ignored.copy(), tracks.matched.copy()
    if number == CLASS or number not in MENDED_BY_MATCHING:
        ignored[:, 0] |= wrong
    else:
        ignored[:, 0] |= wrong & ~right
        matched[:, 0] |= right
    mended = replace(tracks, matched=matched, ignored=ignored)
    matches = replace(errors.matches, tracks=mended)
    return _relabelled(matches, errors, right) if number == CLASS else matches


def _relabelled(matches: Matches, errors: Errors, right: Bools) -> Matches:
    """With each track again as one of the class that it should have had."""
    track, threshold = np.nonzero(right)
    pairs = np.stack([track, errors.alone[track, threshold]], 1)
    found, of = np.unique(pairs, axis=0, return_inverse=True)
    (rows, truths), of = found.T, of.reshape(-1)
    tracks = matches.tracks
    shape = (len(rows), *tracks.matched.shape[1:])
    matched = np.zeros(shape, bool)
    matched[of, 0, threshold] = True
    again = VideoMatches(
        category=tracks.truth_category[truths],
        score=tracks.score[rows],
        rank=tracks.rank[rows],
        matched=matched,
        ignored=~matched,
        truth_category=tracks.truth_category[:0],
        truth_ignored=tracks.truth_ignored[:0],
    )
    video = np.append(matches.video, matches.video[rows])
    return replace(matches, tracks=concatenated([tracks, again]), video=video)


def _without_missed(errors: Errors, weights: Ints) -> Floats:
    """AP if the missed tracks, other ones at each threshold, were not asked for."""
    tracks = errors.matches.tracks
    # each threshold as a range of its own, which leaves its missed tracks out
    part = replace(
        tracks,
        matched=tracks.matched[:, 0, :, None],
        ignored=tracks.ignored[:, 0, :, None],
        truth_ignored=tracks.truth_ignored | errors.missed,
    )
    after = mean_precision(replace(errors.matches, tracks=part), weights)[:, :, 0]
    # of a class of which all is missed nothing is left to be found
    annotated = _asked_for(errors.matches, weights)[:, None]
    after = np.where(np.isnan(after) & annotated, 1.0, after)
    mean: Floats = after.mean(1)
    return mean


def _asked_for(matches: Matches, weights: Ints) -> Bools:
    """(R, K) whether a class has a track to be found."""
    tracks = matches.tracks
    wanted = ~tracks.truth_ignored[:, 0]
    counts = np.zeros((matches.videos, len(matches.categories)), np.int64)
    places = np.searchsorted(matches.categories, tracks.truth_category[wanted])
    np.add.at(counts, (matches.truth_video[wanted], places), 1)
    asked: Bools = weights @ counts > 0
    return asked
