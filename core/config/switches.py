"""The list of all switches, made from the config itself: for ``tevit switches`` and the docs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from core.config.overrides import ConfigError, fields, flatten, unknown
from core.config.schema import Config

_BOUNDS = {
    "ge": "≥",
    "minimum": "≥",
    "gt": ">",
    "exclusiveMinimum": ">",
    "le": "≤",
    "maximum": "≤",
    "lt": "<",
    "exclusiveMaximum": "<",
    "multiple_of": "multiple of",
    "multipleOf": "multiple of",
}

_HEAD = """# Switches

Every field of a config, by section; made by `tevit switches --markdown`. On the command line:
`tevit train tiny head.kind=per_frame`. In a file or a grid: `head.kind: per_frame`, or nested,
`head: {kind: per_frame}`. Values are read as YAML 1.2, so `null` is none and `off` is text.
"""


@dataclass(frozen=True)
class Switch:
    """One field.

    Attributes:
        name: dotted, as overrides and grids name it.
        takes: what it takes, in words: choices, kind of value, bounds.
        default: as one writes it on the command line.
        description: what it does.
    """

    name: str
    takes: str
    default: str
    description: str

    @property
    def section(self) -> str:
        """What stands before the last dot."""
        return self.name.rpartition(".")[0]


def switches(part: str = "") -> list[Switch]:
    """Every switch, or those whose name contains ``part``.

    Raises:
        ConfigError: no switch does.
    """
    schema = Config.model_json_schema()
    defaults = flatten(Config().to_dict())
    found = [
        Switch(
            name=name,
            takes=_takes(_lookup(schema, name)),
            default=_written(defaults[name]),
            description=" ".join((info.description or "").split()),
        )
        for name, info in fields().items()
        if part in name
    ]
    if not found:
        raise ConfigError(unknown("switch", part, fields()))
    return found


def switches_markdown() -> str:
    """All switches as the document ``docs/switches.md``."""
    text = _HEAD
    for section, group in groupby(switches(), key=lambda switch: switch.section):
        about = f"\n{_about(section)}\n" if section else ""
        text += f"\n## {section or 'seed'}\n{about}\n"
        text += "| switch | takes | default | what it does |\n|---|---|---|---|\n"
        for switch in group:
            cells = (f"`{switch.name}`", switch.takes, f"`{switch.default}`", switch.description)
            text += f"| {' | '.join(cells)} |\n"
    return text


def _about(section: str) -> str:
    model: Any = Config
    for part in section.split("."):
        model = model.model_fields[part].annotation
    return str(model.__doc__)


def _lookup(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The JSON schema of a dotted field."""
    node = schema
    for part in name.split("."):
        node = node["properties"][part]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _takes(schema: dict[str, Any]) -> str:
    """In words: ``stqi, per_frame``, ``integer ≥ 1``, ``list of 2: integer ≥ 1``."""
    if "anyOf" in schema:
        return ", or ".join(map(_takes, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        items = schema.get("prefixItems", [])
        count = f" of {len(items)}" if items else ""
        kinds = dict.fromkeys(map(_takes, items or [schema["items"]]))
        return f"list{count}: {', '.join(kinds)}"
    words = {"boolean": "true, false", "string": "text"}
    kind = schema.get("type", "any")
    word = "path" if schema.get("format") == "path" else words.get(kind, kind)
    bounds = [f"{sign} {schema[key]:g}" for key, sign in _BOUNDS.items() if key in schema]
    return " ".join([word, ", ".join(bounds)]).strip()
