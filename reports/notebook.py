"""A grid in a notebook: its frame, and tables and plots that display themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from ablations.grid import launched_name
from core.errors import UserError
from launch.records.store import Store
from reports.html import join, tag
from reports.made import Made, make
from reports.plots.style import Plot, png, svg
from reports.renderers.html import text_html, to_html
from reports.renderers.latex import to_latex
from reports.renderers.markdown import to_markdown
from reports.tables.model import Table

_T = TypeVar("_T")


class Shown(dict[str, _T]):
    """Tables or plots by name; a name that is not there is answered with those that are."""

    def __init__(self, what: str, items: Mapping[str, _T]) -> None:
        super().__init__(items)
        self._what = what

    def __missing__(self, name: str) -> _T:
        raise UserError(f"no {self._what} {name!r}; this grid has: {', '.join(self) or 'none'}")


@dataclass(frozen=True, repr=False)
class ShownTable:
    """A table that displays itself in a notebook, and in Markdown where it is printed."""

    table: Table

    def __repr__(self) -> str:
        return to_markdown(self.table)

    def _repr_html_(self) -> str:
        return to_html(self.table)

    def _repr_latex_(self) -> str:
        return to_latex(self.table)


@dataclass(frozen=True, repr=False)
class ShownPlot:
    """A plot that displays itself in a notebook; ``plot.data`` is what is drawn."""

    plot: Plot

    def __repr__(self) -> str:
        return f"<plot {self.plot.name}: {self.plot.title}>"

    def _repr_svg_(self) -> str:
        return svg(self.plot)

    def _repr_png_(self) -> bytes:
        return png(self.plot)


@dataclass(frozen=True, repr=False)
class Loaded:
    """A launched grid. Displayed, it is its result and first table.

    Attributes:
        made: all that the grid's runs come to.
    """

    made: Made

    @property
    def runs(self) -> pd.DataFrame:
        """The tidy frame: a row a cell and seed, every switch, figure and protocol."""
        return self.made.frame

    @property
    def result(self) -> str:
        """What the grid answers, in a sentence."""
        return self.made.result

    @property
    def tables(self) -> Shown[ShownTable]:
        """Name to table; a name that is not there is a UserError that lists those that are."""
        return Shown("table", {table.name: ShownTable(table) for table in self.made.tables})

    @property
    def plots(self) -> Shown[ShownPlot]:
        """Name to plot; likewise."""
        return Shown("plot", {plot.name: ShownPlot(plot) for plot in self.made.plots()})

    def plot(self, name: str = "differences") -> ShownPlot:
        """One plot.

        Raises:
            UserError: the grid has no such plot; lists those that it has.
        """
        return self.plots[name]

    def __repr__(self) -> str:
        return to_markdown(self.made.tables[0])  # its result is in it

    def _repr_html_(self) -> str:
        first = self.made.tables[0]
        result = tag("p", tag("b", text_html(first.result))) if first.result else None
        return join([result, to_html(first)])


def load(grid: str, store: Path | str | None = None, scale: str | None = None) -> Loaded:
    """The grid of that name, or of that file, as it was launched; nothing is written.

    Args:
        store: of runs; none: ``$TEVIT_RUNS`` or ``./runs``.
        scale: that it was launched at.

    Raises:
        UserError: the grid was not launched.
    """
    folder = Store.default(None if store is None else Path(store))
    return Loaded(make(folder, launched_name(grid, scale)))
