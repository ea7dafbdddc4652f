"""How far AP would move with other videos: a bootstrap over videos.

Videos are drawn with replacement, as many as there are; each draw is scored exactly as a dataset
with those videos would be (copies of a video under ids of their own, next to each other).

AP of resampled videos is too high on average: copies of a well-scored video support each other,
the more the rarer the classes are.  With 40 classes and 300 videos this bias is larger than the
spread, and plain percentiles would leave the measured AP outside its own interval.  The bounds
are therefore percentiles of the samples minus their bias; the bias is part of the record.

Two results of the same ground truth meet the same draws if the seed is the same, so their
difference can be resampled in pairs, which cancels what the videos have in common:
:func:`paired_difference`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from benchmarks.ap.accumulate import Matches, accumulate
from benchmarks.ap.evaluate import ApResult, figures_of, number_of
from benchmarks.ap.tracks import Floats, Ints
from benchmarks.machine.fork_map import fork_map, usable_workers
from core.errors import UserError

CHUNK = 250
"""Resamples at once: bounds the memory, and keeps the matrices in the processor's cache."""
FEW_TRACKS = 5_000
"""Fewer predicted tracks are resampled in this process: starting others would take longer."""

Compute = Callable[[Ints], Mapping[str, Floats]]
"""By name, (R, ...) of datasets in which video v occurs as often as (R, V) counts say."""


@dataclass(frozen=True)
class Interval:
    """A figure's spread over resamples.

    Attributes:
        low: bound below which lie (1 - level) / 2 of the samples, their bias taken off.
        high: likewise above.
        std: standard deviation of the samples.
        bias: their mean minus the measured figure.
    """

    low: float
    high: float
    std: float
    bias: float


@dataclass(frozen=True)
class Bootstrap:
    """Resampled figures of one result.

    Attributes:
        level: share of the resamples inside an interval.
        seed: of the draws.
        videos: drawn in each resample.
        figures: as measured, on the videos as they are.
        samples: by figure, (resamples,); NaN where a resample has no track of the size.
        counts: figures that are counts; all others are shares, of 0 to 1.
    """

    level: float
    seed: int
    videos: int
    figures: dict[str, float | None]
    samples: dict[str, Floats]
    counts: tuple[str, ...] = ()

    @property
    def intervals(self) -> dict[str, Interval | None]:
        """By figure; none where the figure or all resamples of it are absent."""
        found: dict[str, Interval | None] = {}
        for name, figure in self.figures.items():
            interval = _interval(self.samples[name], figure, self.level)
            most = math.inf if name in self.counts else 1.0
            found[name] = interval and replace(
                interval, low=max(interval.low, 0.0), high=min(interval.high, most)
            )
        return found

    def to_dict(self, kept: Sequence[str] = ("AP",)) -> dict[str, Any]:
        """For the record: JSON types; samples of ``kept`` stay in it for paired differences."""
        intervals = {name: None if i is None else asdict(i) for name, i in self.intervals.items()}
        return {
            "resamples": len(next(iter(self.samples.values()))),
            "level": self.level,
            "seed": self.seed,
            "method": "percentiles over videos, bias taken off",
            **intervals,
            "samples": {name: _plain(self.samples[name]) for name in kept},
        }


def bootstrap(
    result: ApResult, resamples: int = 1000, *, level: float = 0.95, seed: int = 0
) -> Bootstrap:
    """Resample the videos of a result.

    Args:
        result: of :func:`benchmarks.ap.evaluate.evaluate`.
        resamples: number of draws; 1,000 settle the bounds of a 95% interval.
        level: share of the resamples inside an interval.
        seed: of the draws.

    Raises:
        UserError: no resamples, or a level outside (0, 1).
    """
    if resamples < 1:
        raise UserError(f"a bootstrap needs at least 1 resample, not {resamples}")
    draws = draw_videos(result.videos, resamples, seed)
    (values,) = resample([ap_figures(result.matches)], draws, workers_for(result.matches))
    return of_values(values, level=level, seed=seed, videos=result.videos)


def ap_figures(matches: Matches) -> Compute:
    """What gives the twelve figures."""
    return lambda weights: figures_of(accumulate(matches, weights))


def workers_for(matches: Matches) -> int:
    """Processes for the resamples of so many tracks."""
    return usable_workers() if len(matches.video) >= FEW_TRACKS else 1


def resample(computes: Sequence[Compute], draws: Ints, workers: int) -> list[dict[str, Floats]]:
    """What each function gives for the videos as they are, and then for each draw.

    Args:
        computes: shared out, in parts of the draws, among the processes.
        draws: (R, V) of :func:`draw_videos`.
        workers: processes.

    Returns:
        (1 + R, ...) by name, for each function.
    """
    rows = np.concatenate([np.ones((1, draws.shape[1]), draws.dtype), draws])
    chunks = np.array_split(rows, max(1, round(len(rows) / CHUNK)))
    tasks = [(compute, chunk) for compute in computes for chunk in chunks]
    parts = fork_map(lambda task: task[0](task[1]), tasks, workers)
    of_each = [parts[k : k + len(chunks)] for k in range(0, len(parts), len(chunks))]
    return [{name: np.concatenate([p[name] for p in of]) for name in of[0]} for of in of_each]


def of_values(
    values: Mapping[str, Floats],
    *,
    seed: int,
    videos: int,
    level: float = 0.95,
    counts: tuple[str, ...] = (),
) -> Bootstrap:
    """Figures and samples, of values as :func:`resample` gives them; the rest as in its result.

    Raises:
        UserError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise UserError(f"the level of an interval is between 0 and 1, such as 0.95, not {level}")
    figures = {name: number_of(value[0]) for name, value in values.items()}
    samples = {name: value[1:] for name, value in values.items()}
    return Bootstrap(level, seed, videos, figures, samples, counts)


def draw_videos(videos: int, resamples: int, seed: int) -> Ints:
    """(resamples, videos) how often each video is drawn."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(videos, np.full(videos, 1 / videos), size=resamples)


def paired_difference(first: Bootstrap, second: Bootstrap, figure: str = "AP") -> Interval | None:
    """Interval of ``second - first`` over the draws that both share.

    Raises:
        UserError: the two were not drawn alike.
    """
    drawn = [(b.seed, b.videos, len(b.samples[figure])) for b in (first, second)]
    if drawn[0] != drawn[1]:
        raise UserError(
            "paired resamples need the same seed, videos and number of resamples, but they are "
            f"{drawn[0]} and {drawn[1]}"
        )
    before, after = first.figures[figure], second.figures[figure]
    measured = None if before is None or after is None else after - before
    return _interval(second.samples[figure] - first.samples[figure], measured, first.level)


def difference_record(other: Bootstrap, result: Bootstrap, results: str) -> dict[str, Any]:
    """For the record of a score: by figure, how far it is from that of other results.

    Args:
        other: resampled figures of the other results.
        result: of the results that the record is of.
        results: where the other results are.
    """
    intervals = {name: paired_difference(other, result, name) for name in result.figures}
    return {
        "results": results,
        "figures": other.figures,
        "difference": {name: i and asdict(i) for name, i in intervals.items()},
    }


def _interval(values: Floats, measured: float | None, level: float) -> Interval | None:
    values = values[~np.isnan(values)]
    if not len(values) or measured is None:
        return None
    bias = float(values.mean()) - measured
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) - bias
    return Interval(float(low), float(high), float(values.std()), bias)


def _plain(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]
