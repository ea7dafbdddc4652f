"""Switching fields of a config by name: ``head.kind=per_frame messenger.tokens=16``."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from core.config import Config
from core.errors import UserError


class ConfigError(UserError, ValueError):
    """A field that does not exist, or a value that it does not take."""


def field_names(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Dotted names of every leaf field, in the order of their definition."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += field_names(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


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
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: {text!r} is not a YAML value: {error}") from error
    return values


def override(config: Config, values: Mapping[str, Any]) -> Config:
    """``config`` with the named fields replaced, validated as a whole.

    Args:
        values: dotted field name to value, such as ``{"head.kind": "per_frame"}``.

    Raises:
        ConfigError: naming each field at fault and the valid names or choices.
    """
    return config_from_dict(_merged(config.to_dict(), values))


def config_from_dict(data: Mapping[str, Any]) -> Config:
    """A config of nested plain values (as :meth:`Config.to_dict` gives).

    Raises:
        ConfigError: naming each field at fault and the valid names or choices.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error)) from error


def _merged(tree: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    tree = copy.deepcopy(tree)
    valid = field_names()
    for name, value in values.items():
        if name not in valid:
            raise ConfigError(_unknown(name, valid))
        *sections, leaf = name.split(".")
        node = tree
        for section in sections:
            node = node[section]
        node[leaf] = value
    return tree


def _unknown(name: str, valid: list[str]) -> str:
    section = name.rpartition(".")[0]
    siblings = [v for v in valid if v.rpartition(".")[0] == section] if section else []
    close = difflib.get_close_matches(name, valid, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown field {name}{hint}; valid fields: {', '.join(siblings or valid)}"


def explain(error: ValidationError) -> str:
    """One line a fault: field, value, what is valid."""
    lines: list[str] = []
    valid = field_names()
    for fault in error.errors():
        path = [str(part) for part in fault["loc"]]
        # pydantic appends the members of a union and list indices; the field is the known prefix
        name = next(
            (n for k in range(len(path), 0, -1) if (n := ".".join(path[:k])) in valid),
            ".".join(path),
        )
        if fault["type"] == "extra_forbidden":
            line = _unknown(name, valid)
        elif not path or fault["type"] == "value_error":
            line = str(fault["msg"]).removeprefix("Value error, ")
        else:
            line = f"{name}={fault['input']!r}: {fault['msg']}"
        if line not in lines:
            lines.append(line)
    return "\n".join(lines)
