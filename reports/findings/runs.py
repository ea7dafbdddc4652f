"""The runs that an answer may rest on: of one figure, measured alike, a value a cell and seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ablations.analysis.effects import Effect, Run, effects
from benchmarks.figures import Figure
from core.errors import UserError
from reports.tables.comparisons import protocol_differences
from reports.tables.labels import Names, field_value
from reports.tables.layout import TableLayout


def comparable_runs(names: Names, figure: Figure) -> list[Run]:
    """One run a cell and seed that has the figure; none at all where cells were not measured
    alike for no reason of the grid's.  Cells of mixed protocol are left out."""
    if protocol_differences(names.cells, figure.kind)[1]:
        return []
    return [
        Run({axis: field_value(cell, axis) for axis in names.axes}, seed, value)
        for cell in names.cells
        if not cell.mixed(figure.kind)
        for seed, value in cell.values(figure).items()
    ]


def find_effects(names: Names, figure: Figure, layout: TableLayout) -> list[Effect]:
    """Main effects and interactions of two axes, for crossed and fractional designs; empty for
    others, whose main effects are the differences to the baseline, and where a single seed leaves
    no error.

    Args:
        layout: for δ, the level, and the baseline, whose values the others are compared with;
            none: the first values.
    """
    runs, spec = comparable_runs(names, figure), layout.spec
    references = {
        axis: field_value(cell, axis)
        for cell in names.cells
        if cell.name == layout.baseline
        for axis in names.axes
    }
    known = {axis: {run.settings[axis] for run in runs} for axis in names.axes}
    references = {axis: value for axis, value in references.items() if value in known[axis]}
    try:
        found = effects(runs, references=references, delta=spec.delta, level=spec.level)
    except UserError:
        return []  # no runs yet, or none that share seeds
    judged = any(effect.interval is not None for effect in found)
    told = any(len(effect.levels) > 1 for effect in found)
    axes = {axis for effect in found for axis in effect.levels}
    return found if judged and len(axes) > 1 and (told or _balanced(runs)) else []


def _balanced(runs: Sequence[Run]) -> bool:
    """Whether every value of an axis is in equally many cells, as in a fractional design."""
    cells = {tuple(run.settings.items()) for run in runs}
    counts = [Counter(values) for values in zip(*cells, strict=True)]
    return all(len(set(count.values())) == 1 for count in counts)
