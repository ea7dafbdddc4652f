"""A table specification with everything decided that it left open, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from ablations.analysis.limits import Limits
from ablations.table_spec import ColumnSpec, TableError, TableSpec, check_figures
from benchmarks.figures import COUNTS, FIGURES, SPEEDS, Better, figure_of
from core.names import listed
from reports.frame.cells import CellRows, frame_cells
from reports.tables.comparisons import Compared, compare, protocol_differences
from reports.tables.labels import Field, Names, axes_of, field_value, make_fields

_COLUMNS = ("AP", "macs", "fps")
"""The figures of a table that does not name its own: what it scores, a cost, a speed."""
_DETAILS = (
    "box_AP",
    "AP50",
    "AP75",
    "AR1",
    "AR10",
    "AP_videos",
    "HOTA",
    "AssA",
    "params",
    "latency",
    "memory",
)
"""Those of the second table beside it."""


@dataclass(frozen=True)
class TableLayout:
    """What the rows and columns are.

    Attributes:
        frame: the collected runs.
        cells: every cell of the frame, in the order of the rows.
        fields: the label columns.
        columns: the figures, each once.
        baseline: name of the cell that the others are set against.
        across: values of the axis that is laid out across; (None,): no such axis.
        limits: of the seeds, where these are added round by round.
    """

    frame: pd.DataFrame
    spec: TableSpec
    name: str
    cells: tuple[CellRows, ...]
    fields: tuple[Field, ...]
    columns: tuple[ColumnSpec, ...]
    baseline: str | None
    across: tuple[str | None, ...]
    limits: Limits | None = None

    @property
    def judged(self) -> str | None:
        """The figure whose differences get a verdict: the first of AP that has differences."""
        asked = [column.figure for column in self.columns if column.difference]
        return next((name for name in asked if figure_of(name).kind == "ap"), None)

    @cached_property
    def compared(self) -> dict[str, Compared]:
        """Each figure over all cells."""
        kinds = {figure_of(column.figure).kind for column in self.columns}
        protocols = {kind: protocol_differences(self.cells, kind) for kind in kinds}
        found = {}
        for column in self.columns:
            figure = figure_of(column.figure)
            better: Better | None = figure.better
            if column.best is not None:
                better = None if column.best == "none" else column.best
            found[figure.key] = compare(
                figure,
                self.cells,
                protocols[figure.kind],
                better=better,
                baseline=self.baseline if column.difference else None,
                level=self.spec.level,
                delta=self.spec.delta if column.figure == self.judged else None,
                limits=self.limits,
            )
        return found

    @cached_property
    def called(self) -> dict[str, str]:
        """Cell name to what notes call the cell."""
        return Names(self.cells, self.spec.labels).by_cell

    def key(self, cell: CellRows) -> tuple[str, ...]:
        """What tells the cell's row from the others."""
        return tuple(field_value(cell, field.name) for field in self.fields)

    def rows(self) -> list[dict[str | None, CellRows]]:
        """The rows: value across to cell, in order."""
        found: dict[tuple[str, ...], dict[str | None, CellRows]] = {}
        for cell in self.cells:
            over = field_value(cell, self.spec.across) if self.spec.across else None
            found.setdefault(self.key(cell), {})[over] = cell
        return list(found.values())


def lay_out(
    frame: pd.DataFrame, spec: TableSpec, name: str, limits: Limits | None = None
) -> TableLayout:
    """Decide rows, columns, order and baseline.

    Args:
        limits: of the seeds, where these are added round by round.

    Raises:
        TableError: a field, value, figure or baseline that does not exist, or rows that the
            fields do not tell apart.
    """
    check_figures(spec, list(frame.columns))
    cells = _ordered(frame_cells(frame), spec)
    if not cells:
        raise TableError(f"table {name}: the grid has no cells")
    fields = tuple(make_fields(_row_names(cells, spec), cells, spec))
    across: tuple[str | None, ...] = (None,)
    if spec.across:
        across = tuple(dict.fromkeys(field_value(cell, spec.across) for cell in cells))
    baseline = _baseline(cells, fields, spec)
    columns = tuple(_with_speed(_columns(frame, spec, baseline)))
    stem = spec.name or name
    layout = TableLayout(frame, spec, stem, tuple(cells), fields, columns, baseline, across, limits)
    _refuse_ambiguous(layout)
    return layout


def _ordered(cells: list[CellRows], spec: TableSpec) -> list[CellRows]:
    """By group, then as ``order`` says, then as in the grid."""
    names = [*([spec.group] if spec.group else []), *spec.order]
    places: list[dict[str, int]] = []
    for name in names:
        values = list(dict.fromkeys(field_value(cell, name) for cell in cells)) if cells else []
        asked = spec.order.get(name, ())
        for value in asked:
            if value not in values:
                raise TableError(f"order: {name} has no value {value!r}; it has {listed(values)}")
        order = [*asked, *(value for value in values if value not in asked)]
        places.append({value: place for place, value in enumerate(order)})
    return sorted(
        cells,
        key=lambda cell: [
            place[field_value(cell, name)] for name, place in zip(names, places, strict=True)
        ],
    )


def _row_names(cells: Sequence[CellRows], spec: TableSpec) -> list[str]:
    """The fields asked for, or those that the shape has: never too few to tell rows apart."""
    if spec.rows is not None:
        return list(spec.rows)
    axes = [axis for axis in axes_of(cells[0].rows) if axis != spec.across]
    if spec.shape != "main":
        return axes or ["cell"]
    names = ["method", "backbone"]
    for axis in axes:
        keys = {tuple(field_value(cell, name) for name in names) for cell in cells}
        if len(keys) == len(cells):
            break
        names.append(axis)
    return names


def _baseline(cells: Sequence[CellRows], fields: Sequence[Field], spec: TableSpec) -> str | None:
    """The name of the one cell that is meant; without a word, the one without check marks."""
    if spec.baseline is None:
        bare = [c for c in cells if _unchecked(c, fields)] if spec.shape == "components" else []
        return bare[0].name if len(bare) == 1 else None
    names = [cell.name for cell in cells]
    if isinstance(spec.baseline, str):
        found = [name for name in names if name == spec.baseline]
    else:
        wanted = spec.baseline.items()
        found = [c.name for c in cells if all(field_value(c, k) == v for k, v in wanted)]
    if len(found) != 1:
        what = "no cell" if not found else f"{len(found)} cells"
        raise TableError(f"baseline {spec.baseline!r} is {what}; the cells: {listed(names)}")
    return found[0]


def _unchecked(cell: CellRows, fields: Sequence[Field]) -> bool:
    checks = [field for field in fields if field.check is not None]
    return bool(checks) and all(field_value(cell, f.name) != f.check for f in checks)


def _columns(frame: pd.DataFrame, spec: TableSpec, baseline: str | None) -> list[ColumnSpec]:
    """The columns asked for, or the usual ones that the grid has measured."""
    if spec.columns is not None:
        return list(spec.columns)
    keys = _measured(frame, _COLUMNS) or ["AP"]
    return [ColumnSpec(figure=key, difference=key == "AP" and baseline is not None) for key in keys]


def details_spec(frame: pd.DataFrame, spec: TableSpec, name: str) -> TableSpec | None:
    """The second table, of the figures that the first leaves out; none where ``spec`` names its
    columns, or nothing more was measured."""
    keys = [] if spec.columns is not None else _measured(frame, _DETAILS)
    if not keys:
        return None
    title = "Further figures."
    if spec.title is not None:
        title = f"{spec.title.removesuffix('.')}, further figures."
    changes = {"columns": tuple(ColumnSpec(figure=key) for key in keys), "width": None}
    names = {"name": f"{spec.name or name}_details", "title": title}
    return spec.model_copy(update={**changes, **names})


def _measured(frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    return [k for k in keys if (c := FIGURES[k].column) in frame and frame[c].notna().any()]


def _with_speed(columns: list[ColumnSpec]) -> list[ColumnSpec]:
    """A count of operations never stands without a speed: moving data costs time, not FLOPs."""
    figures = [column.figure for column in columns]
    for column in columns:
        if figures.count(column.figure) > 1:
            raise TableError(f"columns: {column.figure} is there twice")
    if any(figure in SPEEDS for figure in figures):
        return columns
    last = max((n for n, figure in enumerate(figures) if figure in COUNTS), default=None)
    if last is None:
        return columns
    return [*columns[: last + 1], ColumnSpec(figure="latency"), *columns[last + 1 :]]


def _refuse_ambiguous(layout: TableLayout) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for cell in layout.cells:
        over = field_value(cell, layout.spec.across) if layout.spec.across else ""
        other = seen.setdefault((*layout.key(cell), over), cell.name)
        if other != cell.name:
            shown = [field.name for field in layout.fields] + [layout.spec.across or ""]
            hidden = [axis for axis in axes_of(cell.rows) if axis not in shown]
            raise TableError(
                f"table {layout.name}: the rows do not tell {other!r} from {cell.name!r}, and "
                f"cells are never averaged; add to rows: {listed(hidden)}"
            )
