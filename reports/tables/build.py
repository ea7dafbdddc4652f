"""From the collected frame and a specification to a table; no run is left out or averaged away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

import pandas as pd

from ablations.analysis.limits import MOST_SEEDS, Limits
from ablations.table_spec import ColumnSpec, TableSpec
from benchmarks.figures import ABOVE, Figure, figure_of
from core.names import distinct
from reports.frame.cells import CellRows
from reports.frame.protocol import common_protocol
from reports.tables.code import other_code
from reports.tables.comparisons import Compared
from reports.tables.labels import Names, field_value
from reports.tables.layout import TableLayout, details_spec, lay_out
from reports.tables.model import DASH, Column, Entry, Label, Notes, Part, Row, Table, of_one_seed
from reports.tables.notes import (
    add_notes,
    describe_differences,
    protocol_table,
    setting,
    suspect,
)
from reports.tables.published import Published, choose

_T = TypeVar("_T")
_LONG = 12
"""Rows from which on a table is ruled by its first label."""
_AHEAD = "none bold: {} is ahead, but not finished, or not measured alike"


def build_tables(
    frame: pd.DataFrame,
    spec: TableSpec,
    published: Mapping[str, Published],
    *,
    name: str,
    limits: Limits | None = None,
) -> list[Table]:
    """The table that ``spec`` asks for; the figures that it leaves out and the protocol of all of
    them as tables of their own, for an appendix.

    Args:
        frame: as :func:`reports.frame.collect.collect` gives it; every cell in it gets its place.
        published: entries that ``spec.published`` may name.
        name: of the table where the specification gives none.
        limits: of the seeds, where these are added round by round.

    Raises:
        TableError: a field, value, figure or baseline that does not exist, or rows that the
            fields do not tell apart.
        PublishedError: an unknown published entry.
    """
    details = details_spec(frame, spec, name)
    layout = lay_out(frame, spec, name, limits)
    known = choose(spec.published, published)
    tables, columns = [_build(layout, known)], layout.columns
    if details is not None:
        further = lay_out(frame, details, name)
        tables.append(replace(_build(further, known, further=True), appendix=True))
        columns = tuple(dict.fromkeys((*columns, *further.columns)))
    return [*tables, protocol_table(layout, columns, known)]


def _build(layout: TableLayout, entries: Sequence[Published], *, further: bool = False) -> Table:
    """The table of ``layout``, which is that of ``further`` figures or the first."""
    spec, notes = layout.spec, Notes()
    columns = _columns(layout, notes)
    groups = _groups(layout, columns, notes)
    shown = {column.figure.key for column in columns}
    if known := [entry for entry in entries if shown & entry.figures.keys()]:
        groups.append(tuple(_published_row(entry, columns, layout, notes) for entry in known))
    add_notes(notes, layout, _adds_up(groups, columns, layout.baseline))
    title = spec.title or f"{layout.name.replace('_', ' ').replace('-', ' ').capitalize()}."
    table = Table(
        name=layout.name,
        title=title,
        fields=tuple(field.head for field in layout.fields),
        columns=tuple(columns),
        groups=tuple(groups),
        notes=notes.all(),
        width=spec.width,
    )
    same: list[str] = []
    if further or spec.columns is None:
        table, same = _without_equal(table, layout, further)
    return replace(table, setting=setting(layout, *same))


def _adds_up(
    groups: Sequence[Sequence[Row]], columns: Sequence[Column], baseline: str | None
) -> bool:
    """Whether the printed differences are those of the printed figures, wherever over all seeds."""
    rows = [row for group in groups for row in group]
    reference = next((row for row in rows if row.cell == baseline), None)
    for place, column in enumerate(columns):
        if column.part != "difference" or reference is None:
            continue
        base = reference.entries[place - 1].summary
        for row in rows:
            own, found = row.entries[place - 1].summary, row.entries[place].difference
            if base is None or own is None or found is None or not own.n == base.n == found.n:
                continue
            printed = [round(value, column.decimals) for value in (own.mean, base.mean, found.mean)]
            if abs(printed[0] - printed[1] - printed[2]) > 0.5 * 10**-column.decimals:
                return False
    return True


def _without_equal(table: Table, layout: TableLayout, every: bool) -> tuple[Table, list[str]]:
    """Without the counts, or ``every`` figure, that are printed the same in all rows; these in
    words."""
    if len(table.rows) < 2 or layout.spec.across:
        return table, []
    same: dict[int, str] = {}
    for place, column in enumerate(table.columns):
        entries = [row.entries[place] for row in table.rows]
        printed = {_alike(entry, column.decimals) for entry in entries}
        if (every or column.figure.exact) and len(printed) == 1 and None not in printed:
            same[place] = f"{column.label} {printed.pop()}"
    if not same or len(same) == len(table.columns):
        return table, []

    def kept(values: Sequence[_T]) -> tuple[_T, ...]:
        return tuple(value for place, value in enumerate(values) if place not in same)

    groups = tuple(
        tuple(replace(row, entries=kept(row.entries)) for row in group) for group in table.groups
    )
    return replace(table, columns=kept(table.columns), groups=groups), list(same.values())


def _alike(entry: Entry, decimals: int) -> str | None:
    """The figure as it is printed, where nothing else is: no spread, mark or verdict of a test."""
    summary = entry.summary
    if summary is None or entry.marks or round(summary.std or 0.0, decimals):
        return None
    return f"{summary.mean:.{decimals}f}"


def _columns(layout: TableLayout, notes: Notes) -> list[Column]:
    columns: list[Column] = []
    names = Names(layout.cells, layout.spec.labels)
    heads = {c.figure: c.label or _label(layout, figure_of(c.figure)) for c in layout.columns}
    heads = distinct(heads, str)
    for over in layout.across:
        for spec in layout.columns:
            figure = figure_of(spec.figure)
            label = heads[spec.figure]
            decimals = _decimals(spec, layout)
            marks = _column_marks(figure, layout, notes)
            head = ABOVE.get(spec.figure)
            if over is not None and layout.spec.across:
                head = names.values(layout.spec.across)[over]
            columns.append(Column(figure, label, decimals, "value", over, head, marks))
            if spec.difference and layout.baseline is not None:
                parts: list[tuple[Part, str]] = [("difference", f"Δ {label}")]
                if layout.compared[spec.figure].verdicts:
                    parts.append(("verdict", "Verdict"))
                columns += [Column(figure, t, decimals, p, over, head, marks) for p, t in parts]
    return columns


def _label(layout: TableLayout, figure: Figure) -> str:
    """The figure's label, as asked for or its own; a speed on a CPU says so."""
    if figure.key in layout.spec.labels:
        return layout.spec.labels[figure.key]
    device = str(common_protocol(layout.frame, "fps").get("device", ""))
    on_cpu = figure.kind == "fps" and device.upper().startswith("CPU")
    return f"{figure.label} (CPU)" if on_cpu else figure.label


def _column_marks(figure: Figure, layout: TableLayout, notes: Notes) -> tuple[str, ...]:
    comparison, said = layout.compared[figure.key], []
    if comparison.incomparable:
        how = describe_differences(comparison.incomparable, layout.called)
        said.append(f"not measured alike, so no row is set against another: {how}")
    elif comparison.ahead:
        said.append(_AHEAD.format(layout.called[comparison.ahead]))
    most = max(map(len, comparison.values.values()))
    timed_once = of_one_seed(figure, most) and not figure.exact
    if timed_once and any(cell.planned > 1 for cell in layout.cells):
        said.append("of one seed")
    count, _ = suspect(layout.frame, figure.kind)
    said += [f"suspect in {count} (see the protocol)"] if count else []
    return (notes.mark(f"{'; '.join(said)}."),) if said else ()


def _decimals(column: ColumnSpec, layout: TableLayout) -> int:
    """As asked for; counts get enough digits that the smallest still shows three of them."""
    figure, asked = figure_of(column.figure), column.decimals
    asked = layout.spec.decimals.get(figure.key) if asked is None else asked
    if asked is not None or not figure.exact:
        return figure.decimals if asked is None else asked
    found = layout.compared[figure.key].values.values()
    sizes = [abs(value) for values in found for value in values.values() if value]
    needed = 2 - math.floor(math.log10(min(sizes))) if sizes else 0
    return min(max(figure.decimals, needed), 4)


def _groups(layout: TableLayout, columns: Sequence[Column], notes: Notes) -> list[tuple[Row, ...]]:
    rows = layout.rows()
    by = layout.spec.group or (layout.fields[0].name if len(rows) > _LONG else None)
    values = [field_value(next(iter(cells.values())), by) if by else "" for cells in rows]
    if not layout.spec.group and len(list(groupby(values))) > len(rows) / 2:
        values = [""] * len(rows)
    groups: dict[str, list[Row]] = {}
    made = other_code(layout.cells)
    for cells, value in zip(rows, values, strict=True):
        groups.setdefault(value, []).append(_row(layout, cells, columns, notes, made))
    return [tuple(rows) for rows in groups.values()]


def _row(
    layout: TableLayout,
    cells: Mapping[str | None, CellRows],
    columns: Sequence[Column],
    notes: Notes,
    made: Mapping[str, str],
) -> Row:
    first = next(iter(cells.values()))
    labels = tuple(field.label(first) for field in layout.fields)
    entries = []
    for column in columns:
        cell = cells.get(column.over)
        comparison = layout.compared[column.figure.key]
        if cell is None:
            entries.append(Entry(text=""))
        elif column.part == "verdict":
            entries.append(_verdict(cell, comparison, layout))
        elif column.part == "difference":
            entries.append(_difference(cell, comparison, layout))
        else:
            entries.append(_value(cell, column.figure, comparison, notes))
    seeds = ", ".join(dict.fromkeys(map(_seeds, cells.values())))
    marks = [notes.mark(f"{c.unfinished()}.") for c in cells.values() if c.unfinished()]
    marks += [notes.mark(made[c.name]) for c in cells.values() if c.name in made]
    cell_names = " | ".join(cell.name for cell in cells.values())
    return Row(labels, seeds, tuple(entries), cell_names, tuple(dict.fromkeys(marks)))


def _seeds(cell: CellRows) -> str:
    return str(cell.planned) if cell.complete else f"{cell.finished}/{cell.planned}"


def _value(cell: CellRows, figure: Figure, comparison: Compared, notes: Notes) -> Entry:
    values = comparison.values[cell.name]
    oom = [str(text) for text in cell.column(f"{figure.kind}.oom")]
    mixed = cell.mixed(figure.kind)
    if mixed and (values or oom):
        said = describe_differences(mixed)
        return Entry(values, mixed=True, marks=(notes.mark(f"mixed protocol, no mean: {said}."),))
    if oom and values:
        return Entry(values, marks=(notes.mark(f"{len(oom)} of {cell.planned} seeds: {oom[0]}."),))
    if not values:
        text = oom[0] if oom else _why_empty(cell)
        return Entry(text=text)
    ties = comparison.ties
    marks: list[str] = []
    if ties is not None and ties.best is not None and cell.name in ties.untested:
        marks.append(notes.mark("fewer than two seeds in common with the best: not tested."))
    missing = cell.complete and len(values) < cell.planned
    if missing and not of_one_seed(figure, len(values)):
        marks.append(notes.mark(f"{figure.label} of {len(values)} of {cell.planned} seeds."))
    bold = ties is not None and cell.name in ties.tied
    return Entry(values, bold=bold, marks=tuple(marks))


def _why_empty(cell: CellRows) -> str:
    """The state that keeps a figure from being there, or a dash: not measured."""
    return DASH if cell.complete else cell.state


def _difference(cell: CellRows, comparison: Compared, layout: TableLayout) -> Entry:
    if cell.name == layout.baseline:
        return Entry(text="baseline")
    difference = comparison.differences.get(cell.name)
    return Entry(text=DASH) if difference is None else Entry(difference=difference)


def _verdict(cell: CellRows, comparison: Compared, layout: TableLayout) -> Entry:
    if cell.name == layout.baseline:
        return Entry(text="")
    verdict = comparison.verdicts.get(cell.name)
    if verdict is None or verdict.kind == "none":
        return Entry(text=DASH)
    more = f"+{verdict.more}" if verdict.more else f"more than +{MOST_SEEDS:,}"
    undecided = f" ({more})" if verdict.kind == "undecided" else ""
    return Entry(text=f"{verdict.kind}{undecided}", verdict=verdict)


def _published_row(
    entry: Published,
    columns: Sequence[Column],
    layout: TableLayout,
    notes: Notes,
) -> Row:
    mark = notes.mark(entry.differs([column.figure.key for column in columns]))
    entries = tuple(_published_entry(entry, column) for column in columns)
    names = [field.name for field in layout.fields]
    labels: tuple[Label, ...] = (Label(entry.method),)
    if names[:2] == ["method", "backbone"]:
        rest = [Label("") for _ in names[2:]]
        labels = (Label(entry.method), Label(entry.backbone or ""), *rest)
    elif entry.backbone:
        labels = (Label(f"{entry.method}, {entry.backbone}"),)
    return Row(labels, "", entries, None, (mark,))


def _published_entry(entry: Published, column: Column) -> Entry:
    value = entry.figures.get(column.figure.key)
    if value is None or column.part != "value" or column.over is not None:
        return Entry(text="")
    return Entry({0: value})
