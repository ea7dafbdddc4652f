"""From a plan to its cells: combined, excluded, validated one by one, named."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ablations.axes import AxisValue, name_piece
from ablations.cell import Cell
from ablations.expand import Plan, with_fields
from ablations.faults import Fault
from ablations.fingerprint import dataset_fault
from ablations.signature import SECTIONS
from core.config.overrides import field_faults, field_names
from core.config.schema import Config, DataConfig

LIMIT = 100_000
"""Cells a grid: beyond it a forgotten zip is likelier than a purpose."""

_TYPES = {name: type(getattr(Config(), name)) for name in SECTIONS}
Combination = tuple[AxisValue, ...]


def resolve(plan: Plan) -> tuple[tuple[Cell, ...], list[Fault]]:
    """Every cell of the plan, validated in full, and every fault on the way."""
    sizes = [len(plan.axes[group[0]].values) for group in plan.groups]
    count = math.prod(sizes) * len(plan.seeds)
    if count > LIMIT:
        message = f"{count} cells are more than a grid may have ({LIMIT}); zip axes or split it"
        return (), [Fault("axes", message)]
    combinations, faults = _combinations(plan)
    cells: list[Cell] = []
    sections = Sections(plan.tree)
    datasets: set[DataConfig] = set()
    for combination in combinations:
        if all(value.usable for value in combination):
            found = _cells(plan, sections, combination, faults)
            faults += _dataset_faults(plan, combination, found, datasets)
            cells += found
    faults += _same_names(cells)
    if not combinations:
        faults.append(Fault("exclude", "every combination is excluded; nothing is left to run"))
    return tuple(cells), faults


def _combinations(plan: Plan) -> tuple[list[Combination], list[Fault]]:
    """The combinations that no exclusion takes out; exclusions that take out none are faults."""
    taken = dict.fromkeys((rule.origin for rule in plan.exclusions), 0)
    kept = []
    for indices in _indices(plan):
        matched = [
            rule.origin
            for rule in plan.exclusions
            if all(indices[axis] in wanted for axis, wanted in rule.positions.items())
        ]
        for origin in matched:
            taken[origin] += 1
        if not matched:
            kept.append(tuple(a.values[i] for a, i in zip(plan.axes, indices, strict=True)))
    message = "matches no combination; what it names never occurs together"
    unused = [origin for origin, count in taken.items() if not count and plan.usable]
    return kept, [Fault(origin, message) for origin in unused]


def _indices(plan: Plan) -> Iterator[tuple[int, ...]]:
    """Position of each axis's value, the last group of axes fastest."""
    sizes = [range(len(plan.axes[group[0]].values)) for group in plan.groups]
    group_of = {axis: g for g, group in enumerate(plan.groups) for axis in group}
    for chosen in itertools.product(*sizes):
        yield tuple(chosen[group_of[axis]] for axis in range(len(plan.axes)))


def _cells(
    plan: Plan, sections: Sections, combination: Combination, faults: list[Fault]
) -> list[Cell]:
    """The combination with every seed; its faults are appended."""
    labels = {a.name: v.label for a, v in zip(plan.axes, combination, strict=True)}
    stem = ",".join(name_piece(axis, label) for axis, label in labels.items())
    sets, clashes = _sets(combination)
    faults += clashes
    try:
        common = sections.of(sets)
        configs = [Config.model_validate({**common, "seed": seed}) for seed in plan.seeds]
    except ValidationError:
        faults += _explain(plan, combination, stem)
        return []
    names = [f"{stem},s{seed}" if stem else f"s{seed}" for seed in plan.seeds]
    return [
        Cell(name, config, labels, plan.measure)
        for name, config in zip(names, configs, strict=True)
    ]


class Sections:
    """Validated sections, so that cells that agree in one share it instead of repeating it."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree
        self._known: dict[tuple[str, str], Any] = {}

    def of(self, sets: Mapping[str, Any]) -> dict[str, Any]:
        """The tree's top-level values with the dotted fields in ``sets`` replaced.

        Raises:
            ValidationError: a section breaks a rule.
        """
        by_section: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
        for name, value in sets.items():
            by_section[name.partition(".")[0]][name] = value
        return {name: self._section(name, values) for name, values in by_section.items()}

    def _section(self, name: str, values: Mapping[str, Any]) -> Any:
        key = (name, repr(sorted(values.items())))
        if key not in self._known:
            tree = with_fields({name: self._tree[name]}, values)
            self._known[key] = _TYPES[name].model_validate(tree[name])
        return self._known[key]


def _sets(combination: Combination) -> tuple[dict[str, Any], list[Fault]]:
    """The fields that the values set; two that disagree about one are a fault."""
    sets: dict[str, Any] = {}
    faults = []
    for value in combination:
        for name in sets.keys() & value.sets.keys():
            other = next(v for v in combination if name in v.sets)
            if sets[name] != value.sets[name]:
                message = f"{name}={value.sets[name]!r}, but {other.origin} sets {sets[name]!r}"
                faults.append(Fault(value.origin, message))
        sets |= value.sets
    return sets, faults


def _explain(plan: Plan, combination: Combination, cell: str) -> Iterator[Fault]:
    """Rules between fields are named after the axis values and overrides that take part."""
    try:
        Config.model_validate(with_fields(plan.tree, _sets(combination)[0]))
    except ValidationError as error:
        for _, message in field_faults(error):
            named = set(re.findall(r"[a-z_]+(?:\.[a-z_]+)+", message)) & set(field_names())
            yield Fault(_origins(plan, combination, named) or f"cell {cell}", message)


def _origins(plan: Plan, combination: Combination, fields: set[str]) -> str:
    """Where the fields get their values: axis values and overrides; empty if from the base."""
    origins = [value.origin for value in combination if fields & value.sets.keys()]
    origins += [origin for field, origin in plan.origins.items() if field in fields]
    return " with ".join(dict.fromkeys(origins))


def _dataset_faults(
    plan: Plan, combination: Combination, cells: list[Cell], known: set[DataConfig]
) -> Iterator[Fault]:
    """What is missing on disk, looked at once a dataset; ``known`` is added to."""
    for data in {cell.config.data for cell in cells} - known:
        known.add(data)
        if message := dataset_fault(data):
            fields = {"data.root", "data.annotations", "data.images"}
            yield Fault(_origins(plan, combination, fields) or "base", message)


def _same_names(cells: list[Cell]) -> list[Fault]:
    seen: dict[str, Mapping[str, str]] = {}
    faults = []
    for cell in cells:
        if cell.name in seen:
            labels = f"{dict(seen[cell.name])} and {dict(cell.axes)}"
            message = f"two cells have the name {cell.name!r}: {labels}; make the labels differ"
            faults.append(Fault("axes", message))
        seen[cell.name] = cell.axes
    return faults
