"""From a grid as written to what its cells are made of: base, axes, groups, exclusions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ablations.axes import (
    PATHS,
    Axis,
    AxisValue,
    absolute,
    label_text,
    missing_file,
    read_axis,
    settable,
)
from ablations.cell import Measurement
from ablations.faults import Fault
from ablations.grid_file import GridSpec, ScaleSpec, Seeds, error_text
from core.config.load import load_config
from core.config.overrides import field_faults, set_field, unknown
from core.config.schema import Config
from core.config.strict import root_faults
from core.errors import UserError


@dataclass(frozen=True)
class Exclusion:
    """Combinations left out: position of an axis to the positions of its excluded values."""

    origin: str
    positions: Mapping[int, frozenset[int]]


@dataclass(frozen=True)
class Plan:
    """What the cells are made of.

    Attributes:
        tree: nested values of the base with the overrides applied.
        origins: field to where it was overridden, such as ``overrides.head.queries``.
        axes: in the order of the file.
        groups: positions of axes that advance together; the groups are crossed.
    """

    tree: Mapping[str, Any]
    origins: Mapping[str, str]
    axes: tuple[Axis, ...]
    groups: tuple[tuple[int, ...], ...]
    exclusions: tuple[Exclusion, ...]
    seeds: tuple[int, ...]
    measure: tuple[Measurement, ...]
    table: Any
    table_origin: str

    @property
    def usable(self) -> bool:
        """Whether every value of every axis is without fault."""
        return all(value.usable for axis in self.axes for value in axis.values)


def make_plan(
    spec: GridSpec,
    *,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | int | None = None,
    folder: Path | None = None,
) -> tuple[Plan | None, list[Fault]]:
    """Everything but the cells.

    Args:
        folder: where a base that is a config file is looked for.

    Returns:
        The plan and every fault found. Values at fault are marked unusable in the plan; there is
        no plan where the combinations cannot be formed.
    """
    faults: list[Fault] = []
    size, prefix = _scale(spec, scale, faults)
    base = f"{prefix}base" if size.base else "base"
    tree = _base(size.base or spec.base, base, folder, faults)
    origins = _apply(tree, "overrides", spec.overrides, faults)
    origins |= _apply(tree, f"{prefix}overrides", size.overrides, faults)
    origins |= _apply(tree, "override", overrides or {}, faults)
    faults += _settle_paths(tree, origins, base)
    axes, value_faults = _axes(spec, size, prefix, tree, faults)
    _refuse_dead_overrides(origins, axes, faults)
    zipped = "zip" if size.zip is None else f"{prefix}zip"
    excluded = "exclude" if size.exclude is None else f"{prefix}exclude"
    plan = Plan(
        tree=tree,
        origins=origins,
        axes=axes,
        groups=_groups(axes, spec.zip if size.zip is None else size.zip, zipped, faults),
        exclusions=_exclusions(
            axes, spec.exclude if size.exclude is None else size.exclude, excluded, faults
        ),
        seeds=_seeds(seeds, faults) or size.seeds or spec.seeds,
        measure=size.measure or spec.measure,
        table=spec.table if size.table is None else size.table,
        table_origin="table" if size.table is None else f"{prefix}table",
    )
    return (None if faults else plan), faults + value_faults


def _scale(spec: GridSpec, scale: str | None, faults: list[Fault]) -> tuple[ScaleSpec, str]:
    """What the scale changes, and the prefix of its keys in messages."""
    if scale is None:
        return ScaleSpec(), ""
    if scale not in spec.scales:
        valid = spec.scales or ["(none: the grid has no scales)"]
        faults.append(Fault("scales", unknown("scale", scale, valid)))
        return ScaleSpec(), ""
    return spec.scales[scale], f"scales.{scale}."


def _seeds(given: Sequence[int] | int | None, faults: list[Fault]) -> tuple[int, ...]:
    """Seeds asked for besides the file's; empty: none were."""
    if given is None:
        return ()
    try:
        return TypeAdapter[tuple[int, ...]](Seeds).validate_python(given)
    except ValidationError as error:
        faults += [Fault("seeds", error_text(item)) for item in root_faults(error)]
        return ()


def _base(name: str, origin: str, folder: Path | None, faults: list[Fault]) -> dict[str, Any]:
    try:
        return load_config(name, folder=folder).to_dict()
    except UserError as error:
        faults.append(Fault(origin, str(error)))
        return Config().to_dict()


def _apply(
    tree: dict[str, Any], origin: str, values: Mapping[str, Any], faults: list[Fault]
) -> dict[str, str]:
    """Put the overrides that are valid by themselves into ``tree``; field to origin of each."""
    flat, wrong = settable(origin, values)
    faults += wrong
    origins = {}
    for name, value in flat.items():
        origins[name] = f"{origin}.{name}"
        if message := _value_fault(tree, name, value):
            faults.append(Fault(origins[name], message))
        else:
            set_field(tree, name, value)
    return origins


def _value_fault(tree: Mapping[str, Any], name: str, value: Any) -> str | None:
    """What is wrong with ``value`` for the field, whatever the other fields are."""
    try:
        Config.model_validate(with_fields(tree, {name: value}))
    except ValidationError as error:
        own = [message for field, message in field_faults(error) if field == name]
        if own:
            return "\n".join(dict.fromkeys(own))
    return None


def _settle_paths(tree: dict[str, Any], origins: Mapping[str, str], base: str) -> Iterator[Fault]:
    """Make the tree's paths absolute; what is not there is a fault."""
    for name in PATHS:
        section, field = name.split(".")
        value = tree[section][field]
        tree[section][field] = absolute(name, value)
        if message := missing_file(name, value):
            yield Fault(origins.get(name, base), message)


def with_fields(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the nested ``tree`` with the dotted fields replaced (leaves are shared)."""
    copy = _copy(tree)
    for name, value in values.items():
        set_field(copy, name, value)
    return copy


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(v) if isinstance(v, dict) else v for key, v in tree.items()}


def _axes(
    spec: GridSpec, size: ScaleSpec, prefix: str, tree: Mapping[str, Any], faults: list[Fault]
) -> tuple[tuple[Axis, ...], list[Fault]]:
    """The axes with the scale's values in place, and what is wrong with single values."""
    for name in size.axes:
        if name not in spec.axes:
            message = unknown("axis", name, spec.axes) + ". A scale replaces values of axes"
            faults.append(Fault(f"{prefix}axes.{name}", message))
    axes: list[Axis] = []
    value_faults: list[Fault] = []
    for name in spec.axes:
        origin = f"{prefix if name in size.axes else ''}axes.{name}"
        axis, wrong = read_axis(name, origin, size.axes.get(name, spec.axes[name]))
        values = tuple(_checked(tree, value, wrong) for value in axis.values)
        value_faults += wrong
        axes.append(replace(axis, values=values))
    return tuple(axes), value_faults


def _checked(tree: Mapping[str, Any], value: AxisValue, faults: list[Fault]) -> AxisValue:
    messages = [
        message
        for name, v in value.sets.items()
        if (message := _value_fault(tree, name, v) or missing_file(name, v))
    ]
    faults += [Fault(value.origin, message) for message in messages]
    sets = {name: absolute(name, v) for name, v in value.sets.items()}
    return replace(value, sets=sets, usable=value.usable and not messages)


def _refuse_dead_overrides(
    origins: Mapping[str, str], axes: tuple[Axis, ...], faults: list[Fault]
) -> None:
    for name, origin in origins.items():
        for axis in axes:
            usable = [value for value in axis.values if value.usable]
            if usable and all(name in value.sets for value in usable):
                message = f"has no effect: every value of {axis.origin} sets {name}"
                faults.append(Fault(origin, message))


def _groups(
    axes: tuple[Axis, ...], zipped: list[list[str]], origin: str, faults: list[Fault]
) -> tuple[tuple[int, ...], ...]:
    """Positions of the axes that advance together; an axis that is not zipped stands alone."""
    names = [axis.name for axis in axes]
    partners: dict[int, tuple[int, ...]] = {}
    for k, group in enumerate(zipped):
        before = len(faults)
        for name in group:
            if name not in names:
                faults.append(Fault(f"{origin}[{k}]", unknown("axis", name, names)))
            elif names.index(name) in partners or group.count(name) > 1:
                faults.append(Fault(f"{origin}[{k}]", f"axis {name} is zipped twice"))
        if len(faults) > before:
            continue
        positions = tuple(sorted(names.index(name) for name in group))
        sizes = {axes[p].name: len(axes[p].values) for p in positions}
        readable = all(any(v.usable for v in axes[p].values) for p in positions)
        if readable and len(set(sizes.values())) > 1:
            text = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            message = f"zipped axes need equally many values: {text}"
            faults.append(Fault(f"{origin}[{k}]", message))
        partners |= dict.fromkeys(positions, positions)
    groups = [partners.get(p, (p,)) for p in range(len(axes))]
    return tuple(dict.fromkeys(groups))


def _exclusions(
    axes: tuple[Axis, ...], rules: list[dict[str, Any]], origin: str, faults: list[Fault]
) -> tuple[Exclusion, ...]:
    names = [axis.name for axis in axes]
    exclusions = []
    for k, rule in enumerate(rules):
        positions: dict[int, frozenset[int]] = {}
        for name, wanted in rule.items():
            where = f"{origin}[{k}].{name}"
            if name not in names:
                faults.append(Fault(f"{origin}[{k}]", unknown("axis", name, names)))
                continue
            axis = axes[names.index(name)]
            positions[names.index(name)] = _positions(axis, wanted, where, faults)
        exclusions.append(Exclusion(f"{origin}[{k}]", positions))
    return tuple(exclusions)


def _positions(axis: Axis, wanted: Any, origin: str, faults: list[Fault]) -> frozenset[int]:
    """Positions of the labels ``wanted``: one, or a list of them."""
    labels = axis.labels
    found = set()
    # a value that is itself a list, such as shift steps, is written as its label or as the value
    choices = [wanted] if label_text(wanted) in labels or not isinstance(wanted, list) else wanted
    for choice in map(label_text, choices):
        if choice in labels:
            found.add(labels.index(choice))
        elif all(value.usable for value in axis.values):
            faults.append(Fault(origin, unknown("label", choice, labels)))
    return frozenset(found)
