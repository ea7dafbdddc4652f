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
from ablations.faults import Fault
from ablations.plan import Plan, with_fields
from core.config import Config
from core.overrides import field_faults, field_names

LIMIT = 100_000
"""Cells a grid: beyond it a forgotten zip is likelier than a purpose."""

Combination = tuple[AxisValue, ...]


def resolve(plan: Plan) -> tuple[tuple[Cell, ...], list[Fault]]:
    """Every cell of the plan, validated in full, and every fault on the way."""
    count = math.prod(len(plan.axes[g[0]].values) for g in plan.groups) * len(plan.seeds)
    if count > LIMIT:
        message = f"{count} cells are more than a grid may have ({LIMIT}); zip axes or split it"
        return (), [Fault("axes", message)]
    combinations, faults = _combinations(plan)
    cells: list[Cell] = []
    for combination in combinations:
        if all(value.usable for value in combination):
            cells += _cells(plan, combination, faults)
    faults += _same_names(cells)
    if not cells and not faults:
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
    return kept, [Fault(origin, message) for origin, count in taken.items() if not count]


def _indices(plan: Plan) -> Iterator[tuple[int, ...]]:
    """Position of each axis's value, the last group of axes fastest."""
    sizes = [range(len(plan.axes[group[0]].values)) for group in plan.groups]
    group_of = {axis: g for g, group in enumerate(plan.groups) for axis in group}
    for chosen in itertools.product(*sizes):
        yield tuple(chosen[group_of[axis]] for axis in range(len(plan.axes)))


def _cells(plan: Plan, combination: Combination, faults: list[Fault]) -> list[Cell]:
    """The combination with every seed; its faults are appended."""
    labels = {a.name: v.label for a, v in zip(plan.axes, combination, strict=True)}
    stem = ",".join(name_piece(axis, label) for axis, label in labels.items())
    sets, clashes = _sets(combination)
    faults += clashes
    cells = []
    for seed in plan.seeds:
        try:
            config = Config.model_validate(with_fields(plan.tree, {**sets, "seed": seed}))
        except ValidationError as error:
            faults += _explain(error, plan, combination, stem)
            break
        name = f"{stem},s{seed}" if stem else f"s{seed}"
        cells.append(Cell(name, config, labels, plan.measure))
    return cells


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


def _explain(
    error: ValidationError, plan: Plan, combination: Combination, name: str
) -> Iterator[Fault]:
    """Rules between fields are named after the axis values and overrides that take part."""
    for _, message in field_faults(error):
        named = set(re.findall(r"[a-z_]+(?:\.[a-z_]+)+", message)) & set(field_names())
        origins = [value.origin for value in combination if named & value.sets.keys()]
        origins += [origin for field, origin in plan.origins.items() if field in named]
        yield Fault(" with ".join(dict.fromkeys(origins)) or f"cell {name}", message)


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
