"""Which plots a grid has data for."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from benchmarks.figures import FIGURES
from reports.frame.cells import frame_cells
from reports.frame.runs import GridRuns
from reports.plots.clip_length import clip_length
from reports.plots.effects import effects_plots
from reports.plots.stacked import lost, modules
from reports.plots.style import Plot
from reports.plots.sweep import sweep
from reports.plots.tradeoff import tradeoff
from reports.plots.training import training
from reports.tables.labels import names_for, numeric_axes


def make_plots(grid: GridRuns, frame: pd.DataFrame, labels: Mapping[str, str]) -> list[Plot]:
    """Every plot that the grid has the data for, in the order of a page.

    Args:
        frame: as :func:`reports.frame.collect.collect` gives it.
        labels: what axes and values are called, as in a table specification.
    """
    cells = frame_cells(frame)
    names = names_for(cells, labels)
    plots = [
        *effects_plots(cells, names, FIGURES["AP"]),
        *(sweep(cells, axis, FIGURES["AP"], names) for axis in numeric_axes(cells)),
        tradeoff(cells, names, FIGURES["fps"], "high"),
        tradeoff(cells, names, FIGURES["macs"], "low"),
        lost(cells, names.by_cell),
        training(grid.runs, names.by_cell),
        modules(cells, names.by_cell),
        clip_length(cells, names),
    ]
    return [plot for plot in plots if plot is not None]
