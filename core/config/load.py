"""A config by any of its names: a preset, a file that a user wrote, a run that was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.config.overrides import (
    ConfigError,
    config_from_dict,
    flatten,
    override,
    parse_assignments,
    unknown,
)
from core.config.presets import PRESETS, preset
from core.config.schema import Config
from core.config.yaml_file import read_yaml
from core.files import kind_of, read_json

_DEFAULT = "tevit_msgshift"


def load_config(
    name: str | Path,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    *,
    folder: Path | None = None,
) -> Config:
    """The config that ``name`` stands for, with ``overrides`` applied.

    Args:
        name: a preset; a YAML file with a key ``preset`` (default: the published model) and
            fields to replace, nested or dotted; a run folder; or a run's ``config.json``.
        overrides: ``field=value`` items, or a mapping of dotted fields to values.
        folder: where a relative path is looked for first.

    Raises:
        ConfigError: naming the file, each field at fault and the valid names or choices.
        UserError: the file cannot be read, or is not YAML (a record: not JSON).
    """
    values = overrides if isinstance(overrides, Mapping) else parse_assignments(overrides)
    if str(name) in PRESETS:
        return preset(str(name), values)
    path = _find(name, folder)
    config = _read(path)
    return override(config, values) if values else config


def _find(name: str | Path, folder: Path | None) -> Path:
    given = Path(name).expanduser()
    for path in (folder / given if folder else given, given):
        for file in (path / "config.json", path):
            if kind_of(file) == "file":
                return file
    if kind_of(given):
        raise ConfigError(f"{given}: a folder without config.json is not a run")
    if "=" in given.name:
        raise ConfigError(f"{given}: a preset, a file or a run folder comes before the fields")
    if given.suffix or len(given.parts) > 1:
        raise ConfigError(f"{given}: no such file")
    raise ConfigError(f"{unknown('preset', str(name), PRESETS)}; or give a file or a run folder")


def _read(path: Path) -> Config:
    recorded = path.suffix == ".json"
    data = read_json(path) if recorded else read_yaml(path)
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: expected fields and values, not {data!r:.80}")
    try:
        if recorded:
            return config_from_dict(_recorded(data))
        values = dict(data)
        base = values.pop("preset", _DEFAULT)
        return preset(str(base), flatten(values))
    except ConfigError as error:
        raise ConfigError(
            "\n".join(f"{path}: {line}" for line in str(error).split("\n"))
        ) from error


def _recorded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config in a run's record, or the record itself where it is nothing else."""
    inner = data.get("config", data)
    if not isinstance(inner, Mapping):
        raise ConfigError(f"config={inner!r:.80}: expected fields and values")
    return inner
