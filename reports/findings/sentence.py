"""The result in a sentence: what each part adds, what is open, whether the gains add up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ablations.analysis.effects import Effect, additivity
from ablations.analysis.verdicts import MOST_SEEDS, Verdict, interval_text
from reports.tables.labels import Names

_ORDER = ("better", "worse", "no different", "undecided")
_KINDS = {"higher": "better", "lower": "worse", "within": "no different", "undecided": "undecided"}


def effects_sentence(found: Sequence[Effect], names: Names, seeds: int, delta: float) -> str:
    """``STQI adds 13.1 AP [8.2, 18.0] over 3 seeds; MsgShifT: undecided, 5 more seeds would settle
    1 AP; the gains add up within 1 AP.``

    Args:
        found: main effects and interactions.
        names: what axes and values are called.
        seeds: of the runs.
        delta: effects up to this size are of no interest.
    """
    clauses: list[tuple[int, str]] = []
    for effect in found:
        if len(effect.levels) == 1 and effect.corrected is not None:
            ((axis, level),) = effect.levels.items()
            name = names.against(axis, level, effect.references[axis])
            kind = _KINDS[effect.decision]
            more = seeds_until(effect.corrected, seeds, delta)
            said = _clause(name, kind, effect.mean, effect.corrected, seeds, more, delta)
            clauses.append((_ORDER.index(kind), said))
    ordered = [said for _, said in sorted(clauses, key=lambda clause: clause[0])]
    return _joined([*ordered, _together(found, names, delta)])


def _together(found: Sequence[Effect], names: Names, delta: float) -> str:
    pairs = [effect for effect in found if len(effect.levels) == 2]
    if not pairs:
        return "whether the gains add up cannot be said by this design"
    text = additivity(found, delta=delta)
    if text.startswith("Whether"):
        return "whether the gains add up is undecided"
    return plain_names(f"t{text[1:].rstrip('.')}", names)


def verdicts_sentence(
    verdicts: Mapping[str, Verdict], names: Names, delta: float, most: int = 4
) -> str:
    """As :func:`effects_sentence`, cell by cell against the baseline; empty without verdicts.

    Args:
        most: cells that are spoken of; of the others their number is said.
    """
    judged = {name: v for name, v in verdicts.items() if v.kind != "none"}
    ranked = sorted(judged, key=lambda n: (_ORDER.index(judged[n].kind), -abs(judged[n].mean or 0)))
    clauses = [
        _clause(names.by_cell[n], v.kind, v.mean or 0.0, (v.low, v.high), v.seeds, v.more, delta)
        for n in ranked[:most]
        if (v := judged[n]).low is not None and v.high is not None
    ]
    rest = ranked[most:]
    if rest:
        counts = {kind: sum(judged[name].kind == kind for name in rest) for kind in _ORDER}
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        clauses.append(f"of the {len(rest)} other cells {said}")
    return _joined(clauses)


def seeds_until(interval: tuple[float, float], seeds: int, delta: float) -> int | None:
    """Further seeds until the interval is at most δ wide; none: more than a thousand.

    By the square root of their number alone, which is a few more than it takes: with more seeds
    the quantile of t shrinks too.
    """
    needed = math.ceil(seeds * ((interval[1] - interval[0]) / delta) ** 2)
    return max(needed - seeds, 1) if needed <= MOST_SEEDS else None


def plain_names(text: str, names: Names) -> str:
    """``text`` with what an axis' value is called in place of ``axis=value``."""
    said = {f"{axis}={v}": names.said(axis, v) for axis in names.axes for v in names.values(axis)}
    for pair in sorted(said, key=len, reverse=True):
        text = text.replace(pair, said[pair])
    return text


def _clause(
    name: str,
    kind: str,
    mean: float,
    interval: tuple[float | None, float | None],
    seeds: int,
    more: int | None,
    delta: float,
) -> str:
    low, high = interval
    assert low is not None and high is not None
    if kind in ("better", "worse"):
        verb = "adds"
        if mean < 0:
            verb, low, high = "costs", -high, -low
        return f"{name} {verb} {abs(mean):.1f} AP {interval_text(low, high, 1)} over {seeds} seeds"
    if kind == "no different":
        return f"{name}: no different within {delta:g} AP {interval_text(low, high, 1)}"
    count = f"more than {MOST_SEEDS:,} seeds" if more is None else f"{more} more seeds"
    count = "1 more seed" if more == 1 else count
    return f"{name}: undecided {interval_text(low, high, 1)}, {count} would settle {delta:g} AP"


def _joined(clauses: Sequence[str]) -> str:
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else ""
