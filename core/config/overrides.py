"""Switching fields of a config by name: ``head.kind=per_frame messenger.tokens=16``."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from core.config.schema import Config
from core.config.strict import fault_text, root_faults
from core.config.yaml_file import YamlError, parse_yaml
from core.errors import UserError


class ConfigError(UserError, ValueError):
    """A field that does not exist, or a value that it does not take."""


@functools.cache
def fields() -> dict[str, FieldInfo]:
    """Dotted name to definition of every leaf field, in the order of their definition."""
    return dict(_walk(Config, ""))


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _walk(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def field_names() -> list[str]:
    """Dotted names of every leaf field, in the order of their definition."""
    return list(fields())


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """``["head.kind=per_frame", ...]`` as a mapping; values are read as YAML.

    Raises:
        ConfigError: an item without ``=``, a name given twice, a value that is not YAML.
    """
    values: dict[str, Any] = {}
    for item in assignments:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise ConfigError(f"{item!r}: expected field=value, such as head.kind=per_frame")
        if name in values:
            raise ConfigError(f"{name} is given twice")
        try:
            values[name] = parse_yaml(text, f"{name}={text}")
        except YamlError as error:
            raise ConfigError(str(error)) from error
    return values


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested and dotted names, mixed as one likes, as dotted names alone.

    Raises:
        ConfigError: a field that is given in both forms, a name that is not text.

    Example:
        >>> flatten({"head": {"kind": "stqi"}, "messenger.tokens": 8})
        {'head.kind': 'stqi', 'messenger.tokens': 8}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise ConfigError(f"{prefix}{key!r}: field names are text")
        name = prefix + key
        found = flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
        for twice in sorted(flat.keys() & found.keys()):
            raise ConfigError(f"{twice} is given twice")
        flat |= found
    return flat


def override(config: Config, values: Mapping[str, Any]) -> Config:
    """``config`` with the named fields replaced, validated as a whole.

    Args:
        values: dotted field name to value, such as ``{"head.kind": "per_frame"}``.

    Raises:
        ConfigError: naming each field at fault and the valid names or choices.
    """
    if wrong := [name for name in values if name not in fields()]:
        raise ConfigError("\n".join(map(unknown_field, wrong)))
    tree = config.to_dict()
    for name, value in values.items():
        set_field(tree, name, value)
    return config_from_dict(tree)


def config_from_dict(data: Mapping[str, Any]) -> Config:
    """A config of nested plain values (as :meth:`Config.to_dict` gives).

    Raises:
        ConfigError: naming each field at fault and the valid names or choices.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error)) from error


def set_field(tree: dict[str, Any], name: str, value: Any) -> None:
    """Put ``value`` in the place of the dotted ``name`` in a nested tree (in place)."""
    *sections, leaf = name.split(".")
    for section in sections:
        tree = tree[section]
    tree[leaf] = value


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """``unknown KIND NAME (did you mean ...?); valid ...``, for every name that a user types."""
    valid = list(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    kinds = {"axis": "axes", "switch": "switches"}.get(kind, f"{kind}s")
    return f"unknown {kind} {name}{hint}; valid {kinds}: {', '.join(valid)}"


def unknown_field(name: str) -> str:
    """:func:`unknown` for a field; lists the fields of its section where there is such a one."""
    valid = field_names()
    section, dot, _ = name.rpartition(".")
    siblings = [v for v in valid if v.startswith(section + dot)] if dot else []
    close = difflib.get_close_matches(name, valid, n=1)
    return unknown("field", name, siblings + [c for c in close if c not in siblings] or valid)


def explain(error: ValidationError) -> str:
    """One line a fault: field, value, what is valid."""
    return "\n".join(dict.fromkeys(message for _, message in field_faults(error)))


def field_faults(error: ValidationError) -> list[tuple[str, str]]:
    """Each fault as (dotted field or section, message that names field, value and what is valid).

    The field is empty, or a section, where a rule between fields is broken; the message then
    names the fields.
    """
    found: list[tuple[str, str]] = []
    for fault in root_faults(error):
        path = [str(part) for part in fault["loc"]]
        # pydantic appends the members of a union and list indices; the field is the known prefix
        name = next(
            (n for k in range(len(path), 0, -1) if (n := ".".join(path[:k])) in fields()),
            ".".join(path),
        )
        items = "".join(f"[{part}]" for part in fault["loc"] if isinstance(part, int))
        between_fields = fault["type"] == "value_error" and name not in fields()
        place = "" if between_fields else f"{name or 'config'}{items}"
        found.append((name, fault_text(fault, unknown_field(name), place)))
    return found
