"""Which plots a grid has data for."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import FIGURES
from reports.frame.runs import CellRun
from reports.plots.clip_length import clip_length
from reports.plots.effects import effects_plots
from reports.plots.stacked import lost, modules
from reports.plots.style import Plot
from reports.plots.sweep import sweep
from reports.plots.tradeoff import tradeoff
from reports.plots.training import training
from reports.tables.labels import Names, numeric_axes


def make_plots(runs: Sequence[CellRun], names: Names) -> list[Plot]:
    """Every plot that a grid has the data for, in the order of a page.

    Args:
        names: of its collected cells.
    """
    plots = [
        *effects_plots(names, FIGURES["AP"]),
        *(sweep(names, axis, FIGURES["AP"]) for axis in numeric_axes(names.cells)),
        tradeoff(names, FIGURES["fps"], "high"),
        tradeoff(names, FIGURES["macs"], "low"),
        lost(names.cells, names.by_cell),
        training(runs, names.by_cell),
        modules(names.cells, names.by_cell),
        clip_length(names),
    ]
    return [plot for plot in plots if plot is not None]
