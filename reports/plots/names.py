"""What cells are called in plots: short, and never two alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.frame.cells import CellRows
from reports.tables.labels import axes_of, field_head, field_value, value_label

_BARE = frozenset({"on", "off", "yes", "no", "true", "false", "none", "with", "without"})


@dataclass(frozen=True)
class Words:
    """Names for the cells of one grid.

    Attributes:
        axes: the grid's axes.
        numeric: the axis whose values are numbers (the first such), if any.
        labels: what axes and values are called, as in a table specification.
    """

    axes: tuple[str, ...]
    numeric: str | None
    labels: Mapping[str, str]

    def head(self, axis: str) -> str:
        """What an axis is called."""
        return field_head(axis, self.labels)

    def cell(self, cell: CellRows) -> str:
        """The cell by its values: ``Messengers 8, STQI``."""
        return self._joined(cell, self.axes) or cell.name

    def series(self, cell: CellRows) -> str:
        """The cell by its values of all axes but the numeric one."""
        if self.numeric is None:
            return self.cell(cell)
        return self._joined(cell, [axis for axis in self.axes if axis != self.numeric])

    def point(self, cell: CellRows) -> str:
        """The cell's value of the numeric axis; empty where there is none."""
        return "" if self.numeric is None else field_value(cell, self.numeric)

    def _joined(self, cell: CellRows, axes: Sequence[str]) -> str:
        return ", ".join(self._value(axis, field_value(cell, axis)) for axis in axes)

    def _value(self, axis: str, value: str) -> str:
        """A value in words; one that says nothing by itself with its axis before it."""
        text = value_label(axis, value, self.labels)
        bare = is_number(text) or text.lower() in _BARE
        return f"{self.head(axis)} {text}" if bare else text


def words_for(cells: Sequence[CellRows], labels: Mapping[str, str]) -> Words:
    """Names for ``cells``, which are those of one grid."""
    axes = axes_of(cells[0].rows) if cells else []
    numeric = numeric_axes(cells)
    return Words(tuple(axes), numeric[0] if numeric else None, labels)


def numeric_axes(cells: Sequence[CellRows]) -> list[str]:
    """Axes with at least two values, all of them numbers."""
    found = []
    for axis in axes_of(cells[0].rows) if cells else []:
        values = {field_value(cell, axis) for cell in cells}
        if len(values) > 1 and all(map(is_number, values)):
            found.append(axis)
    return found


def is_number(text: str) -> bool:
    """Whether ``text`` reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
