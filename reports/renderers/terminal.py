"""A table in the terminal: the figures as in the other formats, the notes below."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.columns import fitting
from reports.renderers.typeset import Fragment, Place, Style, typeset
from reports.tables.model import Table
from reports.tables.symbols import plain

_GAP = 2
_STYLES: dict[Style, str] = {
    "bold": "bold",
    "italic": "italic",
    "small": "dim",
    "superscript": "cyan",
}


def to_terminal(table: Table, width: int) -> RenderableType:
    """The table and its notes, for a rich console of ``width`` characters.

    A table that is wider is set in several parts, each with the labels of its rows; nothing is
    cut or wrapped.
    """
    text = typeset(table)
    lines = [line.places for group in text.groups for line in group]
    rows = [list(map(_place, line)) for line in ([*text.fields, *text.heads], *lines)]
    labels = [row[: len(text.fields)] for row in rows]
    columns = list(zip(*(row[len(text.fields) :] for row in rows), strict=True))
    taken = sum(_GAP + _width(column) for column in zip(*labels, strict=True))
    runs = fitting([_width(column) + _GAP for column in columns], width - taken + _GAP)
    parts = [_part(labels, [columns[place] for place in run]) for run in runs]
    notes = [_note(note) for note in text.notes]
    between = [piece for part in parts for piece in (part, Text(""))]
    bold, title, setting = (
        Text.assemble(*map(_fragment, part)) for part in (text.result, text.title, text.setting)
    )
    result = [Text(bold.plain, "bold"), Text("")] if bold else []
    title = Text.assemble((title.plain, "" if result else "bold"), " " if setting else "", setting)
    return Group(*result, title, *between, *notes)


def _width(column: Sequence[Text]) -> int:
    return max(text.cell_len for text in column)


def _part(labels: Sequence[Sequence[Text]], columns: Sequence[Sequence[Text]]) -> RichTable:
    part = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="none")
    for head in labels[0]:
        part.add_column(head, no_wrap=True, min_width=head.cell_len)
    for column in columns:
        part.add_column(column[0], justify="right", no_wrap=True, min_width=_width(column))
    for place, label in enumerate(labels[1:], start=1):
        part.add_row(*label, *(column[place] for column in columns))
    return part


def _place(place: Place) -> Text:
    above = f"{place.above}: " if place.above else ""
    return Text(above).append_text(Text.assemble(*map(_fragment, place.fragments)))


def _fragment(fragment: Fragment) -> Text:
    text = fragment.text
    if fragment.style == "check":
        text = "✓" if text == "yes" else ""
    if fragment.style == "math":
        text = plain(f"${text}$")
    apart = " " if fragment.style in ("small", "superscript") else ""
    return Text(apart + text, _STYLES.get(fragment.style, ""))


def _note(note: Sequence[Fragment]) -> Text:
    marks = [fragment for fragment in note if fragment.style == "superscript"]
    said = [_fragment(fragment).plain for fragment in note if fragment not in marks]
    return Text.assemble(*((f"{mark.text} ", "cyan") for mark in marks), ("".join(said), "dim"))
