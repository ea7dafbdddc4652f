"""A table as CSV: numbers in the printed units at full precision, for a spreadsheet."""

from __future__ import annotations

import csv
import io

from reports.tables.model import DASH, Column, Entry, Table
from reports.tables.symbols import plain


def to_csv(table: Table) -> str:
    """One line a row; each figure with std and n, or its difference with interval and n."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    heads = [name for column in table.columns for name in _heads(column)]
    writer.writerow(["source", *table.fields, "n", *heads, "notes"])
    said = {note.mark: plain(note.text) for note in table.notes}
    for row in table.rows:
        labels = [label.text for label in row.labels]
        labels += [""] * (len(table.fields) - len(labels))
        pairs = zip(row.entries, table.columns, strict=True)
        values = [value for entry, column in pairs for value in _values(entry, column)]
        marks = dict.fromkeys([*row.marks, *(m for entry in row.entries for m in entry.marks)])
        notes = " ".join(said[mark] for mark in marks)
        source = "published" if row.published else "measured"
        writer.writerow([source, *labels, row.seeds, *values, notes])
    return buffer.getvalue()


def _heads(column: Column) -> list[str]:
    name = f"{column.above}: {column.label}" if column.above else column.label
    if column.part == "verdict":
        return [name, f"{name} low", f"{name} high", f"{name} more seeds"]
    if column.part == "difference":
        return [name, f"{name} low", f"{name} high", f"{name} n"]
    return [name, f"{name} std", f"{name} n", f"{name} bold"]


def _values(entry: Entry, column: Column) -> list[object]:
    difference, verdict, summary = entry.difference, entry.verdict, entry.summary
    if column.part == "verdict":
        if verdict is None:
            return ["", "", "", ""]
        return [verdict.kind, *map(_blank, (verdict.low, verdict.high, verdict.more))]
    if column.part == "difference":
        if difference is None:
            return [entry.text or "", "", "", ""]
        return [difference.mean, *map(_blank, (difference.low, difference.high)), difference.n]
    if summary is None:
        text = entry.text if entry.text is not None else _each(entry)
        return ["" if text == DASH else text, "", "", ""]
    return [summary.mean, _blank(summary.std), summary.n, "yes" if entry.bold else ""]


def _each(entry: Entry) -> str:
    return " / ".join(f"{value:g}" for value in entry.values.values())


def _blank(value: float | None) -> object:
    return "" if value is None else value
