"""The result in a sentence: what each part adds, what is open, whether the gains add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablations.analysis.effects import Effect, additivity, effect_sentence
from ablations.analysis.verdicts import Verdict, verdict_sentence
from reports.tables.labels import Names
from reports.tables.symbols import plain

_ORDER = ("better", "worse", "no different", "undecided")
_DECISIONS = ("higher", "lower", "within", "undecided")


def effects_sentence(found: Sequence[Effect], names: Names, delta: float, most: int = 4) -> str:
    """``STQI adds 13.1 AP [8.2, 18.0] over 3 seeds; MsgShifT is undecided: +1.2 AP [-0.6, 2.9] over
    3 seeds, 5 more would settle 1 AP; the gains add up within 1 AP.``

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
    return _joined([*clauses, *_others("effects", kinds), _together(found, names, delta)])


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
    return _joined([*clauses, *_others("cells", [judged[name].kind for name in ranked[most:]])])


def _others(what: str, kinds: Sequence[str]) -> list[str]:
    said = [f"{count} {kind}" for kind in _ORDER if (count := kinds.count(kind))]
    return [f"of the {len(kinds)} other {what} {', '.join(said)}"] if said else []


def plain_names(text: str, names: Names) -> str:
    """``text`` with what an axis' value is called in place of ``axis=value``."""
    said = {f"{axis}={v}": names.said(axis, v) for axis in names.axes for v in names.values(axis)}
    for pair in sorted(said, key=len, reverse=True):
        text = text.replace(pair, said[pair])
    return text


def _joined(clauses: Sequence[str]) -> str:
    text = plain("; ".join(clauses))
    return f"{text[0].upper()}{text[1:]}." if text else ""
