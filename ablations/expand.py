"""A grid's cells: the combinations of its axes' values, each a validated config with a name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from ablations.axes import name_piece
from ablations.base import Base, Combination
from ablations.cell import Cell
from ablations.combinations import combinations_of
from ablations.draft import GridDraft, StartDraft
from ablations.grid_file import Faults
from ablations.signature import dataset_fault, training_signature
from core.config.schema import Config, DataConfig

LIMIT = 100_000
"""Cells a grid: beyond it a forgotten zip is likelier than a purpose."""


def cells_of(plan: GridDraft, faults: Faults) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Every cell, validated in full; what the design cannot tell apart."""
    count = math.prod(plan.design.sizes(plan.axes)) * len(plan.seeds)
    if count > LIMIT and plan.design.kind in ("crossed", "fractional"):
        message = f"{count} cells are more than a grid may have ({LIMIT}); zip axes or split it"
        faults.add("axes", message)
        return (), ()
    combinations, aliases = combinations_of(plan.axes, plan.design, plan.exclusions, faults)
    maker = _CellMaker(plan, faults)
    cells = [cell for c in combinations if all(v.usable for v in c) for cell in maker.cells(c)]
    _refuse_same_names([*maker.starts.values(), *cells], faults)
    if not combinations:
        faults.add("exclude", "every combination is excluded; nothing is left to run")
    return tuple(_share_training(cells)), aliases


class _CellMaker:
    """Cells and their start runs; faults are added to ``faults``."""

    def __init__(self, plan: GridDraft, faults: Faults) -> None:
        self.plan, self.faults = plan, faults
        self.starts: dict[tuple[tuple[str, ...], int], Cell] = {}
        self._datasets: set[DataConfig] = set()
        self._starts_from_itself = False

    def cells(self, combination: Combination) -> list[Cell]:
        """The combination with every seed."""
        plan = self.plan
        labels = {a.name: v.label for a, v in zip(plan.axes, combination, strict=True)}
        stem = _stem(labels)
        cells = []
        for config in self._configs(plan.base, combination, plan.seeds, f"cell {stem}"):
            name = f"{stem},s{config.seed}" if stem else f"s{config.seed}"
            cell = Cell(name, config, labels, plan.measured(config.seed))
            if plan.start is not None:
                start = self._start(plan.start, combination, config.seed)
                if start is None:
                    break
                if start.signature == cell.signature and not self._starts_from_itself:
                    self._starts_from_itself = True
                    message = f"cell {name} would start from itself: the start run has the same "
                    message += "config; say under its overrides what differs"
                    self.faults.add(plan.start.origin, message)
                cell = replace(cell, start=start)
            cells.append(cell)
        return cells

    def _start(self, start: StartDraft, combination: Combination, seed: int) -> Cell | None:
        followed = tuple(combination[axis] for axis in start.follows)
        key = tuple(value.origin for value in followed), start.seed(seed)
        if key not in self.starts:
            labels = {self.plan.axes[axis].name: combination[axis].label for axis in start.follows}
            name = ",".join(["start", *filter(None, [_stem(labels)]), f"s{key[1]}"])
            for config in self._configs(start.base, followed, (key[1],), start.origin):
                self.starts[key] = Cell(name, config, labels, (*start.measure, "train"))
        return self.starts.get(key)

    def _configs(
        self, base: Base, combination: Combination, seeds: Sequence[int], what: str
    ) -> list[Config]:
        """The config of each seed; none where they break a rule between fields."""
        sets = self._sets(combination)
        try:
            common = base.sections(sets)
            configs = [Config.model_validate({**common, "seed": seed}) for seed in seeds]
        except ValidationError:
            self.faults += base.broken_rules(combination, sets, what)
            return []
        data = configs[0].data
        if data not in self._datasets:
            self._datasets.add(data)
            if message := dataset_fault(data):
                mixed = message.startswith("data.mix")
                fields = {"data.mix"} if mixed else {"data.root", "data.annotations", "data.images"}
                where = base.origins_of(combination, fields) or "base"
                self.faults.add(where, message)
        return configs

    def _sets(self, combination: Combination) -> dict[str, Any]:
        """The fields that the values set; two that disagree about one are a fault."""
        sets: dict[str, Any] = {}
        for value in combination:
            for name in sets.keys() & value.sets.keys():
                other = next(v for v in combination if name in v.sets)
                if sets[name] != value.sets[name]:
                    message = f"{name}={value.sets[name]!r}, but {other.origin} sets {sets[name]!r}"
                    self.faults.add(value.origin, message)
            sets |= value.sets
        return sets


def _stem(labels: Mapping[str, str]) -> str:
    return ",".join(name_piece(axis, label) for axis, label in labels.items())


def _share_training(cells: list[Cell]) -> list[Cell]:
    """Of cells that differ in what only testing reads, the first trains for the others."""
    tests = {(cell.config.inference, cell.config.data.test_size) for cell in cells}
    if len(tests) < 2 or "ap" not in cells[0].measure:
        return cells
    trainers: dict[str, Cell] = {}
    shared = []
    for cell in cells:
        start = cell.start.signature if cell.start else None
        trainer = trainers.setdefault(training_signature(cell.config, start), cell)
        if trainer.signature == cell.signature:
            shared.append(cell)
        else:
            shared.append(replace(cell, start=trainer, trains=False))
    return shared


def _refuse_same_names(cells: list[Cell], faults: Faults) -> None:
    seen: dict[str, Mapping[str, str]] = {}
    for cell in cells:
        if cell.name in seen:
            labels = f"{dict(seen[cell.name])} and {dict(cell.axes)}"
            message = f"two cells have the name {cell.name!r}: {labels}; make the labels differ"
            faults.add("axes", message)
        seen[cell.name] = cell.axes
