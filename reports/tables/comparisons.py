"""Which cells may be compared, which are best, and how far each is from the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ablations.analysis.limits import Limits
from ablations.analysis.sequential import rounds
from ablations.analysis.verdicts import Verdict, paired_differences, verdicts
from benchmarks.figures import Better, Figure
from reports.frame.cells import CellRows
from reports.frame.protocol import Differences, differs_between
from reports.frame.statistics import (
    Difference,
    Ties,
    difference_by_seed,
    exact_best,
    ties_with_best,
)


@dataclass(frozen=True)
class Compared:
    """One figure over all cells of a table.

    Attributes:
        values: cell to seed to figure, in the printed unit.
        incomparable: protocol fields in which cells differ though the grid does not vary them.
        varied: protocol fields in which cells differ because the grid varies them.
        ties: the best and its ties; none: nothing is to be bold.
        ahead: an unfinished or mixed cell whose mean beats the best, so that nothing can be bold.
        differences: cell to its difference to the baseline, with the verdict's interval where there
            is one.
        verdicts: cell to what its difference proves; empty: not asked for, or a single seed.
        looks: how looks at seeds that were added round by round are accounted for, if they were.
    """

    values: Mapping[str, Mapping[int, float]]
    incomparable: Differences
    varied: Differences
    ties: Ties | None
    ahead: str | None
    differences: Mapping[str, Difference]
    verdicts: Mapping[str, Verdict]
    looks: str = ""


def compare(
    figure: Figure,
    cells: Sequence[CellRows],
    protocol: tuple[Differences, Differences],
    *,
    better: Better | None,
    baseline: str | None,
    level: float,
    delta: float | None = None,
    limits: Limits | None = None,
) -> Compared:
    """Set the cells against each other and against the baseline, where their protocol allows it.

    Cells that are unfinished or whose seeds were measured by different protocols take no part in
    the search for the best; figures of cells measured by different protocols are not subtracted.

    Args:
        protocol: of the figure's kind, from :func:`protocol_differences`.
        better: which end is the better one; none: no cell is bold.
        baseline: name of the cell that the others are set against.
        level: confidence of the intervals and of the test.
        delta: differences up to this size are of no interest; none: no verdicts.
        limits: of the seeds, where these are added round by round: its δ and level are those of
            the verdicts then.
    """
    values = {cell.name: cell.values(figure) for cell in cells}
    varied, incomparable = protocol
    sound = {
        cell.name: values[cell.name]
        for cell in cells
        if cell.complete and not cell.mixed(figure.kind) and len(values[cell.name]) == cell.planned
    }
    ties, ahead = None, None
    if better is not None and not incomparable:
        ties = exact_best(sound, better) if figure.exact else ties_with_best(sound, better, level)
        ahead = _ahead(values, sound, ties, better)
        ties = None if ahead else ties
    differences: dict[str, Difference] = {}
    if baseline is not None and not incomparable:
        differences = _differences(figure, cells, values, baseline, level)
    judged: dict[str, Verdict] = {}
    looks = ""
    if baseline is not None and delta and any(d.n > 1 for d in differences.values()):
        compared = {name: values[name] for name in differences}
        end = better or figure.better or "high"
        if limits is None:
            judged = verdicts(compared, values[baseline], delta=delta, level=level, better=end)
        else:
            paired = {
                name: paired_differences(of, values[baseline])
                for name, of in values.items()
                if name in differences or not of.keys() & values[baseline].keys()
            }
            stuck = [cell.name for cell in cells if "failed" in cell.column("state")]
            now = rounds(paired, limits, end, paired if baseline in stuck else stuck)
            judged, looks = now.verdicts, now.note
    differences = {name: _as_judged(d, judged.get(name)) for name, d in differences.items()}
    return Compared(values, incomparable, varied, ties, ahead, differences, judged, looks)


def _as_judged(difference: Difference, verdict: Verdict | None) -> Difference:
    """As its verdict is reached, where it has one: the same interval wherever it is shown."""
    if verdict is None or verdict.mean is None or verdict.low is None:
        return difference
    return Difference(verdict.seeds, verdict.mean, verdict.low, verdict.high)


def protocol_differences(cells: Sequence[CellRows], kind: str) -> tuple[Differences, Differences]:
    """As :func:`reports.frame.protocol.differs_between`, among cells whose own seeds agree."""
    alike = [cell.rows for cell in cells if not cell.mixed(kind)]
    return differs_between(pd.concat(alike), kind) if alike else ({}, {})


def _ahead(
    values: Mapping[str, Mapping[int, float]],
    sound: Mapping[str, Mapping[int, float]],
    ties: Ties,
    better: Better,
) -> str | None:
    """A cell that was left out of the search and would have won it."""
    if ties.best is None:
        return None
    left_out = {name: figures for name, figures in values.items() if name not in sound}
    rivals = {ties.best: values[ties.best], **left_out}  # which comes first wins a draw
    winner = exact_best(rivals, better).best
    return None if winner == ties.best else winner


def _differences(
    figure: Figure,
    cells: Sequence[CellRows],
    values: Mapping[str, Mapping[int, float]],
    baseline: str,
    level: float,
) -> dict[str, Difference]:
    mixed = {cell.name for cell in cells if cell.mixed(figure.kind)}
    found: dict[str, Difference] = {}
    for name, figures in values.items():
        if name == baseline or {name, baseline} & mixed:
            continue
        difference = difference_by_seed(figures, values[baseline], level)
        if difference is not None:
            found[name] = difference
    return found
