"""Seeds where they decide: looking at the verdicts round by round, with all looks accounted for.

Looking again after every seed, and stopping at the first interval that leaves zero out, finds a
difference where there is none far more often than its level says.  Here the looks share one α by
spending (Lan and DeMets, Biometrika 70, 1983): at n of at most N seeds α ln(1 + (e - 1) n/N) of it
may have been used, the spending function that resembles Pocock's bounds.  (The one that resembles
O'Brien and Fleming's spends next to nothing early; with three seeds, two degrees of freedom, it
would ask for t > 100, so that no first look could decide anything.)

The bounds are for paired t statistics with as few as one degree of freedom, for which those of the
normal distribution do not hold (Jennison and Turnbull, Biometrika 78, 1991).  Under no difference
the statistics of all looks together have a distribution that knows no parameter, so the bounds are
its quantiles, found by drawing it with a fixed seed.  The intervals mean ± bound·s/√n cover the
truth at all looks together (repeated confidence intervals, Jennison and Turnbull, J. R. Stat. Soc.
B 51, 1989), hence also at the one at which a cell stops, and settle "no different within δ" too.

Over the cells Holm's procedure goes on across looks: a cell that was told from the baseline leaves
its share of α to the others from that look on (Maurer and Bretz, Stat. Biopharm. Res. 5, 2013;
Tamhane and others, Stat. Med. 40, 2021).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from ablations.analysis.intervals import decide, estimate_of
from ablations.analysis.limits import Limits
from ablations.analysis.verdicts import Verdict, verdict_of

_PATHS = 400_000
"""Draws of the statistics of all looks; the level 95% is met to about 0.1%."""


@dataclass(frozen=True)
class Rounds:
    """Where a comparison stands after the looks that its seeds allow.

    Attributes:
        verdicts: of each cell, as of the look at which it was decided, or the last one.
        further: the cells that get further seeds; empty: all is decided, or the limit is reached.
        seeds: how many seeds each of these cells, and the baseline, must have at the next look.
        look: number of the last look, 1 is the first; 0 where the first is still to come.
        note: the line that stands under the table.
    """

    verdicts: dict[str, Verdict]
    further: tuple[str, ...]
    seeds: int
    look: int
    note: str


def rounds(
    differences: Mapping[str, Sequence[float]],
    limits: Limits,
    better: Literal["high", "low"] = "high",
    stuck: Collection[str] = (),
) -> Rounds:
    """Look at the verdicts after each round of seeds, and say which cells need another.

    Every look is made again from the differences, so there is no state to keep: a cell that was
    decided at an earlier look stays so, and seeds that it has beyond that look change nothing.  A
    look takes place once every undecided cell has its seeds.

    Args:
        differences: cell to its paired differences to the baseline, in the order of the seeds.
        limits: of the seeds.
        better: whether a high or a low figure is the better one.
        stuck: cells that get no further seeds; they keep their last verdict, and count in the
            correction, but no look waits for them.

    Example:
        >>> differences = {"stqi": [15.4, 13.8, 15.1], "messengers": [-2.0, 0.9, 1.3]}
        >>> r = rounds(differences, Limits(first=3, most=10))
        >>> r.verdicts["stqi"].kind, r.further, r.seeds
        ('better', ('messengers',), 4)
    """
    done = {name: _untested(values) for name, values in differences.items()}
    look = 0

    def waiting(n: int) -> list[str]:
        undecided = [name for name, verdict in done.items() if not verdict.final]
        return [name for name in undecided if name not in stuck or len(differences[name]) >= n]

    for n in limits.looks:
        unsettled = waiting(n)
        if not unsettled or any(len(differences[name]) < n for name in unsettled):
            break
        look += 1
        done.update(_look(differences, unsettled, done, n, limits, better))
    seeds = limits.looks[min(look, len(limits.looks) - 1)]
    further = tuple(waiting(seeds)) if look < len(limits.looks) else ()
    return Rounds(done, further, seeds, look, _note(limits, look, len(done)))


@lru_cache(maxsize=256)
def nominal_levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """The level of each look's paired t test, so that all looks together have α.

    Of the draws that no look before told from zero, each look may tell as many as make the share
    of all that were told equal to what the spending function allows until then.

    Args:
        looks: number of seeds at each look, rising.
        alpha: probability of a false difference at any of the looks.
    """
    paths = _paths(looks)
    levels = []
    for k, n in enumerate(looks):
        spent = alpha * math.log1p((math.e - 1) * n / looks[-1])
        extra = int(_PATHS * spent) - (_PATHS - paths.shape[1])
        if k == 0:  # the first look needs no draws
            bound = -float(stdtrit(n - 1, spent / 2))
        elif extra > 0:
            bound = float(np.partition(paths[k], -extra - 1)[-extra - 1])
        else:
            bound = math.inf
        levels.append(2 * float(stdtr(n - 1, -bound)))
        paths = paths[:, paths[k] <= bound]
    return tuple(levels)


def _look(
    differences: Mapping[str, Sequence[float]],
    unsettled: Sequence[str],
    done: Mapping[str, Verdict],
    n: int,
    limits: Limits,
    better: Literal["high", "low"],
) -> dict[str, Verdict]:
    settled = [verdict.kind for verdict in done.values()]
    equal = settled.count("no different")
    different = settled.count("better") + settled.count("worse")
    seen = {name: list(differences[name][:n]) for name in unsettled}
    look, alpha = limits.looks.index(n), 1 - limits.level
    decided = decide(
        [estimate_of(values) for values in seen.values()],
        limits.until,
        lambda hypotheses: nominal_levels(limits.looks, alpha / hypotheses)[look],
        open_differences=len(done) - different,
        open_equivalences=len(done) - equal,
    )
    return {
        name: verdict_of(values, outcome, limits.until, better)
        for (name, values), outcome in zip(seen.items(), decided, strict=True)
    }


def _untested(values: Sequence[float]) -> Verdict:
    mean = float(np.mean(values)) if values else None
    return Verdict("none", len(values), mean, None, None)


def _note(limits: Limits, look: int, cells: int) -> str:
    return (
        f"Seeds were added one by one to undecided cells, {limits.first} to at most {limits.most} "
        f"(look {look} of at most {len(limits.looks)}); the intervals hold at level "
        f"{limits.level:.0%} for all looks together (alpha spending after Lan and DeMets, Pocock's "
        f"function, bounds of the paired t statistic)"
        + (f", with Holm's correction over {cells} cells." if cells > 1 else ".")
    )


@lru_cache(maxsize=4)
def _paths(looks: tuple[int, ...]) -> NDArray[np.float32]:
    """(looks, PATHS) sizes of the t statistics of the same normal values seen at each look."""
    generator = np.random.default_rng(0)
    total, squares = np.zeros(_PATHS), np.zeros(_PATHS)
    paths = np.empty((len(looks), _PATHS), np.float32)
    for n in range(1, looks[-1] + 1):
        value = generator.standard_normal(_PATHS)
        total += value
        squares += value**2
        if n in looks:
            variance = (squares - total**2 / n) / (n - 1)
            paths[looks.index(n)] = np.abs(total) / np.sqrt(n * np.maximum(variance, 1e-300))
    return paths
