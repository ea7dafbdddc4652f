"""What a grid's runs come to, before any of it is a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ablations.table_spec import TableSpec, load_specs, parse_specs
from launch.records.store import Store
from reports.findings.find import find
from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.frame.runs import GridRuns, read_runs
from reports.plots.all import make_plots
from reports.plots.forest import forest
from reports.plots.style import Plot
from reports.tables.build import build_tables
from reports.tables.labels import Names, names_for
from reports.tables.model import Table
from reports.tables.published import load_published
from reports.tables.symbols import plain


@dataclass(frozen=True)
class Made:
    """A grid's runs, their frame, and what these say.

    Attributes:
        frame: a row a cell and seed, as :mod:`reports.frame.collect` has it.
        tables: those of the appendix last.
        spec: of the first table.
        names: what cells, axes and values are called.
    """

    grid: GridRuns
    frame: pd.DataFrame
    tables: tuple[Table, ...]
    spec: TableSpec
    names: Names

    @property
    def result(self) -> str:
        """What the grid answers, in a sentence; empty: nothing that one could say."""
        return plain(self.tables[0].result)

    def plots(self) -> list[Plot]:
        """Every plot that the grid has the data for."""
        limits = self.grid.manifest.limits
        delta = limits.until if limits else self.spec.delta
        differences = forest(self.tables[0], self.names, delta)
        others = make_plots(self.grid.runs, self.names)
        return [*([differences] if differences else []), *others]


def make(store: Store, name: str, table_file: Path | None = None) -> Made:
    """Read the runs of grid ``name`` and build its tables; nothing is written.

    Args:
        table_file: table specification; none: the grid's own, or one made from its axes.

    Raises:
        UserError: the grid was not launched, or a field or figure is unknown.
    """
    grid = read_runs(store, name)
    specs = _specs(grid, table_file)
    frame = collect(grid)
    labels = {key: text for spec in specs for key, text in spec.labels.items()}
    stem = name.replace(".", "_")  # LaTeX can input it
    names = names_for(frame_cells(frame), labels)
    findings = find(grid, frame, specs[0], stem, names)
    published, limits = load_published(), grid.manifest.limits
    tables = [
        table
        for spec in specs
        for table in build_tables(frame, spec, published, name=stem, limits=limits)
    ]
    tables[0] = replace(tables[0], result=findings.sentence)
    tables += findings.tables
    tables.sort(key=lambda table: table.appendix)
    return Made(grid, frame, tuple(tables), specs[0], names)


def _specs(grid: GridRuns, table_file: Path | None) -> list[TableSpec]:
    if table_file is not None:
        return load_specs(table_file)
    return parse_specs(grid.manifest.table, grid.source) or [TableSpec()]
