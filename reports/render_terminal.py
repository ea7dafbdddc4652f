"""A table in the terminal: the figures as in the other formats, the notes below."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from reports.formatting import pieces
from reports.table_model import Column, Entry, Label, Row, Table


def to_terminal(table: Table) -> RenderableType:
    """The table and its notes, for a rich console."""
    grid = RichTable(title=table.title, title_justify="left", box=None, pad_edge=False)
    for name in table.fields:
        grid.add_column(Text(name), no_wrap=True)
    grid.add_column("n", justify="right", no_wrap=True)
    for column in table.columns:
        above = f"{column.above}: " if column.above else ""
        grid.add_column(Text(above + column.label) + _marks(column.marks), justify="right")
    for group in table.groups:
        for place, row in enumerate(group):
            grid.add_row(*_row(row, table), end_section=place == len(group) - 1)
    notes = [
        Text.assemble((f"{note.mark} " if note.mark else "", "cyan"), (note.text, "dim"))
        for note in table.notes
    ]
    return Group(grid, Text(""), *notes)


def _row(row: Row, table: Table) -> list[Text]:
    labels = [_label(label) for label in row.labels]
    labels += [Text("")] * (len(table.fields) - len(labels))
    seeds = Text(row.seeds)
    if row.published:
        labels[0] = labels[0] + _marks(row.marks)
    else:
        seeds = seeds + _marks(row.marks)
    pairs = zip(row.entries, table.columns, strict=True)
    return [*labels, seeds, *(_entry(entry, column, row) for entry, column in pairs)]


def _label(label: Label) -> Text:
    return Text(label.text if label.check is None else "✓" if label.check else "")


def _entry(entry: Entry, column: Column, row: Row) -> Text:
    parts = pieces(entry, column, row)
    style = "bold" if entry.bold else "italic" if parts.words or row.published else ""
    spread = f" ±{parts.spread}" if parts.kind == "std" else f" {parts.spread}"
    n = f" ({parts.n})" if parts.n else ""
    tail = Text((spread if parts.spread else "") + n, "dim")
    return Text(parts.main, style) + tail + _marks(entry.marks)


def _marks(marks: Iterable[str]) -> Text:
    text = ",".join(marks)
    return Text(f" {text}" if text else "", "cyan")
