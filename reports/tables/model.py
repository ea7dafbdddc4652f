"""A table before it is Markdown, LaTeX, CSV or HTML: what stands in each place, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ablations.analysis.verdicts import Verdict
from benchmarks.figures import Figure
from benchmarks.measurements import is_seedless
from reports.frame.statistics import Difference, Summary, seed_summary

DASH = "–"
"""Stands where a figure was not measured."""

Part = Literal["value", "difference", "verdict"]


def of_one_seed(figure: Figure, seeds: int) -> bool:
    """Whether a figure that does not depend on the seed was measured for a single one."""
    return seeds == 1 and is_seedless(figure.kind)


@dataclass(frozen=True)
class Column:
    """One column of figures.

    Attributes:
        figure: what it shows.
        label: its head.
        decimals: digits after the point.
        part: the figure, its difference to the baseline, or the verdict on that.
        over: value of the axis that is laid out across.
        above: what is printed above the head for it.
        marks: notes that hold for the whole column.
    """

    figure: Figure
    label: str
    decimals: int
    part: Part = "value"
    over: str | None = None
    above: str | None = None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table.

    Attributes:
        values: seed to figure, in the printed unit.
        text: printed instead of figures: a state (running, failed), OOM, a dash.
        mixed: the seeds were measured by different protocols: no mean exists.
        difference: to the baseline, in columns of differences.
        verdict: what that difference proves, in columns of verdicts.
        bold: among the best by the table's test.
        marks: notes that hold for this place.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    text: str | None = None
    mixed: bool = False
    difference: Difference | None = None
    verdict: Verdict | None = None
    bold: bool = False
    marks: tuple[str, ...] = ()

    @property
    def summary(self) -> Summary | None:
        """Mean and spread over the seeds; none where there are no values or no common protocol."""
        return None if self.mixed else seed_summary(list(self.values.values()))


@dataclass(frozen=True)
class Label:
    """What names a row: words, or a check mark (true), or its absence (false)."""

    text: str
    check: bool | None = None


@dataclass(frozen=True)
class Row:
    """One row: our cell, or a published one.

    Attributes:
        labels: one a label column; a single label of a published row spans them all.
        seeds: finished seeds, ``3``, or of how many, ``2/3``; empty for published figures.
        entries: one a column of figures.
        cell: the cell's name; none for published figures.
        marks: notes that hold for the whole row.
    """

    labels: tuple[Label, ...]
    seeds: str
    entries: tuple[Entry, ...]
    cell: str | None = None
    marks: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether the figures are somebody else's."""
        return self.cell is None


@dataclass(frozen=True)
class Note:
    """A sentence below the table; without a mark it holds for all of it."""

    text: str
    mark: str | None = None


@dataclass(frozen=True)
class Table:
    """A whole table.

    Attributes:
        name: stem of its files and its LaTeX label.
        title: first sentence of the caption.
        fields: heads of the label columns.
        columns: the columns of figures.
        groups: rows, a tuple a group; groups are set apart by a rule.
        notes: below the table, in their order.
        width: LaTeX float: one column or the whole text width; none: by what it holds.
        result: what the grid answers, in a sentence; empty: nothing that one could say.
        setting: what holds for every row, after the title.
        appendix: whether it belongs at the end, where it is looked up.
        prose: whether its last label column holds sentences.
    """

    name: str
    title: str
    fields: tuple[str, ...]
    columns: tuple[Column, ...]
    groups: tuple[tuple[Row, ...], ...]
    notes: tuple[Note, ...]
    width: Literal["column", "text"] | None = None
    result: str = ""
    setting: str = ""
    appendix: bool = False
    prose: bool = False

    @property
    def seeds(self) -> bool:
        """Whether the number of seeds is a column: where it is not the same in all rows."""
        ours = [row for row in self.rows if not row.published]
        return len({row.seeds for row in ours}) > 1 or any(row.marks for row in ours)

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, without the grouping."""
        return tuple(row for group in self.groups for row in group)


class Notes:
    """Collects the notes of a table; the same text gets the same mark."""

    def __init__(self) -> None:
        self._general: list[str] = []
        self._marked: dict[str, str] = {}

    def say(self, text: str) -> None:
        """A note on the whole table."""
        if text and text not in self._general:
            self._general.append(text)

    def mark(self, text: str) -> str:
        """The mark (a, b, ..., z, aa, ...) of a note on single places."""
        if text not in self._marked:
            self._marked[text] = _letters(len(self._marked))
        return self._marked[text]

    def all(self) -> tuple[Note, ...]:
        """General notes first, then the marked ones in the order of their marks."""
        general = [Note(text) for text in self._general]
        return (*general, *(Note(text, mark) for text, mark in self._marked.items()))


def _letters(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters
