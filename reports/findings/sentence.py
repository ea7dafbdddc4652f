"""The result in a sentence: what each part adds, what is open, whether the gains add up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ablations.analysis.effects import Effect, additivity, effect_sentence
from ablations.analysis.verdicts import Verdict, verdict_sentence
from core.names import distinct
from reports.tables.labels import Names, field_value

_ORDER = ("better", "worse", "no different", "undecided")
_DECISIONS = ("higher", "lower", "within", "undecided")
_OVER = re.compile(r" over (?:\d+ to )?\d+ seeds?\b")
_PAIRS = 2
"""Interactions that are spoken of, the largest ones."""


def effects_sentence(found: Sequence[Effect], names: Names, delta: float, most: int = 4) -> str:
    """``STQI adds 13.1 AP [8.2, 18.0] over 3 seeds; MsgShifT is undecided: +1.2 AP [-0.6,
    2.9], 5 more seeds would settle 1 AP; the gains add up within 1 AP.``

    Args:
        found: main effects and interactions.
        names: what axes and values are called.
        delta: effects up to this size are of no interest.
        most: main effects that are spoken of; of the others their number is said.
    """
    mains = [e for e in found if len(e.levels) == 1 and e.corrected is not None]
    clauses = []
    mains.sort(key=lambda effect: (_DECISIONS.index(effect.decision), -abs(effect.mean)))
    for effect in mains[:most]:
        ((axis, level),) = effect.levels.items()
        name = names.against(axis, level, effect.references[axis])
        clauses.append(plain_names(effect_sentence(effect, name, delta=delta), names))
    kinds = [_ORDER[_DECISIONS.index(effect.decision)] for effect in mains[most:]]
    what = "effects" if any(effect.decision == "lower" for effect in mains) else "gains"
    together = _together(found, names, delta, what)
    return _joined([*clauses, *_others("effects", kinds), together])


def _together(found: Sequence[Effect], names: Names, delta: float, what: str) -> str:
    pairs = [effect for effect in found if len(effect.levels) == 2]
    if not pairs:
        return f"whether the {what} add up cannot be said by this design"
    broken = [effect for effect in pairs if effect.decision in ("higher", "lower")]
    broken.sort(key=lambda effect: -abs(effect.mean))
    text = additivity(broken[:_PAIRS] or found, delta=delta, what=what)
    if more := len(broken[_PAIRS:]):
        text = f"{text.rstrip('.')}; nor do {more} other pairs"
    if text.startswith("Whether"):
        return f"whether the {what} add up is undecided"
    return plain_names(f"t{text[1:].rstrip('.')}", names)


def verdicts_sentence(
    verdicts: Mapping[str, Verdict], names: Names, delta: float, baseline: str, most: int = 4
) -> str:
    """As :func:`effects_sentence`, cell by cell against the baseline; empty without verdicts.

    Args:
        baseline: cell; the others are called by what they differ in from it.
        most: cells that are spoken of; of the others their number is said.
    """
    judged = {name: v for name, v in verdicts.items() if v.kind != "none"}
    ranked = sorted(judged, key=lambda n: (_ORDER.index(judged[n].kind), -abs(judged[n].mean or 0)))
    called = _by_difference(names, baseline)
    clauses = [verdict_sentence(called[n], judged[n], delta=delta) for n in ranked[:most]]
    return _joined([*clauses, *_others("cells", [judged[name].kind for name in ranked[most:]])])


def _by_difference(names: Names, baseline: str) -> dict[str, str]:
    """Cell to the values in which it differs from the baseline: ``MsgShifT with STQI``."""
    settings = {cell.name: {a: field_value(cell, a) for a in names.axes} for cell in names.cells}
    usual = settings[baseline]
    called = {
        cell: " with ".join(names.said(a, v) for a, v in values.items() if v != usual[a])
        for cell, values in settings.items()
    }
    return distinct(called, names.by_cell.__getitem__)


def _others(what: str, kinds: Sequence[str]) -> list[str]:
    counts = {kind: count for kind in _ORDER if (count := kinds.count(kind))}
    said = [f"{n} {'is' if n == 1 else 'are'} {kind}" for kind, n in counts.items()]
    return [f"of {len(kinds)} other {what} {', '.join(said)}"] if said else []


def plain_names(text: str, names: Names) -> str:
    """``text`` with what an axis' value is called in place of ``axis=value``."""
    said = {f"{axis}={v}": names.said(axis, v) for axis in names.axes for v in names.values(axis)}
    for pair in sorted(said, key=len, reverse=True):
        text = text.replace(pair, said[pair])
    return text


def _without(over: str, clause: str) -> str:
    if over not in clause:
        return clause
    return clause.replace(over, "").replace(" more would settle", " more seeds would settle")


def _joined(clauses: Sequence[str]) -> str:
    """The clauses as a sentence, which says once over how many seeds where that is the same."""
    if clauses and (over := _OVER.search(clauses[0])) is not None:
        clauses = [clauses[0], *(_without(over[0], clause) for clause in clauses[1:])]
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else ""
