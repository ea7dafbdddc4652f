"""Main effects and interactions of a design, and whether the gains add up.

The model is figure = cell + seed + error: the seeds are blocks, so what all cells of a seed share
cancels, and the error is what a cell and a seed have together.  It is fitted by least squares over
all runs; each effect is a weighted sum of the cells' means, where all cells
count alike however many seeds they have.  Its interval is estimate ± t(1 - α/2, df) error with the
residual degrees of freedom: with C cells and S seeds and no run missing, (C - 1)(S - 1).  All
effects share that one error (Box, Hunter and Hunter, Statistics for Experimenters, 2005, ch. 4-6),
so it takes a spread that is about the same for all cells; the verdicts, cell against baseline,
do not take that for granted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from ablations.analysis.intervals import Decision, Estimate, bonferroni, decide
from ablations.analysis.limits import MOST_SEEDS
from ablations.analysis.verdicts import (
    KIND_OF,
    Verdict,
    interval_text,
    signed,
    size_text,
    verdict_sentence,
)
from core.errors import UserError

Term = tuple[str, ...]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One trained and scored run.

    Attributes:
        settings: factor to the label of its level.
        seed: of the run.
        value: its figure, such as AP.
    """

    settings: Mapping[str, str]
    seed: int
    value: float


@dataclass(frozen=True)
class Effect:
    """What a level of a factor, or levels of several factors together, change.

    A main effect is the mean with the level less the mean with the reference level, over all
    settings of the other factors.  An interaction of two is the gain of both together less the sum
    of their gains; of more, what is left after all that fewer of them explain.

    Attributes:
        levels: factor to level, one factor for a main effect.
        references: factor to the level that it is compared with.
        mean: the estimate.
        interval: its t interval; none where there is no error to judge by (a single seed).
        corrected: interval at the level of Holm's step for it, over all effects of the table.
        p: two-sided p value of the t test, not corrected; none without an error.
        decision: what the corrected interval says: higher or lower than zero, within ±δ, undecided.
        seeds: number of seeds.
        fewest: of them, those of the cell that has the fewest.
        aliases: effects that the design cannot tell from this one, such as ``-b × c``.
    """

    levels: Mapping[str, str]
    references: Mapping[str, str]
    mean: float
    interval: tuple[float, float] | None
    corrected: tuple[float, float] | None
    p: float | None
    decision: Decision
    seeds: int
    fewest: int
    aliases: tuple[str, ...]

    @property
    def over(self) -> str:
        """What it rests on, such as ``3 seeds``, or ``1 to 3 seeds``."""
        if self.seeds == 1:
            return "1 seed"
        some = f"{self.fewest} to " if self.fewest < self.seeds else ""
        return f"{some}{self.seeds} seeds"

    @property
    def name(self) -> str:
        """Such as ``head.kind=stqi × messengers=on``."""
        return " × ".join(f"{factor}={level}" for factor, level in self.levels.items())


def effects(
    runs: Sequence[Run],
    *,
    order: int = 2,
    references: Mapping[str, str] | None = None,
    delta: float = 1.0,
    level: float = 0.95,
) -> list[Effect]:
    """Effects of every factor, and interactions of up to ``order`` of them.

    Any design will do: crossed with any number of levels, two-level fractional, with cells missing.
    Terms are taken in order, main effects first; a term that the design cannot tell from earlier
    ones is no effect of its own but stands among the aliases of those, and so are terms of one
    order higher.  They come from the alias matrix (X₁ᵀX₁)⁻¹X₁ᵀX₂ (Box and Wilson 1951).

    Args:
        runs: one a cell and seed; factors of a single level are left out.
        order: most factors in an interaction.
        references: factor to the level that others are compared with; the first run's otherwise.
        delta: effects up to this size are of no interest, in the unit of the figure.
        level: of the intervals, and of the family of corrected ones.

    Raises:
        UserError: no runs, a factor missing from a run, two runs of one cell and seed, a reference
            that no run has, or cells that no chain of common seeds connects.
    """
    levels = _levels(runs, references or {})
    counts = Counter(_labels(run, levels) for run in runs)
    model = _Model(levels, list(counts))
    seeds = len({run.seed for run in runs})
    means, covariance, df = model.cell_means(runs)
    slices, inverse = model.estimable(order)
    aliases = model.aliases(order, slices, inverse)
    found = [
        (term, chosen, model.weights(term, chosen) @ inverse[rows])
        for term, rows in slices.items()
        for chosen in product(*(levels[factor][1:] for factor in term))
    ]
    estimates: list[Estimate | None] = []
    for _, _, weights in found:
        variance = float(weights @ covariance @ weights) if df else 0.0
        exact = variance <= (1e-12 * max(1.0, float(np.abs(means).max()))) ** 2
        estimate = Estimate(float(weights @ means), variance**0.5, df)
        estimates.append(None if exact else estimate)
    decided = decide(estimates, delta, bonferroni(1 - level))
    return [
        Effect(
            levels=dict(zip(term, chosen, strict=True)),
            references={factor: levels[factor][0] for factor in term},
            mean=float(weights @ means),
            interval=estimate.interval(1 - level) if estimate else None,
            corrected=estimate.interval(outcome.alpha) if estimate else None,
            p=estimate.p_zero() if estimate else None,
            decision=outcome.decision,
            seeds=seeds,
            fewest=min(counts.values()),
            aliases=aliases[term],
        )
        for (term, chosen, weights), estimate, outcome in zip(
            found, estimates, decided, strict=True
        )
    ]


def effect_sentence(effect: Effect, name: str | None = None, *, delta: float = 1.0) -> str:
    """The effect for people, such as ``STQI adds 13.7 AP [7.3, 20.2] over 3 seeds``.

    Args:
        effect: of :func:`effects`; its corrected interval is shown.
        name: what to call it.
        delta: with which the effects were found.
    """
    name = name or effect.name
    if effect.corrected is None:
        found = f"{signed(effect.mean, 1)} AP over {effect.over}"
        return f"{name}: {found}, without spread to judge by{_aliased([effect])}"
    kind = KIND_OF[effect.decision]
    more = seeds_until(effect.corrected, effect.seeds, delta) if kind == "undecided" else None
    verdict = Verdict(kind, effect.seeds, effect.mean, *effect.corrected, more)
    said = verdict_sentence(name, verdict, delta=delta, over=effect.over)
    return f"{said}{_aliased([effect])}"


def seeds_until(interval: tuple[float, float], seeds: int, delta: float) -> int | None:
    """Further seeds until the interval is at most δ wide; none: more than a thousand.

    By the square root of their number alone, which is a few more than it takes: with more seeds
    the quantile of t shrinks too.
    """
    needed = math.ceil(seeds * ((interval[1] - interval[0]) / delta) ** 2)
    return max(needed - seeds, 1) if needed <= MOST_SEEDS else None


def additivity(found: Sequence[Effect], *, delta: float = 1.0, what: str = "gains") -> str:
    """Whether the gains add up, in a sentence.

    They do not where the corrected interval of an interaction of two leaves zero out; they do
    within δ where all of these intervals lie inside ±δ; otherwise it is undecided.

    Args:
        found: of :func:`effects`, with the same δ.
        delta: interactions up to this size are of no interest.
        what: the main effects are called.
    """
    pairs = [effect for effect in found if len(effect.levels) == 2]
    if not pairs:
        return (
            f"Whether the {what} add up cannot be said: "
            "the design has no interaction apart from main effects."
        )
    if any(effect.corrected is None for effect in pairs):
        return f"Whether the {what} add up cannot be said: a single seed shows no spread."
    broken = [effect for effect in pairs if effect.decision in ("higher", "lower")]
    if broken:
        parts = "; ".join(_together(effect, what) for effect in broken)
        return f"The {what} do not add up: {parts}."
    inside = [e for e in pairs if e.corrected and max(map(abs, e.corrected)) < delta]
    if len(inside) == len(pairs):
        return f"The {what} add up within {delta:g} AP{_aliased(pairs)}."
    open_ = [effect for effect in pairs if effect not in inside]
    parts = "; ".join(
        f"{e.name} {signed(e.mean, 1)} AP {interval_text(*e.corrected, 1)}{_aliased([e])}"
        for e in open_
        if e.corrected
    )
    return f"Whether the {what} add up within {delta:g} AP is undecided: {parts}."


def _together(effect: Effect, what: str) -> str:
    size = size_text(effect.mean, effect.corrected or (effect.mean,) * 2, "AP", 1)
    more = "more" if effect.mean > 0 else "less"
    return (
        f"{' and '.join(f'{f}={level}' for f, level in effect.levels.items())} together give "
        f"{size} {more} than the sum of their {what}{_aliased([effect])}"
    )


def _aliased(shown: Sequence[Effect]) -> str:
    names = list(dict.fromkeys(alias for effect in shown for alias in effect.aliases))
    return f" (aliased with {', '.join(names)})" if names else ""


def _levels(runs: Sequence[Run], references: Mapping[str, str]) -> dict[str, list[str]]:
    """Factor to its levels, the reference first; factors of one level are left out."""
    if not runs:
        raise UserError("effects need runs, but there are none")
    names = list(runs[0].settings)
    for run in runs:
        if run.settings.keys() != set(names):
            raise UserError(
                f"the run {dict(run.settings)} with seed {run.seed} does not have the factors "
                f"{', '.join(names)}"
            )
    levels = {name: list(dict.fromkeys(run.settings[name] for run in runs)) for name in names}
    for name, reference in references.items():
        if reference not in levels.get(name, []):
            known = ", ".join(levels.get(name, [])) or f"none, for the factors are {names}"
            raise UserError(f"no run has the reference {name}={reference}; its levels are {known}")
        levels[name].sort(key=lambda label: label != reference)
    return {name: labels for name, labels in levels.items() if len(labels) > 1}


def _labels(run: Run, levels: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(run.settings[factor] for factor in levels)


@dataclass(frozen=True)
class _Model:
    """The linear model of a design's factors.

    Attributes:
        levels: factor to its levels, the reference first.
        cells: a level of each factor.
    """

    levels: Mapping[str, Sequence[str]]
    cells: Sequence[tuple[str, ...]]

    def cell_means(self, runs: Sequence[Run]) -> tuple[Floats, Floats, int]:
        """Cells' means free of the seeds' effects, (C,); their covariance, (C, C); residual df."""
        size = len(self.cells)
        rows = [(self.cells.index(_labels(run, self.levels)), run.seed) for run in runs]
        if len(set(rows)) < len(rows):
            cell, seed = next(row for row in rows if rows.count(row) > 1)
            labels = " ".join(self.cells[cell])
            raise UserError(f"two runs have the settings {labels} and the seed {seed}")
        seeds = sorted({seed for _, seed in rows})
        # seeds as deviations that sum to zero, so that cells' means are means over all seeds
        blocks = np.vstack([np.eye(len(seeds) - 1), -np.ones((1, len(seeds) - 1))])
        design = np.array([[*np.eye(size)[c], *blocks[seeds.index(s)]] for c, s in rows])
        if np.linalg.matrix_rank(design) < design.shape[1]:
            raise UserError("effects need cells that share seeds, but these have none in common")
        values = np.array([run.value for run in runs], float)
        inverse, df = np.linalg.pinv(design), len(runs) - design.shape[1]
        fitted = inverse @ values
        squares = float(((values - design @ fitted) ** 2).sum())
        covariance = (inverse @ inverse.T)[:size, :size] * (squares / df if df else 0.0)
        return fitted[:size], covariance, df

    def estimable(self, order: int) -> tuple[dict[Term, slice], Floats]:
        """The terms that can be told from those before them; from cells' means to coefficients.

        Of the coefficients, (terms' columns, C), the first is the mean's; a term has a slice.
        """
        matrix = np.ones((len(self.cells), 1))
        kept: dict[Term, slice] = {}
        for term in self._terms(order):
            wider = np.hstack([matrix, self._columns(term)])
            if np.linalg.matrix_rank(wider) == wider.shape[1]:
                kept[term] = slice(matrix.shape[1], wider.shape[1])
                matrix = wider
        return kept, np.asarray(np.linalg.pinv(matrix), np.float64)

    def aliases(
        self, order: int, kept: Mapping[Term, slice], inverse: Floats
    ) -> dict[Term, tuple[str, ...]]:
        """What cannot be told from each of the terms ``kept``."""
        names: dict[Term, list[str]] = {term: [] for term in kept}
        for other in self._terms(order + 1):
            if other in kept:
                continue
            shares = inverse @ self._columns(other)
            for term, rows in kept.items():
                share = shares[rows]
                if np.abs(share).max() > 1e-9:
                    sign = "−" if share.size == 1 and share.item() < 0 else ""
                    names[term].append(sign + " × ".join(other))
        return {term: tuple(found) for term, found in names.items()}

    def weights(self, term: Term, chosen: Sequence[str]) -> Floats:
        """Weights of the term's coefficients: level less reference, for each factor."""
        pairs = [(self._codes(f), f, label) for f, label in zip(term, chosen, strict=True)]
        return _product([codes[label] - codes[self.levels[f][0]] for codes, f, label in pairs])

    def _terms(self, largest: int) -> Iterator[Term]:
        """Main effects, then interactions of two factors, and so on."""
        for size in range(1, largest + 1):
            yield from combinations(self.levels, size)

    def _codes(self, factor: str) -> dict[str, Floats]:
        """Deviation coding: the reference is -1 throughout, each other level 1 in its column."""
        reference, *others = self.levels[factor]
        columns = zip(others, np.eye(len(others)), strict=True)
        return {reference: -np.ones(len(others)), **dict(columns)}

    def _columns(self, term: Term) -> Floats:
        """(C, product of levels - 1) products of the factors' codes."""
        codes = {i: self._codes(f) for i, f in enumerate(self.levels) if f in term}
        return np.array([_product([of[cell[i]] for i, of in codes.items()]) for cell in self.cells])


def _product(vectors: Sequence[Floats]) -> Floats:
    found, *rest = vectors
    for vector in rest:
        found = np.asarray(np.kron(found, vector), np.float64)
    return found
