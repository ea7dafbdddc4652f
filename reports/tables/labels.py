"""What axes, values and cells are called: as papers do, short, and never two alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from ablations.table_spec import TableError, TableSpec
from benchmarks.measurements import NAMES
from core.names import distinct
from reports.frame.cells import CellRows
from reports.frame.protocol import show_value
from reports.tables.model import Label

DERIVED = ("method", "backbone", "cell")
_ABSENT = frozenset({"off", "no", "none", "false", "without", "0", "per_frame"})
_PLAINLY_PRESENT = frozenset({"on", "yes", "true", "with"})
_BARE = _ABSENT - {"per_frame"} | _PLAINLY_PRESENT
_HEADS = {
    "stqi": "STQI",
    "per_frame": "per-frame",
    "stqi_unshared": "STQI, unshared",
    "mean": "mean over time",
    "relative_attention": "relative attention",
    "gru": "GRU",
}
_MIXERS = {
    "channel_shift": "channel shift (TSM)",
    "mean": "mean over time",
    "attention": "temporal attention",
}
_USUAL = {
    "head": "Head",
    "head.kind": "Head",
    **_HEADS,
    **_MIXERS,
    "backbone.temporal": "Mixing of frames",
    "messenger=shift": "MsgShifT",
    "messenger=on": "MsgShifT",
    "messenger.tokens": "Messengers",
    "head.queries": "Queries",
    "head.stages": "Stages",
    "data.clip_length": "Clip length",
    "data.clip_order": "Order of frames",
    "inference.weights": "Weights",
    "inference.weights=raw": "last step",
    "inference.weights=ema": "EMA",
    "train.optimizer": "Optimiser",
    "train.optimizer=adamw": "AdamW",
    "train.optimizer=sgd": "SGD",
    "backbone": "Backbone",
    "backbone.name": "Backbone",
}
"""What papers call these, unless the specification says otherwise."""


@dataclass(frozen=True)
class Names:
    """Names for the cells of one grid.

    Attributes:
        cells: all of them.
        labels: what axes and values are called, as in a table specification.
        numeric: the axis whose values are numbers (the first such), if any.
    """

    cells: tuple[CellRows, ...]
    labels: Mapping[str, str]
    numeric: str | None = None

    @cached_property
    def axes(self) -> list[str]:
        """The grid's axes."""
        return axes_of(self.cells[0].rows) if self.cells else []

    @cached_property
    def _values(self) -> dict[str, dict[str, str]]:
        return {}

    def values(self, field: str) -> dict[str, str]:
        """The values of an axis or switch, in the order of the cells, and what is printed."""
        if field not in self._values:
            values = list(dict.fromkeys(field_value(cell, field) for cell in self.cells))
            self._values[field] = distinct({v: self._label(field, v) for v in values}, str)
        return self._values[field]

    def head(self, field: str) -> str:
        """What an axis or a switch itself is called."""
        usual = _USUAL.get(field) or (field.capitalize() if field in DERIVED else field)
        return self.labels.get(field, usual)

    def cell(self, cell: CellRows) -> str:
        """The cell by its values: ``Messengers 8, STQI``."""
        return self.by_cell[cell.name]

    def series(self, cell: CellRows) -> str:
        """The cell by its values of all axes but the numeric one."""
        return self._series[self._key(cell)]

    def point(self, cell: CellRows) -> str:
        """The cell's value of the numeric axis; empty where there is none."""
        return "" if self.numeric is None else field_value(cell, self.numeric)

    @cached_property
    def by_cell(self) -> dict[str, str]:
        """Cell name to what the cell is called."""
        names = {cell.name: self._joined(cell, self.axes) or cell.name for cell in self.cells}
        return distinct(names, str)

    @cached_property
    def _series(self) -> dict[tuple[str, ...], str]:
        others = [axis for axis in self.axes if axis != self.numeric]
        names = {self._key(cell): self._joined(cell, others) for cell in self.cells}
        return distinct(names, lambda key: " ".join(map("=".join, zip(others, key, strict=True))))

    def _key(self, cell: CellRows) -> tuple[str, ...]:
        return tuple(field_value(cell, axis) for axis in self.axes if axis != self.numeric)

    def _joined(self, cell: CellRows, axes: Sequence[str]) -> str:
        return ", ".join(self.said(axis, field_value(cell, axis)) for axis in axes)

    def against(self, axis: str, value: str, reference: str) -> str:
        """A value's name, with what it is compared with where that is not its absence."""
        if len(self.values(axis)) == 2 and reference.lower() in _ABSENT:
            return self.said(axis, value)
        return f"{self.said(axis, value)} over {self.values(axis)[reference]}"

    def said(self, axis: str, value: str) -> str:
        """A value's name; one that says nothing by itself with its axis before it."""
        text = self.values(axis)[value]
        bare = is_number(text) or text.lower() in _BARE
        return f"{self.head(axis)} {text}" if bare else text

    def _label(self, field: str, value: str) -> str:
        for key in (f"{field}={value}", value):
            if key in self.labels:
                return self.labels[key]
        usual = _USUAL.get(f"{field}={value}") or _USUAL.get(value) or backbone_label(value)
        having = [cell for cell in self.cells if field_value(cell, field) == value]
        if all(has_part(cell, usual) is not False for cell in having):
            return usual
        # the value's name promises a part that the configuration does not have
        tokens = all(float(str(_switch(cell, "messenger.tokens") or 0)) for cell in having)
        return "Msg" if usual == "MsgShifT" and tokens else value


@dataclass(frozen=True)
class Field:
    """A label column.

    Attributes:
        name: as the specification names it.
        head: as printed.
        names: what its values are called.
        check: the value that earns a check mark; none: the value itself is printed.
    """

    name: str
    head: str
    names: Names
    check: str | None = None

    def label(self, cell: CellRows) -> Label:
        """The cell's value as it stands in the table.

        A check mark under the name of a part (MsgShifT, STQI) says that the cell's configuration
        has the part, whatever the value is called.
        """
        value = field_value(cell, self.name)
        printed = self.names.values(self.name)
        unchecked = [other for other in printed if other != self.check]
        if self.check is None or (value != self.check and len(unchecked) > 1):
            blank = self.check is not None and value.lower() in _ABSENT
            return Label(value, check=False) if blank else Label(printed[value])
        has = has_part(cell, self.head)
        return Label(value, check=value == self.check if has is None else has)


def has_part(cell: CellRows, part: str) -> bool | None:
    """Whether the cell's configuration has the part; none: not a part, or not collected."""
    tokens, shift, kind = (
        _switch(cell, name) for name in ("messenger.tokens", "messenger.shift", "head.kind")
    )
    if part == "MsgShifT" and tokens is not None:
        return bool(float(str(tokens))) and shift is not None and bool(shift)
    if part == "STQI" and kind is not None:
        return str(kind).startswith("stqi")
    return None


def field_value(cell: CellRows, name: str) -> str:
    """The cell's value of an axis, a switch or a derived field.

    Raises:
        TableError: there is no such field; lists the axes, derived fields and switches.
    """
    if f"axis.{name}" in cell.rows:
        return show_value(cell.first(f"axis.{name}"))
    if name in DERIVED:
        return cell.name if name == "cell" else (_method if name == "method" else _backbone)(cell)
    if name not in cell.rows or name.partition(".")[0] in {*NAMES, "run", "axis"}:
        raise TableError(f"unknown row field {name!r}; {_valid_fields(cell.rows)}")
    return show_value(cell.first(name))


def axes_of(frame: pd.DataFrame) -> list[str]:
    """Names of the grid's axes, in its order."""
    return [c.removeprefix("axis.") for c in frame.columns if c.startswith("axis.")]


def make_fields(fields: Sequence[str], cells: Sequence[CellRows], spec: TableSpec) -> list[Field]:
    """The label columns; in the components shape, on/off axes become check marks.

    Raises:
        TableError: a field, or a value that is to earn a check mark, does not exist.
    """
    names = Names(tuple(cells), spec.labels)
    checks = {name: _check(name, names, spec) for name in fields}
    heads = distinct({name: _head(name, checks[name], names) for name in fields}, str)
    return [Field(name, heads[name], names, checks[name]) for name in fields]


def _check(name: str, names: Names, spec: TableSpec) -> str | None:
    values = list(names.values(name))
    check = spec.checks.get(name)
    if check is not None and check not in values:
        raise TableError(f"checks: {name} has no value {check!r}; its values: {', '.join(values)}")
    if check is None and spec.shape == "components" and name in names.axes:
        # of two values the one that is not an absence; none where that cannot be told
        present = [value for value in values if value.lower() not in _ABSENT]
        check = present[0] if len(values) == 2 and len(present) == 1 else None
    return check


def _head(name: str, check: str | None, names: Names) -> str:
    if check is None or name in names.labels:
        return names.head(name)
    if check in _PLAINLY_PRESENT and f"{name}={check}" not in _USUAL:
        return names.head(name)
    return names.values(name)[check]


def names_for(cells: Sequence[CellRows], labels: Mapping[str, str]) -> Names:
    """Names for ``cells``, which are those of one grid."""
    numeric = numeric_axes(cells)
    return Names(tuple(cells), labels, numeric[0] if numeric else None)


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


def backbone_label(name: str) -> str:
    """A backbone as papers call it: ``pvt_v2_b1`` is PVTv2-B1."""
    for pattern, text in (
        (r"pvt_v2_b(\d)", r"PVTv2-B\1"),
        (r"resnet(\d+)", r"ResNet-\1"),
        (r"swin_([tsbl])", lambda m: f"Swin-{m[1].upper()}"),
    ):
        if re.fullmatch(pattern, name):
            return re.sub(pattern, text, name)
    return name


def _valid_fields(rows: pd.DataFrame) -> str:
    switches = [c for c in rows.columns if re.match(r"(backbone|messenger|head|data|train)\.", c)]
    return (
        f"axes: {', '.join(axes_of(rows)) or 'none'}; derived: {', '.join(DERIVED)}; "
        f"switches: {', '.join(switches) or 'none collected'}"
    )


def _switch(cell: CellRows, name: str) -> object:
    """A switch's value in the first seed that has one."""
    return next(iter(cell.column(name)), None)


def _method(cell: CellRows) -> str:
    tokens = _switch(cell, "messenger.tokens")
    if tokens is None:
        return cell.name
    parts = []
    if float(str(tokens)):
        parts.append("MsgShifT" if has_part(cell, "MsgShifT") else "Msg")
    mixer = _MIXERS.get(str(_switch(cell, "backbone.temporal")))
    parts += [mixer] if mixer else []
    kind = str(_switch(cell, "head.kind"))
    parts.append(_HEADS.get(kind, kind))
    return f"TeViT ({' + '.join(parts)})"


def _backbone(cell: CellRows) -> str:
    name = _switch(cell, "backbone.name")
    return "" if name is None else backbone_label(str(name))
