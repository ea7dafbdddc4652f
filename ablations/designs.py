"""Designs: which combinations of its axes' values a grid runs.

A factor is an axis, or axes that advance together; a combination is the position of a value for
each factor, factors in the order of the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

Levels = tuple[int, ...]

_NODES = 20_000


def crossed(sizes: Sequence[int]) -> list[Levels]:
    """Every combination, the last factor fastest."""
    return list(itertools.product(*map(range, sizes)))


def around(sizes: Sequence[int], base: Levels) -> list[Levels]:
    """The base and all that differs from it in one factor, in the order of the crossed design."""
    found = {base}
    for factor, size in enumerate(sizes):
        found |= {(*base[:factor], level, *base[factor + 1 :]) for level in range(size)}
    return sorted(found)


def path(sizes: Sequence[int], base: Levels) -> list[Levels]:
    """From the base on, factor by factor through its other values; the last of them stays."""
    rows = [base]
    for factor, size in enumerate(sizes):
        for level in range(size):
            if level != base[factor]:
                rows.append((*rows[-1][:factor], level, *rows[-1][factor + 1 :]))
    return rows


@dataclass(frozen=True)
class FractionalDesign:
    """A regular two-level fraction.

    Attributes:
        factors: their number.
        words: the defining relation without the identity: sets of factors (as bits) whose levels,
            as -1 and +1, multiply to +1 in every row; none: a full factorial, nothing is aliased.
        rows: level 0 or 1 of each factor.
    """

    factors: int
    words: frozenset[int]
    rows: tuple[Levels, ...]

    def aliases(self) -> list[list[tuple[int, ...]]]:
        """Main effects and interactions of two factors that cannot be told apart, as groups."""
        effects = [e for n in (1, 2) for e in itertools.combinations(range(self.factors), n)]
        groups: dict[int, list[tuple[int, ...]]] = {}
        for effect in effects:
            bits = sum(1 << factor for factor in effect)
            groups.setdefault(min(bits ^ word for word in {0, *self.words}), []).append(effect)
        return [group for group in groups.values() if len(group) > 1]


def fractional(factors: int, resolution: int) -> FractionalDesign:
    """The smallest regular fraction of at least this resolution.

    Resolution 3 keeps main effects apart from one another, 4 also from interactions of two
    factors, 5 those from one another too (Box and Hunter, Technometrics 3, 1961).  Of the
    fractions of that size the one with the fewest short words is taken (minimum aberration: Fries
    and Hunter, Technometrics 22, 1980), or for many factors the best of the first 20,000 tried.
    """
    runs = 0
    while (words := _words(factors, runs, resolution)) is None:
        runs += 1
    generators = _generators(words, factors, runs)
    rows = []
    for levels in itertools.product((0, 1), repeat=runs):
        zeros = sum(1 << factor for factor, level in enumerate(levels) if not level)
        # a product of -1 and +1 is +1 where an even number of them are -1
        rows.append((*levels, *(1 - (zeros & g).bit_count() % 2 for g in generators)))
    return FractionalDesign(factors, words, tuple(rows))


def _words(factors: int, basic: int, resolution: int) -> frozenset[int] | None:
    """The best defining relation of ``2**basic`` runs; none: none has the resolution."""
    subsets = [s for s in range(1 << basic) if s.bit_count() + 1 >= resolution]
    subsets.sort(key=lambda s: (-s.bit_count(), s))
    best: tuple[list[int], frozenset[int]] | None = None
    nodes = 0

    def search(words: frozenset[int], first: int, factor: int) -> None:
        nonlocal best, nodes
        if factor == factors:
            lengths = [word.bit_count() for word in words]
            pattern = [lengths.count(length) for length in range(3, factors + 1)]
            if best is None or pattern < best[0]:
                best = pattern, words
            return
        for k in range(first, len(subsets)):
            nodes += 1
            if nodes > _NODES:
                return
            word = subsets[k] | 1 << factor
            new = {word, *(word ^ other for other in words)}
            if all(w.bit_count() >= resolution for w in new):
                search(words | new, k + 1, factor + 1)

    search(frozenset(), 0, basic)
    return best[1] if best else None


def _generators(words: frozenset[int], factors: int, basic: int) -> list[int]:
    """Of each factor beyond the basic ones, the basic factors whose product it is."""
    within = (1 << basic) - 1
    return [
        next(word & within for word in words if word & ~within == 1 << factor)
        for factor in range(basic, factors)
    ]
