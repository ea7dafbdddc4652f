"""A terminal's table with a column a record, readable however many records there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.table import Table

_Record = dict[str, Any]
_GAP = 2
_FEW = 2
_NOT_IN_A_LIST = re.compile(r",(?![^\[]*\])")


class Columns:
    """A heading a record, and rows of cells; what does not fit beside it stands below.

    So names break between their switches, and where they are many at dots, slashes and blanks, but
    never within a word, unless one alone is wider than the terminal.
    """

    def __init__(self, records: Sequence[_Record], below: Callable[[_Record], str | None]) -> None:
        """Of ``records``; what ``below`` says of one stands under its name."""
        self.records = records
        many = len(records) > _FEW
        self.headings = [_lines(r["name"], many) + _line(below(r)) for r in records]
        self.rows: list[tuple[str, list[str]]] = []

    def add(self, label: str, cell: Callable[..., str]) -> None:
        """A row of what ``cell`` makes of each record."""
        self.rows.append((label, [cell(record) for record in self.records]))

    def add_figure(self, label: str, cell: Callable[..., str]) -> None:
        """The same of what a record has that did not run out of memory."""
        self.add(label, lambda r: "" if r["figures"] is None else cell(r))

    def add_out_of_memory(self) -> None:
        """At what records ran out of memory, where any did."""
        if any(record["figures"] is None for record in self.records):
            self.add("out of memory", lambda r: r.get("oom") or "")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | str]:
        """One table below the other, each with as many records as fit."""
        labels = max((len(label) for label, _ in self.rows), default=0)
        room = options.max_width - labels - _GAP
        *blocks, last = fitting([self._width(k) for k in range(len(self.records))], room)
        for block in blocks:
            yield from (self._block(block), "")
        yield self._block(last)

    def _width(self, k: int) -> int:
        texts = [*self.headings[k].split("\n"), *(cells[k] for _, cells in self.rows)]
        return max(map(len, texts)) + _GAP

    def _block(self, which: Sequence[int]) -> Table:
        table = Table(box=None)
        table.add_column("", overflow="fold")
        for k in which:
            table.add_column(self.headings[k], justify="right", overflow="fold")
        for label, cells in self.rows:
            table.add_row(label, *(cells[k] for k in which))
        return table


def fitting(widths: Sequence[int], room: int) -> list[list[int]]:
    """Places of columns in runs that are no wider than ``room``, but for a column alone."""
    runs: list[list[int]] = [[]]
    for place, width in enumerate(widths):
        if runs[-1] and sum(widths[k] for k in runs[-1]) + width > room:
            runs.append([])
        runs[-1].append(place)
    return runs


def _lines(name: str, many: bool) -> str:
    lines = _NOT_IN_A_LIST.sub(",\n", name)
    return re.sub(r"(\.(?=[a-z])|/)", r"\1\n", lines).replace(" ", "\n") if many else lines


def _line(text: str | None) -> str:
    return f"\n{text}" if text else ""
