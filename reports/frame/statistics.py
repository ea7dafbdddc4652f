"""What seeds can prove: means with their spread, paired differences, ties with the best.

Every comparison here is between runs of the same seed, so that what two cells share (data order,
initial values of shared modules) cancels.  One seed gives a mean and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ablations.analysis.intervals import estimate_of
from ablations.analysis.verdicts import paired_differences
from benchmarks.figures import Better


@dataclass(frozen=True)
class Summary:
    """Mean over n seeds and their sample standard deviation (none for one seed)."""

    n: int
    mean: float
    std: float | None


@dataclass(frozen=True)
class Difference:
    """Mean of the differences seed by seed, with a t confidence interval from two seeds on."""

    n: int
    mean: float
    low: float | None
    high: float | None

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves zero out; false where there is no interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Ties:
    """The best of several cells, and what can be said of the others.

    Attributes:
        best: the cell with the best mean among those that can be compared; none: nothing can.
        tied: ``best`` and every cell that the test does not tell from it.
        untested: cells that have fewer than two seeds in common with ``best``.
    """

    best: str | None
    tied: frozenset[str]
    untested: frozenset[str]


def seed_summary(values: Sequence[float]) -> Summary | None:
    """Mean and sample standard deviation (n - 1) of one value a seed; None without values."""
    if not values:
        return None
    if len(values) < 2 or not np.isfinite(values).all():  # an infinite value has no spread
        return Summary(len(values), float(np.mean(values)), None)
    # equal values have no spread; the rounding of their mean must not show one
    std = float(np.std(values, ddof=1)) if len(set(values)) > 1 else 0.0
    return Summary(len(values), float(np.mean(values)), std)


def difference_by_seed(
    values: Mapping[int, float], reference: Mapping[int, float], level: float = 0.95
) -> Difference | None:
    """``values - reference`` over the seeds that both have; None where they have none.

    Args:
        values: seed to figure.
        reference: seed to figure, of the cell to compare with.
        level: probability that the two-sided t interval covers the true mean difference.
    """
    differences = paired_differences(values, reference)
    if not differences or not np.isfinite(differences).all():
        return None
    n, mean = len(differences), float(np.mean(differences))
    if n < 2:
        return Difference(1, mean, None, None)
    estimate = estimate_of(differences)  # none where all are equal
    return Difference(n, mean, *(estimate.interval(1 - level) if estimate else (mean, mean)))


def ties_with_best(
    cells: Mapping[str, Mapping[int, float]], better: Better, level: float = 0.95
) -> Ties:
    """The best cell, and those whose paired difference to it cannot be told from zero.

    The best is the one with the best mean among cells of two seeds or more.  The intervals are
    not corrected for the number of cells.

    Args:
        cells: cell to seed to figure; cells without figures are left out.
        better: whether a high or a low figure is the better one.
        level: of the paired t interval that must cover zero for a tie.
    """
    measured = {key: values for key, values in cells.items() if values}
    comparable = {key: values for key, values in measured.items() if len(values) > 1}
    if not comparable:
        return Ties(None, frozenset(), frozenset(measured))
    sign = 1 if better == "high" else -1
    best = max(comparable, key=lambda key: sign * float(np.mean(list(comparable[key].values()))))
    tied, untested = {best}, set()
    for key, values in measured.items():
        difference = difference_by_seed(values, comparable[best], level)
        if difference is None or difference.low is None:
            untested.add(key)
        elif not difference.distinguishable:
            tied.add(key)
    return Ties(best, frozenset(tied), frozenset(untested))


def exact_best(cells: Mapping[str, Mapping[int, float]], better: Better) -> Ties:
    """The best cells by a figure that is the same for every seed, such as a parameter count."""
    means = {key: float(np.mean(list(values.values()))) for key, values in cells.items() if values}
    if not means:
        return Ties(None, frozenset(), frozenset())
    best = (max if better == "high" else min)(means, key=means.__getitem__)
    equal = {key for key, mean in means.items() if mean == means[best]}
    return Ties(best, frozenset(equal), frozenset())


def pareto_front(points: Sequence[tuple[float, float]], cheaper: Better) -> list[int]:
    """Indices of the points that no other point beats in both cost and quality, by cost.

    Args:
        points: (cost or speed, quality) pairs; quality is better when high.
        cheaper: ``"low"`` where the first figure is a cost, ``"high"`` where it is a speed.
    """
    sign = 1 if cheaper == "low" else -1
    order = sorted(range(len(points)), key=lambda i: (sign * points[i][0], -points[i][1]))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front
