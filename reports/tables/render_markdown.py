"""A table in Markdown, as GitHub and notebooks show it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.tables.formatting import pieces
from reports.tables.model import Column, Entry, Label, Row, Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")


def to_markdown(table: Table) -> str:
    """The title, the table and the notes below it."""
    head = [*map(escape, table.fields), "n", *map(_head, table.columns)]
    align = [*[":--" for _ in table.fields], "--:", *["--:" for _ in table.columns]]
    lines = [_line(head), _line(align)]
    for index, group in enumerate(table.groups):
        if index:
            lines.append(_line(["" for _ in head]))
        lines += [_line(_row(row, table)) for row in group]
    notes = [
        f"- {_sup(note.mark)}{' ' if note.mark else ''}{escape(note.text)}" for note in table.notes
    ]
    return "\n".join([f"**{escape(table.title)}**", "", *lines, "", *notes]) + "\n"


def escape(text: str) -> str:
    """``text`` with the characters that Markdown would read as markup made plain."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(column: Column) -> str:
    above = f"{escape(column.above)}: " if column.above else ""
    return above + escape(column.label) + "".join(map(_sup, column.marks))


def _row(row: Row, table: Table) -> list[str]:
    labels = [_label(label) for label in row.labels]
    labels += [""] * (len(table.fields) - len(labels))
    marks = "".join(map(_sup, row.marks))
    if row.published:
        labels = [f"*{label}*" if label else "" for label in labels]
        labels[0] += marks
    seeds = "" if row.published else row.seeds + marks
    pairs = zip(row.entries, table.columns, strict=True)
    return [*labels, seeds, *(_entry(entry, column, row) for entry, column in pairs)]


def _label(label: Label) -> str:
    if label.check is None:
        return escape(label.text)
    return "✓" if label.check else ""


def _entry(entry: Entry, column: Column, row: Row) -> str:
    parts = pieces(entry, column, row)
    main = escape(parts.main)
    if parts.words and main not in ("", "–"):
        main = f"*{main}*"
    if entry.bold or (row.published and main):
        main = f"**{main}**" if entry.bold else f"*{main}*"
    spread = f" ± {parts.spread}" if parts.kind == "std" else f" {escape(parts.spread)}"
    n = f" ({parts.n})" if parts.n else ""
    return main + (spread if parts.spread else "") + n + "".join(map(_sup, entry.marks))


def _sup(mark: str | None) -> str:
    return f"<sup>{mark}</sup>" if mark else ""
