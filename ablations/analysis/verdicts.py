"""Each cell against the baseline: better, worse, no different within δ, or undecided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri, stdtrit

from ablations.analysis.intervals import Decided, Decision, bonferroni, decide, estimate_of
from ablations.analysis.limits import MOST_SEEDS

VerdictKind = Literal["better", "worse", "no different", "undecided", "none"]
KIND_OF: dict[Decision, VerdictKind] = {
    "higher": "better",
    "lower": "worse",
    "within": "no different",
    "undecided": "undecided",
}
"""What is said of a figure of which a high one is better."""


@dataclass(frozen=True)
class Verdict:
    """What the seeds of a cell say of its difference to the baseline.

    Attributes:
        kind: the verdict; ``none`` where there is nothing to judge by: fewer than two seeds, or the
            same difference in every seed.
        seeds: number of seeds that the cell and the baseline have in common.
        mean: mean of the differences seed by seed; none without common seeds.
        low: bound of the corrected interval; none without a verdict.
        high: likewise.
        more: further seeds that would settle it; none where it is settled, nothing can be said, or
            more than 1,000 seeds would be needed.
    """

    kind: VerdictKind
    seeds: int
    mean: float | None
    low: float | None
    high: float | None
    more: int | None = None

    @property
    def final(self) -> bool:
        """Whether further seeds are of no use."""
        return self.kind in ("better", "worse", "no different")


def verdicts(
    cells: Mapping[str, Mapping[int, float]],
    baseline: Mapping[int, float],
    *,
    delta: float = 1.0,
    level: float = 0.95,
    better: Literal["high", "low"] = "high",
) -> dict[str, Verdict]:
    """A verdict for each cell, from its differences to the baseline over their common seeds.

    The interval is mean ± t(1 - α'/2, n - 1) s/√n, with α' by Holm's correction over all cells
    given (:func:`ablations.analysis.intervals.decide`).  Two seeds suffice for a verdict, but with
    one degree of freedom the interval is 12.7 standard errors wide on either side; one seed gives
    none.

    Args:
        cells: cell to seed to figure, without the baseline.
        baseline: seed to figure.
        delta: differences up to this size are of no interest, in the unit of the figure.
        level: probability that no cell is falsely told from the baseline.
        better: whether a high or a low figure is the better one.
    """
    paired = {name: paired_differences(values, baseline) for name, values in cells.items()}
    estimates = [estimate_of(differences) for differences in paired.values()]
    decided = decide(estimates, delta, bonferroni(1 - level))
    return {
        name: verdict_of(differences, outcome, delta, better)
        for (name, differences), outcome in zip(paired.items(), decided, strict=True)
    }


def paired_differences(values: Mapping[int, float], reference: Mapping[int, float]) -> list[float]:
    """``values - reference`` over the seeds that both have, in the order of the seeds."""
    return [values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())]


def verdict_of(
    differences: Sequence[float],
    decided: Decided,
    delta: float,
    better: Literal["high", "low"] = "high",
) -> Verdict:
    """The verdict on paired differences of which the corrected interval says ``decided``."""
    n = len(differences)
    mean = float(np.mean(differences)) if n else None
    if decided.low is None:
        return Verdict("none", n, mean, None, None)
    kind, more = KIND_OF[decided.decision], None
    if better == "low" and kind in ("better", "worse"):
        kind = "worse" if kind == "better" else "better"
    if kind == "undecided":
        spread = float(np.std(differences, ddof=1))
        more = seeds_to_settle(spread, delta, decided.alpha, n)
    return Verdict(kind, n, mean, decided.low, decided.high, more)


def seeds_to_settle(spread: float, delta: float, alpha: float, seeds: int) -> int | None:
    """Further seeds until an interval settles a difference of δ, whatever the mean will be.

    The smallest n with t(1 - α/2, n - 1) s/√n ≤ δ/2, less those at hand.  An interval that is at
    most δ wide leaves zero out where the mean is beyond δ/2, and lies inside ±δ where it is not.
    The spread s is that of the seeds at hand and as uncertain as they are few.

    Args:
        spread: sample standard deviation of the paired differences.
        delta: size of the difference that is to be settled.
        alpha: level of the interval.
        seeds: at hand.

    Returns:
        At least 1; none where it takes more than 1,000.
    """
    # no t is smaller than the normal quantile, so no smaller n will do
    fewest = (float(ndtri(alpha / 2)) * 2 * spread / delta) ** 2
    n = max(seeds + 1, 2, math.ceil(min(fewest, MOST_SEEDS + 1)))
    while n <= MOST_SEEDS:
        if -stdtrit(n - 1, alpha / 2) * spread / math.sqrt(n) <= delta / 2:
            return n - seeds
        n += 1
    return None


def verdict_sentence(
    name: str,
    verdict: Verdict,
    *,
    delta: float = 1.0,
    unit: str = "AP",
    decimals: int = 1,
    better: Literal["high", "low"] = "high",
    over: str | None = None,
) -> str:
    """The verdict for people, such as ``STQI adds 13.7 AP [7.3, 20.1] over 3 seeds``.

    Args:
        name: what differs from the baseline.
        verdict: of :func:`verdicts`.
        delta: with which the verdict was reached.
        unit: of the figure.
        decimals: that figures are rounded to.
        better: whether a high or a low figure is the better one.
        over: what it rests on; none: the verdict's seeds.
    """
    seeds = over or f"{verdict.seeds} {'seed' if verdict.seeds == 1 else 'seeds'}"
    if verdict.mean is None:
        return f"{name} has no verdict: it has no seed in common with the baseline"
    mean = signed(verdict.mean, decimals)
    if verdict.low is None or verdict.high is None:
        why = "a single seed shows no spread"
        if verdict.seeds > 1:
            why = "the same difference in every seed leaves no spread to judge by"
        return f"{name} has no verdict: {mean} {unit} over {seeds}, and {why}"
    interval = (verdict.low, verdict.high)
    if verdict.kind in ("better", "worse"):
        verb = "adds" if verdict.mean > 0 else "costs" if better == "high" else "saves"
        return f"{name} {verb} {size_text(verdict.mean, interval, unit, decimals)} over {seeds}"
    found = f"{mean} {unit} {interval_text(*interval, decimals)} over {seeds}"
    if verdict.kind == "no different":
        return f"{name} is no different within {delta:g} {unit}: {found}"
    count = f"more than {MOST_SEEDS:,}" if verdict.more is None else f"{verdict.more} more"
    return f"{name} is undecided: {found}, {count} would settle {delta:g} {unit}"


def signed(value: float, decimals: int) -> str:
    """``value`` with its sign, a true minus, and no sign where it rounds to zero."""
    if not math.isfinite(value):
        return str(value)
    text = f"{abs(value):.{decimals}f}"
    return text if not float(text) else f"{'−' if value < 0 else '+'}{text}"


def size_text(mean: float, interval: tuple[float, float], unit: str, decimals: int) -> str:
    """Size of a gain or loss with its interval, such as ``2.0 AP [1.8, 2.2]`` for -2.0."""
    low, high = interval if mean > 0 else (-interval[1], -interval[0])
    return f"{abs(mean):.{decimals}f} {unit} {interval_text(low, high, decimals)}"


def interval_text(low: float, high: float, decimals: int) -> str:
    """``[7.3, 20.1]``, signed as figures are, without a plus."""
    return "[" + ", ".join(signed(bound, decimals).removeprefix("+") for bound in (low, high)) + "]"
