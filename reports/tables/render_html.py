"""A table in HTML, sortable where the page's script runs, readable where it does not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from reports.html import Markup, join, safe, tag
from reports.tables.formatting import pieces
from reports.tables.model import Column, Entry, Label, Row, Table

_SUBSCRIPT = re.compile(r"\b(AP|AR)(50|75|100|10|1|s|m|l)\b")


def to_html(table: Table) -> Markup:
    """A ``figure`` with caption, table and notes; no styles of its own."""
    body = [tag("tbody", *(_row(row, table) for row in group)) for group in table.groups]
    head = tag("thead", *_heads(table))
    grid = tag("div", tag("table", head, *body, class_="figures"), class_="scroll")
    caption = tag("figcaption", table.title)
    return tag("figure", caption, grid, _notes(table), class_="table", id=f"table-{table.name}")


def _heads(table: Table) -> list[Markup]:
    rows = []
    if any(column.above for column in table.columns):
        spans = [tag("th", colspan=len(table.fields) + 1)]
        for above, columns in groupby(table.columns, key=lambda column: column.above):
            spans.append(tag("th", above, colspan=len(list(columns)), class_="above"))
        rows.append(tag("tr", *spans, class_="above"))
    fields = [tag("th", field, scope="col") for field in table.fields]
    figures = [tag("th", _head(column), scope="col", class_="number") for column in table.columns]
    rows.append(tag("tr", *fields, tag("th", "n", scope="col", class_="number"), *figures))
    return rows


def _head(column: Column) -> Markup:
    parts = _SUBSCRIPT.split(column.label)
    pieces_: list[object] = []
    for place in range(0, len(parts), 3):
        pieces_.append(parts[place])
        if place + 2 < len(parts):
            pieces_ += [parts[place + 1], tag("sub", parts[place + 2])]
    return join([*pieces_, _sup(column.marks)])


def _row(row: Row, table: Table) -> Markup:
    span = len(table.fields) - len(row.labels) + 1
    cells = [
        tag(
            "th",
            _label(label),
            _sup(row.marks) if first and row.published else None,
            scope="row",
            colspan=span if first and span > 1 else None,
            data_sort=label.text,
        )
        for first, label in zip([True] + [False] * len(row.labels), row.labels, strict=False)
    ]
    marks = None if row.published else _sup(row.marks)
    sort = row.seeds.partition("/")[0] or None
    cells.append(tag("td", row.seeds, marks, class_="number", data_sort=sort))
    pairs = zip(row.entries, table.columns, strict=True)
    cells += [_entry(entry, column, row) for entry, column in pairs]
    return tag("tr", *cells, class_="published" if row.published else None)


def _label(label: Label) -> Markup:
    if label.check is None:
        return safe(label.text)
    word = "yes" if label.check else "no"
    return tag("span", "✓" if label.check else "", class_="check", aria_label=word, role="img")


def _entry(entry: Entry, column: Column, row: Row) -> Markup:
    parts = pieces(entry, column, row)
    main: Markup = safe(parts.main)
    if entry.bold:
        main = tag("b", main)
    elif parts.words and parts.main:
        main = tag("i", main)
    sign = " ±\u2009" if parts.kind == "std" else " "
    spread = tag("small", sign + parts.spread) if parts.spread else None
    n = tag("small", f" ({parts.n})") if parts.n else None
    classes = "number words" if parts.words else "number"
    return tag("td", main, spread, n, _sup(entry.marks), class_=classes, data_sort=_sort(entry))


def _sort(entry: Entry) -> float | None:
    """What the script sorts by."""
    if entry.difference is not None:
        return entry.difference.mean
    return None if entry.summary is None else entry.summary.mean


def _sup(marks: Sequence[str]) -> Markup | None:
    return tag("sup", ",".join(marks)) if marks else None


def _notes(table: Table) -> Markup:
    items = [
        tag("li", tag("sup", note.mark) if note.mark else None, " " if note.mark else "", note.text)
        for note in table.notes
    ]
    return tag("ul", *items, class_="notes")
