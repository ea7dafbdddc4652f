"""A table as rows of fragments, before any markup: a renderer only sets the fragments."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from reports.frame.statistics import Difference
from reports.tables.model import DASH, Column, Entry, Label, Row, Table, of_one_seed
from reports.tables.symbols import split_math

MINUS = "−"


Style = Literal["text", "bold", "italic", "small", "superscript", "subscript", "math", "check"]
Styles = Mapping[Style, Callable[[str], str]]
"""Style to what sets a text in it; the text of a check mark is ``yes`` or ``no``."""

_SUBSCRIPT = re.compile(r"\b(AP|AR)(\d+|[sml])\b")


@dataclass(frozen=True)
class Fragment:
    """A run of letters of one style."""

    text: str
    style: Style = "text"


Fragments = tuple[Fragment, ...]


@dataclass(frozen=True)
class Place:
    """What stands in one place of a table.

    Attributes:
        span: label columns that it covers.
        sort: what a script may sort by; none: its text.
        words: whether words stand where figures are expected.
        above: of a head, the value of the axis that is laid out across.
    """

    fragments: Fragments
    span: int = 1
    sort: float | str | None = None
    words: bool = False
    above: str = ""


@dataclass(frozen=True)
class Line:
    """A row: its labels; its number of seeds, where rows differ in it, and its figures."""

    labels: tuple[Place, ...]
    entries: tuple[Place, ...]
    published: bool
    cell: str | None = None

    @property
    def places(self) -> list[Place]:
        """All places in order, with empty ones where a label spans several columns."""
        missing = [Place(())] * sum(label.span - 1 for label in self.labels)
        return [*self.labels, *missing, *self.entries]


@dataclass(frozen=True)
class TypesetTable:
    """Caption, heads, groups of rows and notes, each as fragments.

    Attributes:
        result: what the grid answers, in a sentence; empty: nothing that one could say.
        title: what the table shows, up to the colon where a setting follows.
        setting: what holds for every row.
        fields: heads of the label columns.
        heads: of the number of seeds, where rows differ in it, and of the columns of figures.
        across: values of the axis that is laid out across, with the columns that each covers.
    """

    result: Fragments
    title: Fragments
    setting: Fragments
    fields: tuple[Place, ...]
    heads: tuple[Place, ...]
    across: tuple[tuple[str, int], ...]
    groups: tuple[tuple[Line, ...], ...]
    notes: tuple[Fragments, ...]


def typeset(table: Table) -> TypesetTable:
    """Everything that ``table`` prints, as fragments."""
    spans = [(a or "", len(list(c))) for a, c in groupby(table.columns, key=lambda c: c.above)]
    return TypesetTable(
        result=words(table.result),
        title=words(f"{table.title.removesuffix('.')}{':' if table.setting else '.'}"),
        setting=words(table.setting),
        fields=tuple(Place(words(field)) for field in table.fields),
        heads=(*([Place((Fragment("n"),))] if table.seeds else []), *map(_head, table.columns)),
        across=tuple(spans) if any(above for above, _ in spans) else (),
        groups=tuple(tuple(_line(row, table) for row in group) for group in table.groups),
        notes=tuple((*_marks([n.mark] if n.mark else []), *words(n.text)) for n in table.notes),
    )


def in_markup(fragments: Iterable[Fragment], styles: Styles) -> str:
    """The fragments in the markup of ``styles``, one after the other."""
    return "".join(styles[fragment.style](fragment.text) for fragment in fragments)


def number(value: float, decimals: int, *, sign: bool = False) -> str:
    """``value`` rounded, with a true minus; ``-0.0`` is ``0.0``.

    Example:
        >>> number(-1.25, 1, sign=True), number(0.0, 1, sign=True)
        ('−1.2', '0.0')
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else f"{MINUS}∞" if value < 0 else DASH
    text = f"{abs(value):,.{decimals}f}".replace(",", "\u2009" if abs(value) >= 10_000 else "")
    if not float(f"{value:.{decimals}f}"):
        return text
    return f"{MINUS}{text}" if value < 0 else f"+{text}" if sign else text


def interval(low: float, high: float, decimals: int) -> str:
    """``[−1.2, +3.4]``."""
    return f"[{number(low, decimals, sign=True)}, {number(high, decimals, sign=True)}]"


def entry_place(entry: Entry, column: Column, row: Row) -> Place:
    """What ``entry`` says: the figure or words in its place, its spread, its seeds, its marks."""
    text, spread, n, words = _parts(entry, column, row)
    style: Style = "text"
    if entry.bold:
        style = "bold"
    elif words or row.published:
        style = "italic"
    parts = [(text, style), (spread, "small"), (f"({n})" if n else "", "small")]
    fragments = [Fragment(text, style) for text, style in parts if text]
    summary = entry.summary
    sort = None if summary is None else summary.mean
    if entry.difference is not None:
        sort = entry.difference.mean
    if entry.verdict is not None:
        sort = entry.verdict.mean
    return Place((*fragments, *_marks(entry.marks)), sort=sort, words=words)


def _parts(entry: Entry, column: Column, row: Row) -> tuple[str, str, str, bool]:
    """Figure or words, spread or interval, n where it is not the row's, whether it is words."""
    summary, decimals, figure = entry.summary, column.decimals, column.figure
    if entry.text is not None:
        return entry.text, "", "", True
    if entry.difference is not None:
        return _difference(entry.difference, decimals, row)
    if entry.mixed:
        shown = [number(value, decimals) for value in entry.values.values()]
        return " / ".join(shown) or "mixed", "", "", not shown
    if summary is None:
        return "", "", "", True
    if row.published:  # no more digits than the source gives
        given = len(str(summary.mean).partition(".")[2])
        return number(summary.mean, min(decimals, given)), "", "", False
    n = "" if figure.exact or of_one_seed(figure, summary.n) else _seeds_unlike(row, summary.n)
    plain = summary.std is None or not figure.spread or (figure.exact and summary.std == 0)
    spread = "" if plain else f"±{number(summary.std or 0.0, decimals)}"
    return number(summary.mean, decimals), spread, n, False


def _seeds_unlike(row: Row, n: int) -> str:
    """``n`` where it is not the number of finished seeds that the row gives."""
    several_cells = "," in row.seeds
    return "" if several_cells or row.seeds.partition("/")[0] == str(n) else f"n={n}"


def _difference(difference: Difference, decimals: int, row: Row) -> tuple[str, str, str, bool]:
    low, high = difference.low, difference.high
    spread = "" if low is None or high is None else interval(low, high, decimals)
    n = "" if row.seeds == str(difference.n) else f"n={difference.n}"
    return number(difference.mean, decimals, sign=True), spread, n, False


def _head(column: Column) -> Place:
    fragments = []
    for part in words(column.label):
        pieces = [""] if part.style == "math" else _SUBSCRIPT.split(part.text)
        fragments += [part] if part.style == "math" else []
        for place in range(0, len(pieces), 3):  # text, AP, 50, text, ...
            text = "".join(pieces[place : place + 2])
            fragments += [Fragment(text)] if text else []
            fragments += [Fragment(piece, "subscript") for piece in pieces[place + 2 : place + 3]]
    return Place((*fragments, *_marks(column.marks)), above=column.above or "")


def _line(row: Row, table: Table) -> Line:
    span = len(table.fields) - len(row.labels) + 1
    labels = [_label(label, row.published) for label in row.labels]
    seeds = Place((Fragment(row.seeds),), sort=row.seeds.partition("/")[0] or None)
    if row.published:
        labels[0] = Place((*labels[0].fragments, *_marks(row.marks)), span, labels[0].sort)
    else:
        seeds = Place((*seeds.fragments, *_marks(row.marks)), sort=seeds.sort)
    pairs = zip(row.entries, table.columns, strict=True)
    entries = [entry_place(entry, column, row) for entry, column in pairs]
    entries = [seeds, *entries] if table.seeds else entries
    return Line(tuple(labels), tuple(entries), row.published, row.cell)


def _label(label: Label, published: bool) -> Place:
    if label.check is not None:
        return Place((Fragment("yes" if label.check else "no", "check"),), sort=label.text)
    return Place(words(label.text, "italic" if published else "text"), sort=label.text)


def words(text: str, style: Style = "text") -> Fragments:
    """A text as fragments: words and the symbols in it, which are written between dollars."""
    parts = split_math(text)
    return tuple(Fragment(t, "math" if math else style) for t, math in parts if t)


def _marks(marks: Sequence[str]) -> list[Fragment]:
    return [Fragment(",".join(marks), "superscript")] if marks else []
