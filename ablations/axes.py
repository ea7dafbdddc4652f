"""The axes of a grid: labelled values, and the fields that each of them sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.grid_file import AT_FAULT, Faults
from core.config.overrides import fields, flatten, unknown_field
from core.errors import UserError
from core.files import kind_of

_KEYS = {"label", "set", "value"}
PATHS = ("backbone.pretrained", "data.root", "data.split_file", "train.init")
MIX = "data.mix"


@dataclass(frozen=True)
class AxisValue:
    """One value of an axis.

    Attributes:
        label: its name in exclusions, cells and tables.
        sets: dotted field to value.
        origin: where it stands in the grid, such as ``axes.head.kind[1]``.
        usable: false for a value at fault, which is kept so that the others can be checked.
    """

    label: str
    sets: Mapping[str, Any]
    origin: str
    usable: bool = True


@dataclass(frozen=True)
class Axis:
    """A named axis: its values in the order of the file."""

    name: str
    origin: str
    values: tuple[AxisValue, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the file."""
        return tuple(value.label for value in self.values)

    @property
    def usable(self) -> bool:
        """Whether every value is without fault."""
        return all(value.usable for value in self.values)


def label_text(value: Any) -> str:
    """How a plain value is labelled: ``none``, ``true``, ``0.5``, ``1,-1``, ``[1],[2]``, text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple) for item in value)
        return ",".join(f"[{label_text(v)}]" if nested else label_text(v) for v in value)
    return str(value)


def read_axis(name: str, origin: str, values: list[Any], faults: Faults) -> Axis:
    """The axis ``name`` from the values of the file; malformed ones are added to ``faults``.

    A plain value is put into the field that the axis is named after; a mapping has a ``label``
    and either ``set`` (fields to values) or ``value`` (for the field of the axis's name).
    """
    found: dict[str, AxisValue] = {}
    for k, raw in enumerate(values):
        where = f"{origin}[{k}]"
        if raw is AT_FAULT:
            return Axis(name, origin, (AxisValue("", {}, where, usable=False),))
        try:
            value = _read_value(name, where, raw)
            if value.label in found:
                raise UserError(f"the label {value.label!r} is used twice; labels name the cells")
        except UserError as error:
            faults.add(where, str(error))
            value = AxisValue(f"{_label(raw)} (at fault: {k})", {}, where, usable=False)
        found[value.label] = value
    return Axis(name, origin, tuple(found.values()))


def _label(raw: Any) -> str:
    return label_text(raw.get("label") if isinstance(raw, Mapping) else raw)


def _read_value(axis: str, where: str, raw: Any) -> AxisValue:
    if not isinstance(raw, Mapping):
        _check_axis_is_field(axis)
        return AxisValue(label_text(raw), {axis: raw}, where)
    if extra := [str(key) for key in raw if key not in _KEYS]:
        raise UserError(
            f"unknown key {', '.join(extra)}; a value with a label is written "
            "{label: TEXT, set: {FIELD: VALUE, ...}} or {label: TEXT, value: VALUE}"
        )
    if ("set" in raw) == ("value" in raw):
        raise UserError("expected one of set and value beside label")
    if "value" in raw:
        _check_axis_is_field(axis)
        label = raw.get("label", raw["value"])
        return AxisValue(label_text(label), {axis: raw["value"]}, where)
    if raw.get("label") is None:
        raise UserError("label is missing: {label: TEXT, set: {...}} needs a name for tables")
    if not isinstance(raw["set"], Mapping):
        raise UserError(f"set={raw['set']!r}: expected a mapping of fields to values")
    return AxisValue(label_text(raw["label"]), _settable(flatten(raw["set"])), where)


def _check_axis_is_field(axis: str) -> None:
    if axis == "seed":
        raise UserError("seeds are not an axis; use the key seeds, so that reports average them")
    if axis not in fields():
        raise UserError(
            f"{unknown_field(axis)}. An axis of another name takes values of the form "
            "{label: TEXT, set: {FIELD: VALUE, ...}}"
        )


def _settable(values: dict[str, Any]) -> dict[str, Any]:
    if "seed" in values:
        raise UserError("seed cannot be set here; use the key seeds, so that reports average them")
    if wrong := [name for name in values if name not in fields()]:
        raise UserError("\n".join(map(unknown_field, wrong)))
    return values


def settable(origin: str, values: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """Overrides by dotted name; unknown fields and ``seed`` are added to ``faults``."""
    try:
        flat = flatten(values)
    except UserError as error:
        faults.add(origin, str(error))
        return {}
    good: dict[str, Any] = {}
    for name, value in flat.items():
        try:
            good |= _settable({name: value})
        except UserError as error:
            faults.add(f"{origin}.{name}", str(error))
    return good


def absolute(name: str, value: Any) -> Any:
    """The value; where ``name`` is a path, made absolute, as jobs may start in another folder.

    Of ``data.mix`` it is the path of each pair; a value that is no such list stays what it is.
    """
    if name == MIX and isinstance(value, list | tuple):
        return [_absolute_pair(pair) for pair in value]
    if name not in PATHS or not isinstance(value, str) or _generated(name, value):
        return value
    return str(Path(value).expanduser().absolute())


def _absolute_pair(pair: Any) -> Any:
    match pair:
        case [str(path), share]:
            return [absolute("data.root", path), share]
    return pair


def _generated(name: str, value: Any) -> bool:
    return (name, value) == ("data.root", "synthetic")


def missing_file(name: str, value: Any) -> str | None:
    """A message where field ``name`` points to a file or folder that is not there."""
    if name not in PATHS or not isinstance(value, str) or _generated(name, value):
        return None
    found = kind_of(Path(value).expanduser())
    if name == "data.root":
        hint = " (nor is it 'synthetic')"
        return None if found else f"{name}={value!r}: no such folder{hint}"
    return None if found == "file" else f"{name}={value!r}: no such file"


def name_piece(axis: str, label: str) -> str:
    """The part of a cell's name for one axis: words alone, numbers with the field's name."""
    text = re.sub(r"[^A-Za-z0-9._+:=-]+", "-", label.strip().replace(",", ":")) or "empty"
    if re.match(r"^[A-Za-z_]", text) and text not in ("true", "false", "none", "empty"):
        return text
    return f"{axis.rpartition('.')[2]}={text}"
