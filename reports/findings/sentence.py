"""The result in a sentence: what each part adds, what is open, whether the gains add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablations.analysis.effects import Effect, additivity, effect_sentence
from ablations.analysis.verdicts import Verdict, verdict_sentence
from reports.tables.labels import Names

_ORDER = ("better", "worse", "no different", "undecided")
_DECISIONS = ("higher", "lower", "within", "undecided")


def effects_sentence(found: Sequence[Effect], names: Names, delta: float) -> str:
    """``STQI adds 13.1 AP [8.2, 18.0] over 3 seeds; MsgShifT is undecided: +1.2 AP [-0.6, 2.9] over
    3 seeds, 5 more would settle 1 AP; the gains add up within 1 AP.``

    Args:
        found: main effects and interactions.
        names: what axes and values are called.
        delta: effects up to this size are of no interest.
    """
    mains = [e for e in found if len(e.levels) == 1 and e.corrected is not None]
    clauses = []
    for effect in sorted(mains, key=lambda effect: _DECISIONS.index(effect.decision)):
        ((axis, level),) = effect.levels.items()
        name = names.against(axis, level, effect.references[axis])
        clauses.append(plain_names(effect_sentence(effect, name, delta=delta), names))
    return _joined([*clauses, _together(found, names, delta)])


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
    clauses = [verdict_sentence(names.by_cell[n], judged[n], delta=delta) for n in ranked[:most]]
    rest = ranked[most:]
    if rest:
        counts = {kind: sum(judged[name].kind == kind for name in rest) for kind in _ORDER}
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        clauses.append(f"of the {len(rest)} other cells {said}")
    return _joined(clauses)


def plain_names(text: str, names: Names) -> str:
    """``text`` with what an axis' value is called in place of ``axis=value``."""
    said = {f"{axis}={v}": names.said(axis, v) for axis in names.axes for v in names.values(axis)}
    for pair in sorted(said, key=len, reverse=True):
        text = text.replace(pair, said[pair])
    return text


def _joined(clauses: Sequence[str]) -> str:
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else ""
