"""A table in the terminal: the figures as in the other formats, the notes below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from reports.tables.formatting import pieces
from reports.tables.model import Column, Entry, Label, Row, Table

_GAP = 2


def to_terminal(table: Table, width: int) -> RenderableType:
    """The table and its notes, for a rich console of ``width`` characters.

    A table that is wider is set in several parts, each with the labels of its rows; nothing is
    cut or wrapped.
    """
    labels = [[Text(name) for name in table.fields], *(_labels(row, table) for row in table.rows)]
    heads = [Text("n"), *map(_head, table.columns)]
    bodies = [[_seeds(row), *_entries(row, table)] for row in table.rows]
    columns = list(zip(heads, *bodies, strict=True))
    parts = [_part(labels, chosen) for chosen in _fitting(labels, columns, width)]
    notes = [
        Text.assemble((f"{note.mark} " if note.mark else "", "cyan"), (note.text, "dim"))
        for note in table.notes
    ]
    between = [piece for part in parts for piece in (part, Text(""))]
    return Group(Text(table.title, "bold"), *between, *notes)


def _fitting(
    labels: Sequence[Sequence[Text]], columns: Sequence[Sequence[Text]], width: int
) -> Iterator[list[Sequence[Text]]]:
    """The columns of figures in runs that fit beside the labels, at least one a run."""
    taken = sum(_GAP + max(t.cell_len for t in column) for column in zip(*labels, strict=True))
    room = width - taken
    chosen: list[Sequence[Text]] = []
    used = 0
    for column in columns:
        needed = max(text.cell_len for text in column) + _GAP
        if chosen and used + needed > room + _GAP:
            yield chosen
            chosen, used = [], 0
        chosen.append(column)
        used += needed
    yield chosen


def _part(labels: Sequence[Sequence[Text]], columns: Sequence[Sequence[Text]]) -> RichTable:
    part = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="none")
    for head in labels[0]:
        part.add_column(head, no_wrap=True, min_width=head.cell_len)
    for column in columns:
        widest = max(text.cell_len for text in column)
        part.add_column(column[0], justify="right", no_wrap=True, min_width=widest)
    for place, label in enumerate(labels[1:], start=1):
        part.add_row(*label, *(column[place] for column in columns))
    return part


def _head(column: Column) -> Text:
    above = f"{column.above}: " if column.above else ""
    return Text(above + column.label) + _marks(column.marks)


def _labels(row: Row, table: Table) -> list[Text]:
    labels = [_label(label) for label in row.labels]
    labels += [Text("")] * (len(table.fields) - len(labels))
    if row.published:
        labels[0] = labels[0] + _marks(row.marks)
    return labels


def _label(label: Label) -> Text:
    return Text(label.text if label.check is None else "✓" if label.check else "")


def _seeds(row: Row) -> Text:
    return Text("") if row.published else Text(row.seeds) + _marks(row.marks)


def _entries(row: Row, table: Table) -> list[Text]:
    pairs = zip(row.entries, table.columns, strict=True)
    return [_entry(entry, column, row) for entry, column in pairs]


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
