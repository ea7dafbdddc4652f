"""What names a row: axes, switches, and the words that papers use for a method and a backbone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ablations.table_spec import TableError, TableSpec
from reports.frame.cells import CellRows
from reports.frame.protocol import show_value
from reports.tables.model import Label

_ABSENT = frozenset({"off", "no", "none", "false", "without", "0", "per_frame"})
_PLAINLY_PRESENT = frozenset({"on", "yes", "true", "with"})
_HEADS = {"stqi": "STQI", "per_frame": "per-frame", "stqi_unshared": "STQI, unshared"}
_USUAL = {
    "head": "Head",
    "head.kind": "Head",
    "per_frame": "per-frame",
    "stqi": "STQI",
    "stqi_unshared": "STQI, unshared",
    "messenger=shift": "MsgShifT",
    "messenger=on": "MsgShifT",
    "messenger.tokens": "Messengers",
    "head.queries": "Queries",
    "head.stages": "Stages",
    "data.clip_length": "Clip length",
    "backbone": "Backbone",
    "backbone.name": "Backbone",
}
"""What papers call these, unless the specification says otherwise."""
DERIVED = ("method", "backbone", "cell")


@dataclass(frozen=True)
class Field:
    """A label column.

    Attributes:
        name: as the specification names it.
        head: as printed.
        check: the value that earns a check mark; none: the value itself is printed.
    """

    name: str
    head: str
    check: str | None = None

    def label(self, value: str, labels: Mapping[str, str]) -> Label:
        """``value`` as it stands in the table."""
        if self.check is not None:
            return Label(value, check=value == self.check)
        return Label(value_label(self.name, value, labels))


def value_label(field: str, value: str, labels: Mapping[str, str]) -> str:
    """What is printed for ``field=value``."""
    for names in (labels, _USUAL):
        for key in (f"{field}={value}", value):
            if key in names:
                return names[key]
    return backbone_label(value)


def field_value(cell: CellRows, name: str) -> str:
    """The cell's value of an axis, a switch or a derived field.

    Raises:
        TableError: there is no such field; lists the axes, derived fields and switches.
    """
    if f"axis.{name}" in cell.rows:
        return show_value(cell.rows[f"axis.{name}"].iloc[0])
    if name in DERIVED:
        return {"method": _method, "backbone": _backbone, "cell": _cell}[name](cell)
    if name not in cell.rows or name.partition(".")[0] in {"ap", "flops", "fps", "run", "axis"}:
        raise TableError(f"unknown row field {name!r}; {_valid_fields(cell.rows)}")
    return show_value(cell.rows[name].iloc[0])


def axes_of(frame: pd.DataFrame) -> list[str]:
    """Names of the grid's axes, in its order."""
    return [c.removeprefix("axis.") for c in frame.columns if c.startswith("axis.")]


def make_field(name: str, cells: Sequence[CellRows], spec: TableSpec) -> Field:
    """The label column for ``name``; in the components shape, on/off axes become check marks."""
    values = list(dict.fromkeys(field_value(cell, name) for cell in cells))
    check = spec.checks.get(name)
    if check is not None and check not in values:
        raise TableError(f"checks: {name} has no value {check!r}; its values: {', '.join(values)}")
    if check is None and spec.shape == "components" and name in axes_of(cells[0].rows):
        check = _check_value(values)
    return Field(name, _head(name, check, spec), check)


def _head(name: str, check: str | None, spec: TableSpec) -> str:
    said = name in spec.labels or check is None
    if not said and (check not in _PLAINLY_PRESENT or f"{name}={check}" in _USUAL):
        return value_label(name, str(check), spec.labels)
    return field_head(name, spec.labels)


def field_head(name: str, labels: Mapping[str, str]) -> str:
    """What is printed for an axis or a switch itself."""
    usual = _USUAL.get(name) or (name.capitalize() if name in DERIVED else name)
    return labels.get(name, usual)


def _check_value(values: Sequence[str]) -> str | None:
    """Of two values, the one that is not an absence; none where that cannot be told."""
    present = [value for value in values if value.lower() not in _ABSENT]
    return present[0] if len(values) == 2 and len(present) == 1 else None


def _valid_fields(rows: pd.DataFrame) -> str:
    switches = [c for c in rows.columns if re.match(r"(backbone|messenger|head|data|train)\.", c)]
    return (
        f"axes: {', '.join(axes_of(rows)) or 'none'}; derived: {', '.join(DERIVED)}; "
        f"switches: {', '.join(switches) or 'none collected'}"
    )


def _switch(cell: CellRows, name: str) -> object:
    """A switch's value in the first seed that has one."""
    return next(iter(cell.column(name)), None)


def _cell(cell: CellRows) -> str:
    return cell.name


def _method(cell: CellRows) -> str:
    tokens = _switch(cell, "messenger.tokens")
    if tokens is None:
        return cell.name
    parts = []
    if float(str(tokens)):
        parts.append("MsgShifT" if _switch(cell, "messenger.shift") else "Msg")
    kind = str(_switch(cell, "head.kind"))
    parts.append(_HEADS.get(kind, kind))
    return f"TeViT ({' + '.join(parts)})"


def _backbone(cell: CellRows) -> str:
    name = _switch(cell, "backbone.name")
    return "" if name is None else backbone_label(str(name))


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
