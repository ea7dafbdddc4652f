"""From what like things took to what another will take, with a range that earlier misses set.

Values of the same kind of cell are averaged.  Where there are none, the nearest ones are scaled by
work (multiply-adds) to a power between 0 (a fixed cost) and 1 (in proportion), fitted where the
values tell it.  The range is as wide as the same rule misses each known value by the others.

A few values need not have met the load that there will be.  A time in which processes took turns
is therefore allowed to be as short as without turns, and as long as with those there are now.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NEAREST = 3
FEWEST_MISSES = 5
COVERED = 0.9
"""Share of the known misses that a range covers."""
UNTRIED = {"same": 1.3, "scaled": 2.0}
"""Factors up and down where there are fewer misses to learn from."""
ANOTHER_FAMILY = 1.0
"""How much further a cell of another backbone is, in natural logarithms of work."""


@dataclass(frozen=True)
class Range:
    """An expected value between what it may be at least and at most."""

    low: float
    mid: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def times(self, factor: float) -> Range:
        """In another unit, or of several."""
        return Range(self.low * factor, self.mid * factor, self.high * factor)


NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Point:
    """A value, known or wanted.

    Attributes:
        key: of all that it depends on; equal keys are the same kind of cell.
        family: the backbone's name.
        work: what it grows with; None: not known.
        value: above 0; of a wanted one without meaning.
        busy: load of a core of the machine meanwhile, or of a wanted one as far as it can be told;
            None: not known, or it does not matter.
    """

    key: str
    family: str
    work: float | None
    value: float = math.nan
    busy: float | None = None


class Rule:
    """Predicts values from known ones of one kind of device."""

    def __init__(self, known: Sequence[Point]) -> None:
        """Of positive values; others are left out."""
        self.known = [sample for sample in known if sample.value > 0]
        self.fitted = _exponent(self.known)
        self.exponent = 1.0 if self.fitted is None else self.fitted
        misses = {kind: self._misses(kind) for kind in UNTRIED}
        self.factors = {kind: _factor(kind, missed) for kind, missed in misses.items()}
        self.few = {kind: len(missed) < FEWEST_MISSES for kind, missed in misses.items()}
        self.varies = max(misses["same"], default=1.0)
        """Largest factor between a value and the others of its kind; 1: none has others."""

    def predict(self, wanted: Point) -> tuple[Range, str] | None:
        """The value's range, and whether it comes of the "same" kind of cell or is "scaled"."""
        found = self._expected(wanted, self.known)
        if found is None:
            return None
        mid, kind = found
        factor = self.factors[kind]
        low, high = mid / factor, mid * factor
        same = [sample for sample in self.known if sample.key == wanted.key]
        sources = same or self._near(wanted, self.known)
        if kind == "scaled" and self.fitted is None:
            # between a fixed cost and one in proportion, whatever that is here
            values = [sample.value for sample in sources]
            low, high = min(low, *values), max(high, *values)
        if self.few[kind]:
            # beside the misses, not on top of them: those are of other loads already
            least, most = _turns([sample.busy for sample in sources], wanted.busy)
            low = min(low, mid * least / UNTRIED[kind])
            high = max(high, mid * most * UNTRIED[kind])
        return Range(low, mid, high), kind

    def _expected(self, wanted: Point, known: Sequence[Point]) -> tuple[float, str] | None:
        same = [sample.value for sample in known if sample.key == wanted.key]
        if same:
            return statistics.median(same), "same"
        near = self._near(wanted, known)
        if not near or wanted.work is None:
            return None
        scaled = [s.value * (wanted.work / (s.work or 1)) ** self.exponent for s in near]
        return statistics.geometric_mean(scaled), "scaled"

    def _near(self, wanted: Point, known: Sequence[Point]) -> list[Point]:
        if not wanted.work:
            return []
        log_work = math.log(wanted.work)
        distances = [
            (abs(math.log(s.work) - log_work) + ANOTHER_FAMILY * (s.family != wanted.family), k)
            for k, s in enumerate(known)
            if s.work
        ]
        return [known[k] for _, k in sorted(distances)[:NEAREST]]

    def _misses(self, kind: str) -> list[float]:
        """Factors by which the known values are missed by the others."""
        misses = []
        for k, sample in enumerate(self.known):
            others = [
                other
                for j, other in enumerate(self.known)
                if j != k and (kind == "same" or other.key != sample.key)
            ]
            found = self._expected(sample, others)
            if found is not None and found[1] == kind:
                misses.append(max(found[0] / sample.value, sample.value / found[0]))
        return misses


def _turns(then: Sequence[float | None], now: float | None) -> tuple[float, float]:
    """Factors of a time from the loads that it was met at to none, and to the load there is now.

    Up to a load of 1 each process has a core; beyond, its share of one is the load's inverse.
    """
    loads = [max(1.0, load) for load in then if load is not None]
    if not loads:
        return 1.0, 1.0
    return 1 / max(loads), max(1.0, (now or 0.0) / min(loads))


def _factor(kind: str, misses: Sequence[float]) -> float:
    """Up and down from what is expected; of few misses none is left out."""
    if len(misses) < FEWEST_MISSES:
        return max(UNTRIED[kind], *misses, 1.0)
    return sorted(misses)[math.ceil(COVERED * len(misses)) - 1]


def _exponent(known: Sequence[Point]) -> float | None:
    """Power of work that the values follow, from 0 to 1; None: they do not tell."""
    points = [(math.log(s.work), math.log(s.value)) for s in known if s.work]
    if len({round(x, 2) for x, _ in points}) < NEAREST:
        return None
    slope = statistics.linear_regression(*zip(*points, strict=True)).slope
    return min(1.0, max(0.0, slope))
