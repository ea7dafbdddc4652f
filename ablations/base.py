"""What a grid's configs are made of before any axis: a preset or file, with overrides put on.

Paths are made absolute, and what is not there is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ablations.axes import MIX, PATHS, AxisValue, absolute, missing_file, settable
from ablations.grid_file import Faults, GridFault
from ablations.signature import SECTIONS
from core.config.load import load_config
from core.config.overrides import field_faults, field_names, set_field
from core.config.schema import Config
from core.errors import UserError

Combination = tuple[AxisValue, ...]
"""A value of each axis."""

_TYPES = {name: type(getattr(Config(), name)) for name in SECTIONS}


class Base:
    """What a config is made of before any axis.

    Attributes:
        tree: nested values of a preset or file with the overrides applied.
        origins: field to where it was overridden, such as ``overrides.head.queries``.
    """

    def __init__(self, tree: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        self.tree, self.origins = tree, origins
        self._sections: dict[tuple[str, str], Any] = {}

    def sections(self, sets: Mapping[str, Any]) -> dict[str, Any]:
        """The tree's sections with the dotted fields in ``sets`` replaced, validated.

        Cells that agree in a section share it.

        Raises:
            ValidationError: a section breaks a rule.
        """
        by_section: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
        for name, value in sets.items():
            by_section[name.partition(".")[0]][name] = value
        return {name: self._section(name, values) for name, values in by_section.items()}

    def _section(self, name: str, values: Mapping[str, Any]) -> Any:
        key = (name, repr(sorted(values.items())))
        if key not in self._sections:
            tree = with_fields({name: self.tree[name]}, values)
            self._sections[key] = _TYPES[name].model_validate(tree[name])
        return self._sections[key]

    def broken_rules(
        self, combination: Combination, sets: Mapping[str, Any], what: str
    ) -> Iterator[GridFault]:
        """Rules between fields, named after the axis values and overrides that take part."""
        try:
            Config.model_validate(with_fields(self.tree, sets))
        except ValidationError as error:
            for _, message in field_faults(error):
                named = set(re.findall(r"[a-z_]+(?:\.[a-z_]+)+", message)) & set(field_names())
                yield GridFault(self.origins_of(combination, named) or what, message)

    def origins_of(self, combination: Combination, fields: set[str]) -> str:
        """Where fields get their values: axis values, overrides; empty if from the base."""
        origins = [value.origin for value in combination if fields & value.sets.keys()]
        origins += [origin for field, origin in self.origins.items() if field in fields]
        return " with ".join(dict.fromkeys(origins))


def load_tree(name: str, origin: str, folder: Path | None, faults: Faults) -> dict[str, Any]:
    """The values of a preset or config file, the defaults where it is at fault."""
    try:
        return load_config(name, folder=folder).to_dict()
    except UserError as error:
        faults.add(origin, str(error))
        return Config().to_dict()


def overridden(
    tree: dict[str, Any], base: str, layers: Sequence[tuple[str, Mapping[str, Any]]], faults: Faults
) -> Base:
    """The tree with the overrides put on that are valid by themselves, its paths absolute.

    Args:
        base: where the tree is named.
        layers: overrides by where they stand, the later above the earlier.
    """
    origins: dict[str, str] = {}
    for origin, values in layers:
        for name, value in settable(origin, values, faults).items():
            origins[name] = f"{origin}.{name}"
            if message := value_fault(tree, name, value):
                faults.add(origins[name], message)
            else:
                set_field(tree, name, value)
    for name in (*PATHS, MIX):
        section, field = name.split(".")
        value = tree[section][field]
        tree[section][field] = absolute(name, value)
        if message := missing_file(name, value):
            faults.absent.append(GridFault(origins.get(name, base), message))
    return Base(tree, origins)


def value_fault(tree: Mapping[str, Any], name: str, value: Any) -> str | None:
    """What is wrong with ``value`` for the field, whatever the other fields are."""
    try:
        Config.model_validate(with_fields(tree, {name: value}))
    except ValidationError as error:
        own = [message for field, message in field_faults(error) if field == name]
        if own:
            return "\n".join(dict.fromkeys(own))
    return None


def with_fields(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the nested ``tree`` with the dotted fields replaced (leaves are shared)."""
    copy = _copy(tree)
    for name, value in values.items():
        set_field(copy, name, value)
    return copy


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(v) if isinstance(v, dict) else v for key, v in tree.items()}
