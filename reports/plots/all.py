"""Which plots a grid has data for."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reports.frame.cells import cells_of
from reports.frame.figures import FIGURES
from reports.frame.runs import GridRuns
from reports.plots.clip_length import clip_length
from reports.plots.modules import modules
from reports.plots.names import numeric_axes, words_for
from reports.plots.style import Plot
from reports.plots.sweep import sweep
from reports.plots.tradeoff import tradeoff
from reports.plots.training import training


def make_plots(grid: GridRuns, frame: pd.DataFrame, labels: Mapping[str, str]) -> list[Plot]:
    """Every plot that the grid has the data for, in the order of a page.

    Args:
        frame: as :func:`reports.frame.collect.collect` gives it.
        labels: what axes and values are called, as in a table specification.
    """
    cells = cells_of(frame)
    words = words_for(cells, labels)
    names = {cell.name: words.cell(cell) for cell in cells}
    plots = [
        tradeoff(cells, words, FIGURES["fps"], "high"),
        tradeoff(cells, words, FIGURES["macs"], "low"),
        *(sweep(cells, axis, FIGURES["AP"], words) for axis in numeric_axes(cells)),
        training(grid.runs, names),
        modules(cells, names),
        clip_length(cells, words),
    ]
    return [plot for plot in plots if plot is not None]
