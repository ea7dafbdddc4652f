"""Student's t intervals, and Holm's step-down procedure over a family of them.

Every conclusion of this folder is drawn from an interval, so that what is said and what is shown
cannot contradict each other: a difference is told from zero when its interval leaves zero out, and
it is nothing within δ when its interval lies inside ±δ (two one-sided tests, Schuirmann 1987, each
at half the level that is customary, which is the stricter way).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

Decision = Literal["higher", "lower", "within", "undecided"]
Nominal = Callable[[int], float]
"""From the number of hypotheses that are still open to the level at which each is tested."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with a normal error whose size is estimated too.

    Attributes:
        mean: the estimate.
        error: its standard error, above zero.
        df: degrees of freedom of that standard error.
    """

    mean: float
    error: float
    df: float

    def interval(self, alpha: float) -> tuple[float, float]:
        """Interval that misses the truth with probability ``alpha``: mean ± t(1 - α/2) error."""
        margin = -float(stdtrit(self.df, alpha / 2)) * self.error
        return self.mean - margin, self.mean + margin

    def p_zero(self) -> float:
        """The smallest α at which the interval leaves zero out: the two-sided t test."""
        return 2 * float(stdtr(self.df, -abs(self.mean) / self.error))

    def p_within(self, delta: float) -> float:
        """The smallest α at which the interval lies inside ±δ; 1 where none does."""
        inside = delta - abs(self.mean)
        return 2 * float(stdtr(self.df, -inside / self.error)) if inside > 0 else 1.0


@dataclass(frozen=True)
class Decided:
    """What the interval of one estimate says after the correction.

    Attributes:
        decision: higher or lower than zero, within ±δ, or undecided.
        alpha: level at which the estimate was tested.
        low: bound of its interval at that level; none without an estimate.
        high: likewise.
    """

    decision: Decision
    alpha: float
    low: float | None
    high: float | None


def estimate_of(differences: Sequence[float]) -> Estimate | None:
    """Mean of paired differences, error s/√n; none for less than two, or where all are equal."""
    if len(differences) < 2 or len(set(differences)) == 1:
        return None
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    mean = float(np.mean(differences))
    # a spread of rounding only is none
    return Estimate(mean, error, len(differences) - 1) if error > 1e-12 * abs(mean) else None


def decide(
    estimates: Sequence[Estimate | None],
    delta: float,
    nominal: Nominal,
    open_differences: int | None = None,
    open_equivalences: int | None = None,
) -> list[Decided]:
    """Tell each estimate from zero, or from ±δ, with Holm's correction.

    There are two families of claims, "it differs" and "it is no different within δ", and Holm's
    procedure (1979) goes through each by itself: the smallest p value of m is compared with
    ``nominal(m)`` (α/m in a test that looks once), the next with ``nominal(m - 1)``, until one
    fails.  So the probability of any false claim in a family is at most α.  Where both claims hold
    (an interval such as [0.2, 0.7] and δ = 1) the difference is the one that is made.

    Args:
        estimates: one a cell or effect; none where there is nothing to judge by.  All count.
        delta: differences up to this size are of no interest.
        nominal: the level at which each of so many open hypotheses is tested.
        open_differences: size of the first family, where claims were made before.
        open_equivalences: size of the second.
    """
    zero = [e.p_zero() if e else 1.0 for e in estimates]
    within = [e.p_within(delta) if e else 1.0 for e in estimates]
    apart, apart_levels = _step_down(zero, nominal, open_differences or len(zero))
    equal, equal_levels = _step_down(within, nominal, open_equivalences or len(within))
    decided = []
    for i, estimate in enumerate(estimates):
        # an undecided interval is shown at the stricter level, at which neither claim holds
        alpha = min(apart_levels[i], equal_levels[i])
        decision: Decision = "undecided"
        if estimate and apart[i]:
            alpha, decision = apart_levels[i], "higher" if estimate.mean > 0 else "lower"
        elif equal[i]:
            alpha, decision = equal_levels[i], "within"
        low, high = estimate.interval(alpha) if estimate else (None, None)
        decided.append(Decided(decision, alpha, low, high))
    return decided


def bonferroni(alpha: float) -> Nominal:
    """The levels of a test that looks once: α over the number of open hypotheses."""
    return lambda hypotheses: alpha / hypotheses


def _step_down(p: Sequence[float], nominal: Nominal, left: int) -> tuple[list[bool], list[float]]:
    """Which hypotheses are rejected, and the level at which each was tested."""
    rejected, levels = [False] * len(p), [0.0] * len(p)
    stopped = False
    for index in sorted(range(len(p)), key=p.__getitem__):
        levels[index] = nominal(left)
        stopped = stopped or p[index] > levels[index]
        if not stopped:
            rejected[index] = True
            left -= 1
    return rejected, levels
