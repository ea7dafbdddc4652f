"""Two sources of doubt: the seeds that were trained, and the videos that were scored.

A figure of seed s on videos v is taken as mean + seed + video + what the two have together.  All
runs are scored on the same videos, and the bootstrap of each draws the same videos
(:mod:`benchmarks.ap.bootstrap`), so that for each draw the mean over seeds is known.

More seeds lessen the first part only, more videos the second only:

- seeds: s²/S, the sample variance over the S seeds divided by their number.  What seed and video
  have together varies from seed to seed and is in it.
- videos: variance over the draws of the mean over seeds, less the share of what seed and video have
  together, which the first part has already.

Their sum is the variance of the mean.  In the interval the seeds are drawn from Student's
distribution, and not from the few there are: drawing three seeds with replacement, as a bootstrap
over both would (Owen, Ann. Appl. Stat. 1, 2007), gives intervals for 95% that cover about 75%.
Without videos the interval is the t interval over the seeds; with seeds that agree it is the
bootstrap over videos.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError

DRAWS = 20_000
"""Draws of seeds and videos together; the bounds are settled to about 2% of their distance."""


@dataclass(frozen=True)
class Resampled:
    """A figure and what it is on resampled videos.

    Attributes:
        figure: as measured.
        samples: (resamples,) the figure of each draw; NaN where a draw has none.
        drawn: what must agree for two draws to be of the same videos.
    """

    figure: float
    samples: NDArray[np.float64]
    drawn: tuple[Any, ...]


@dataclass(frozen=True)
class TwoSources:
    """Mean over seeds, and how far seeds and videos leave it in doubt.

    Attributes:
        seeds: number of seeds.
        mean: over the seeds, as measured.
        variance_seeds: part of the variance of the mean that more seeds would lessen; none for one.
        variance_videos: part that only more videos would lessen.
        low: bound of the interval for both sources together; none for one seed.
        high: likewise.
    """

    seeds: int
    mean: float
    variance_seeds: float | None
    variance_videos: float
    low: float | None
    high: float | None

    @property
    def share_seeds(self) -> float | None:
        """Share of the variance that is the seeds', 0 to 1; none for one seed or no variance."""
        total = (self.variance_seeds or 0.0) + self.variance_videos
        if self.variance_seeds is None or not total:
            return None
        return self.variance_seeds / total


def resampled(record: Mapping[str, Any], scale: float = 100.0) -> Resampled | None:
    """AP and its resamples from the record of a score; none where it has no bootstrap.

    Args:
        record: ``ap.json`` of a run.
        scale: records hold fractions; 100 gives AP points.
    """
    bootstrap = record.get("bootstrap")
    figure = record["figures"].get("AP")
    if not bootstrap or figure is None:
        return None
    samples = np.array(bootstrap["samples"].get("AP", ()), np.float64) * scale  # None becomes NaN
    protocol = record.get("protocol", {})
    drawn = (bootstrap.get("seed"), len(samples), protocol.get("videos"))
    return Resampled(figure * scale, samples, drawn)


def two_sources(
    values: Mapping[int, Resampled],
    reference: Mapping[int, Resampled] | None = None,
    level: float = 0.95,
) -> TwoSources | None:
    """Mean over seeds with an interval for seeds and videos; of the difference to ``reference``.

    The samples' bias (their mean less the figure) is taken off, as in
    :mod:`benchmarks.ap.bootstrap`.

    Args:
        values: seed to resampled figure.
        reference: of the cell to compare with; pairs are of the same seed and the same draws.
        level: of the interval.

    Returns:
        None where there is no (common) seed, or no draw in which every run has a figure.

    Raises:
        UserError: the runs' videos were not drawn alike.
    """
    seeds = sorted(values.keys() & reference.keys() if reference is not None else values)
    runs = [values[s] for s in seeds] + [reference[s] for s in seeds if reference is not None]
    drawn = {run.drawn for run in runs}
    if len(drawn) > 1:
        raise UserError(
            "the bootstraps over videos are not of the same draws (seed, resamples, videos): "
            + ", ".join(map(str, sorted(drawn, key=str)))
        )
    if not seeds:
        return None
    figures = np.array([values[s].figure for s in seeds])
    samples = np.stack([values[s].samples for s in seeds])
    if reference is not None:
        figures = figures - [reference[s].figure for s in seeds]
        samples = samples - np.stack([reference[s].samples for s in seeds])
    samples = samples[:, ~np.isnan(samples).any(axis=0)]
    return _both(figures, samples, level) if samples.shape[1] > 1 else None


def _both(figures: NDArray[np.float64], samples: NDArray[np.float64], level: float) -> TwoSources:
    seeds = len(figures)
    mean = float(figures.mean())
    centred = samples - samples.mean(axis=1, keepdims=True)
    of_mean = centred.mean(axis=0)
    video = float(of_mean.var())
    if seeds < 2:
        return TwoSources(1, mean, None, video, None, None)
    seed = float(figures.var(ddof=1)) / seeds
    together = float(((centred - of_mean) ** 2).mean(axis=1).sum()) / (seeds - 1) / seeds
    own = max(video - together, 0.0)
    generator = np.random.default_rng(0)
    drawn = mean + generator.standard_t(seeds - 1, DRAWS) * math.sqrt(seed)
    if own:
        drawn += generator.choice(of_mean, DRAWS) * math.sqrt(own / video)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return TwoSources(seeds, mean, seed, own, float(low), float(high))


def variance_table(
    cells: Mapping[str, Mapping[int, Resampled]], baseline: str | None = None, level: float = 0.95
) -> dict[str, TwoSources]:
    """Both sources for each cell, or with ``baseline`` for each difference to it.

    Args:
        cells: cell to seed to resampled figure.
        baseline: the cell that the others are set against.
        level: of the intervals.

    Raises:
        UserError: the runs' videos were not drawn alike.
    """
    reference = None if baseline is None else cells[baseline]
    found = {
        name: two_sources(values, reference, level)
        for name, values in cells.items()
        if name != baseline
    }
    return {name: sources for name, sources in found.items() if sources is not None}
