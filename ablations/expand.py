"""A grid's cells: base and overrides, axes, design, exclusions; combined, validated, named.

:func:`draft` settles what can be said without forming combinations, :func:`cells_of` forms them.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ablations import designs
from ablations.analysis.limits import Limits
from ablations.axes import (
    PATHS,
    Axis,
    AxisValue,
    absolute,
    label_text,
    missing_file,
    name_piece,
    read_axis,
    settable,
)
from ablations.cell import Cell, MeasurementName
from ablations.grid_file import (
    DesignSpec,
    GridFault,
    GridSpec,
    ScaleSpec,
    Seeds,
    StartSpec,
    error_text,
)
from ablations.signature import SECTIONS, dataset_fault, training_signature
from benchmarks.measurements import MEASUREMENTS
from core.config.load import load_config
from core.config.overrides import field_faults, field_names, set_field, unknown
from core.config.schema import Config, DataConfig
from core.config.strict import root_faults
from core.errors import UserError

LIMIT = 100_000
"""Cells a grid: beyond it a forgotten zip is likelier than a purpose."""

_TYPES = {name: type(getattr(Config(), name)) for name in SECTIONS}
_START = "start."
Combination = tuple[AxisValue, ...]


@dataclass(frozen=True)
class Exclusion:
    """Combinations left out: position of an axis to the positions of its excluded values."""

    origin: str
    positions: Mapping[int, frozenset[int]]


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


@dataclass(frozen=True)
class StartDraft:
    """What the start runs are made of.

    Attributes:
        follows: positions of the axes whose values they share.
        seeds: how many there are of each; "same": one for each of the cells' seeds.
    """

    base: Base
    origin: str
    follows: tuple[int, ...]
    seeds: int | Literal["same"]
    measure: tuple[MeasurementName, ...]

    def seed(self, seed: int) -> int:
        """The start run's seed for a cell's."""
        return seed if self.seeds == "same" else seed % self.seeds


@dataclass(frozen=True)
class Design:
    """Which combinations there are.

    Attributes:
        groups: positions of axes that advance together: the factors.
        base: of "around" and "path", the position of a value for each factor.
    """

    kind: Literal["crossed", "around", "path", "fractional"]
    origin: str
    groups: tuple[tuple[int, ...], ...]
    base: tuple[int, ...]
    resolution: int

    def is_base(self, row: tuple[int, ...]) -> bool:
        """Whether the positions of the axes' values are those that the design begins with."""
        return self.kind in ("around", "path") and all(
            row[axis] == level
            for group, level in zip(self.groups, self.base, strict=True)
            for axis in group
        )


@dataclass(frozen=True)
class GridDraft:
    """What the cells are made of; ``axes`` are in the order of the file.

    With ``limits`` the seeds are as many as there may be.
    """

    base: Base
    axes: tuple[Axis, ...]
    design: Design
    exclusions: tuple[Exclusion, ...]
    start: StartDraft | None
    seeds: tuple[int, ...]
    limits: Limits | None
    measure: tuple[MeasurementName, ...]
    table: Any
    table_origin: str

    @property
    def usable(self) -> bool:
        """Whether every value of every axis is without fault."""
        return all(value.usable for axis in self.axes for value in axis.values)

    def measured(self, seed: int) -> tuple[MeasurementName, ...]:
        """What cells of ``seed`` measure: a speed is the config's, so one seed is enough."""
        seeded = tuple(name for name in self.measure if not MEASUREMENTS[name].seedless)
        return self.measure if seed == self.seeds[0] or not seeded else seeded


def draft(
    spec: GridSpec,
    *,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | int | None = None,
    folder: Path | None = None,
) -> tuple[GridDraft | None, list[GridFault]]:
    """Everything but the cells.

    Args:
        overrides: on top of the file's; names that begin with ``start.`` are the start run's.
        folder: where a base that is a config file is looked for.

    Returns:
        The draft and every fault found. Values at fault are marked unusable in it; there is no
        draft where the combinations cannot be formed.
    """
    faults: list[GridFault] = []
    size, prefix = _scale(spec, scale, faults)
    own, starts = _by_receiver(overrides or {}, faults)

    def place(key: str) -> tuple[Any, str]:
        """A key's value and where it stands: the scale's, else the grid's."""
        given = getattr(size, key)
        return (getattr(spec, key), key) if given is None else (given, f"{prefix}{key}")

    start, start_origin = place("start")
    if start is None and starts:
        faults.append(
            GridFault(f"override.start.{next(iter(starts))}", "the grid has no start run")
        )
    tree = _load(*place("base"), folder, faults)
    mine = {k: v for k, v in own.items() if start is None or k != "train.init"}
    base = _overridden(
        tree,
        [
            ("overrides", spec.overrides),
            (f"{prefix}overrides", size.overrides),
            ("override", mine),
        ],
        place("base")[1],
        faults,
    )
    axes, value_faults = _axes(spec, size, prefix, base.tree, faults)
    _refuse_dead_overrides(base.origins, axes, faults)
    groups = _groups(axes, *place("zip"), faults)
    own_seeds = _seeds(seeds, faults) or place("seeds")[0]
    limits = own_seeds if isinstance(own_seeds, Limits) else None
    made = GridDraft(
        base=base,
        axes=axes,
        design=_design(axes, groups, *place("design"), faults),
        exclusions=_exclusions(axes, *place("exclude"), faults),
        start=None
        if start is None
        else _start(start, start_origin, base, axes, (own, starts), folder, faults),
        seeds=tuple(range(limits.most)) if limits else own_seeds,
        limits=limits,
        measure=place("measure")[0],
        table=place("table")[0],
        table_origin=place("table")[1],
    )
    return (None if faults else made), faults + value_faults


def _by_receiver(
    overrides: Mapping[str, Any], faults: list[GridFault]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cells' overrides (the start run shares them), and those of the start run alone."""
    own, faulty = settable(
        "override", {k: v for k, v in overrides.items() if not k.startswith(_START)}
    )
    starts, wrong = settable(
        "override.start",
        {k.removeprefix(_START): v for k, v in overrides.items() if k.startswith(_START)},
    )
    faults += [*faulty, *wrong]
    return own, starts


def _scale(spec: GridSpec, scale: str | None, faults: list[GridFault]) -> tuple[ScaleSpec, str]:
    """What the scale changes, and the prefix of its keys in messages."""
    if scale is None:
        return ScaleSpec(), ""
    if scale not in spec.scales:
        valid = spec.scales or ["(none: the grid has no scales)"]
        faults.append(GridFault("scales", unknown("scale", scale, valid)))
        return ScaleSpec(), ""
    return spec.scales[scale], f"scales.{scale}."


def _seeds(given: Sequence[int] | int | None, faults: list[GridFault]) -> tuple[int, ...]:
    """Seeds asked for besides the file's; empty: none were."""
    if given is None:
        return ()
    try:
        return TypeAdapter[tuple[int, ...]](Seeds).validate_python(given)
    except ValidationError as error:
        faults += [GridFault("seeds", error_text(item)) for item in root_faults(error)]
        return ()


def _load(name: str, origin: str, folder: Path | None, faults: list[GridFault]) -> dict[str, Any]:
    try:
        return load_config(name, folder=folder).to_dict()
    except UserError as error:
        faults.append(GridFault(origin, str(error)))
        return Config().to_dict()


def _overridden(
    tree: dict[str, Any],
    layers: Sequence[tuple[str, Mapping[str, Any]]],
    base: str,
    faults: list[GridFault],
) -> Base:
    """The tree with layers of overrides put on, its paths absolute and looked for."""
    origins: dict[str, str] = {}
    for origin, values in layers:
        origins |= _apply(tree, origin, values, faults)
    faults += _settle_paths(tree, origins, base)
    return Base(tree, origins)


def _apply(
    tree: dict[str, Any], origin: str, values: Mapping[str, Any], faults: list[GridFault]
) -> dict[str, str]:
    """Put the overrides that are valid by themselves into ``tree``; field to origin of each."""
    flat, wrong = settable(origin, values)
    faults += wrong
    origins = {}
    for name, value in flat.items():
        origins[name] = f"{origin}.{name}"
        if message := _value_fault(tree, name, value):
            faults.append(GridFault(origins[name], message))
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


def _settle_paths(
    tree: dict[str, Any], origins: Mapping[str, str], base: str
) -> Iterator[GridFault]:
    """Make the tree's paths absolute; what is not there is a fault."""
    for name in PATHS:
        section, field = name.split(".")
        value = tree[section][field]
        tree[section][field] = absolute(name, value)
        if message := missing_file(name, value):
            yield GridFault(origins.get(name, base), message)


def with_fields(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the nested ``tree`` with the dotted fields replaced (leaves are shared)."""
    copy = _copy(tree)
    for name, value in values.items():
        set_field(copy, name, value)
    return copy


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(v) if isinstance(v, dict) else v for key, v in tree.items()}


def _axes(
    spec: GridSpec, size: ScaleSpec, prefix: str, tree: Mapping[str, Any], faults: list[GridFault]
) -> tuple[tuple[Axis, ...], list[GridFault]]:
    """The axes with the scale's values in place, and what is wrong with single values."""
    for name in size.axes:
        if name not in spec.axes:
            message = unknown("axis", name, spec.axes) + ". A scale replaces values of axes"
            faults.append(GridFault(f"{prefix}axes.{name}", message))
    axes: list[Axis] = []
    value_faults: list[GridFault] = []
    for name in spec.axes:
        origin = f"{prefix if name in size.axes else ''}axes.{name}"
        axis, wrong = read_axis(name, origin, size.axes.get(name, spec.axes[name]))
        values = tuple(_checked(tree, value, wrong) for value in axis.values)
        value_faults += wrong
        axes.append(replace(axis, values=values))
    return tuple(axes), value_faults


def _checked(tree: Mapping[str, Any], value: AxisValue, faults: list[GridFault]) -> AxisValue:
    messages = [
        message
        for name, v in value.sets.items()
        if (message := _value_fault(tree, name, v) or missing_file(name, v))
    ]
    faults += [GridFault(value.origin, message) for message in messages]
    sets = {name: absolute(name, v) for name, v in value.sets.items()}
    return replace(value, sets=sets, usable=value.usable and not messages)


def _refuse_dead_overrides(
    origins: Mapping[str, str], axes: tuple[Axis, ...], faults: list[GridFault]
) -> None:
    for name, origin in origins.items():
        for axis in axes:
            usable = [value for value in axis.values if value.usable]
            if usable and all(name in value.sets for value in usable):
                message = f"has no effect: every value of {axis.origin} sets {name}"
                faults.append(GridFault(origin, message))


def _position(
    axes: tuple[Axis, ...], name: str, origin: str, faults: list[GridFault]
) -> int | None:
    """Which of the axes ``name`` is; one that is not there is a fault."""
    names = [axis.name for axis in axes]
    if name in names:
        return names.index(name)
    faults.append(GridFault(origin, unknown("axis", name, names)))
    return None


def _groups(
    axes: tuple[Axis, ...], zipped: list[list[str]], origin: str, faults: list[GridFault]
) -> tuple[tuple[int, ...], ...]:
    """Positions of the axes that advance together; an axis that is not zipped stands alone."""
    names = [axis.name for axis in axes]
    partners: dict[int, tuple[int, ...]] = {}
    for k, group in enumerate(zipped):
        before = len(faults)
        for name in group:
            if name not in names:
                faults.append(GridFault(f"{origin}[{k}]", unknown("axis", name, names)))
            elif names.index(name) in partners or group.count(name) > 1:
                faults.append(GridFault(f"{origin}[{k}]", f"axis {name} is zipped twice"))
        if len(faults) > before:
            continue
        positions = tuple(sorted(names.index(name) for name in group))
        sizes = {axes[p].name: len(axes[p].values) for p in positions}
        readable = all(any(v.usable for v in axes[p].values) for p in positions)
        if readable and len(set(sizes.values())) > 1:
            text = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            message = f"zipped axes need equally many values: {text}"
            faults.append(GridFault(f"{origin}[{k}]", message))
        partners |= dict.fromkeys(positions, positions)
    groups = [partners.get(p, (p,)) for p in range(len(axes))]
    return tuple(dict.fromkeys(groups))


def _design(
    axes: tuple[Axis, ...],
    groups: tuple[tuple[int, ...], ...],
    spec: DesignSpec,
    origin: str,
    faults: list[GridFault],
) -> Design:
    names = [axis.name for axis in axes]
    base = [0] * len(groups)
    for name, wanted in spec.base.items():
        axis = _position(axes, name, f"{origin}.base", faults)
        if axis is None:
            continue
        found = _positions(axes[axis], wanted, f"{origin}.base.{name}", faults)
        factor = next(g for g, group in enumerate(groups) if axis in group)
        partners = {names[other] for other in groups[factor]} & spec.base.keys()
        if len(found) > 1 or (found and name != min(partners) and {base[factor]} != found):
            faults.append(GridFault(f"{origin}.base.{name}", "expected one value for each axis"))
        base[factor] = next(iter(found), 0)
    if spec.kind == "fractional":
        for one in axes:
            if len(one.values) != 2 and all(value.usable for value in one.values):
                message = f"a fractional design has two values an axis; {one.origin} has "
                faults.append(GridFault(origin, f"{message}{len(one.values)}"))
    return Design(spec.kind, origin, groups, tuple(base), spec.resolution or 4)


def _exclusions(
    axes: tuple[Axis, ...], rules: list[dict[str, Any]], origin: str, faults: list[GridFault]
) -> tuple[Exclusion, ...]:
    exclusions = []
    for k, rule in enumerate(rules):
        positions: dict[int, frozenset[int]] = {}
        for name, wanted in rule.items():
            axis = _position(axes, name, f"{origin}[{k}]", faults)
            if axis is not None:
                where = f"{origin}[{k}].{name}"
                positions[axis] = _positions(axes[axis], wanted, where, faults)
        exclusions.append(Exclusion(f"{origin}[{k}]", positions))
    return tuple(exclusions)


def _positions(axis: Axis, wanted: Any, origin: str, faults: list[GridFault]) -> frozenset[int]:
    """Positions of the labels ``wanted``: one, or a list of them."""
    labels = axis.labels
    found = set()
    # a value that is itself a list, such as shift steps, is written as its label or as the value
    choices = [wanted] if label_text(wanted) in labels or not isinstance(wanted, list) else wanted
    for choice in map(label_text, choices):
        if choice in labels:
            found.add(labels.index(choice))
        elif all(value.usable for value in axis.values):
            faults.append(GridFault(origin, unknown("label", choice, labels)))
    return frozenset(found)


def _start(
    spec: StartSpec,
    origin: str,
    base: Base,
    axes: tuple[Axis, ...],
    overrides: tuple[Mapping[str, Any], Mapping[str, Any]],
    folder: Path | None,
    faults: list[GridFault],
) -> StartDraft:
    """The start runs' base, and the axes that they follow.

    Args:
        overrides: those of the command line for cells and start run alike, in which the start's
            own have the last word; and those for the start run alone.
    """
    if base.tree["train"]["init"] is not None:
        where = base.origins.get("train.init", "base")
        message = "train.init has no effect: every cell begins with its start run's weights; "
        faults.append(GridFault(where, f"{message}say it under {origin}.overrides"))
    shared, own = overrides
    if spec.base is None:
        tree = copy.deepcopy(dict(base.tree))
    else:
        tree = _load(spec.base, f"{origin}.base", folder, faults)
    made = _overridden(
        tree,
        [
            ("override", shared),
            (f"{origin}.overrides", spec.overrides),
            ("override.start", own),
        ],
        origin if spec.base is None else f"{origin}.base",
        faults,
    )
    found = [_position(axes, name, f"{origin}.follows", faults) for name in spec.follows]
    follows = tuple(axis for axis in dict.fromkeys(found) if axis is not None)
    _refuse_dead_overrides(made.origins, tuple(axes[axis] for axis in follows), faults)
    return StartDraft(made, origin, follows, spec.seeds, spec.measure)


def cells_of(plan: GridDraft) -> tuple[tuple[Cell, ...], tuple[str, ...], list[GridFault]]:
    """Every cell, validated in full; what the design cannot tell apart; every fault on the way."""
    sizes = [len(plan.axes[group[0]].values) for group in plan.design.groups]
    count = math.prod(sizes) * len(plan.seeds)
    if count > LIMIT and plan.design.kind in ("crossed", "fractional"):
        message = f"{count} cells are more than a grid may have ({LIMIT}); zip axes or split it"
        return (), (), [GridFault("axes", message)]
    rows, aliases = _rows(plan.design, sizes, [axis.name for axis in plan.axes])
    combinations, faults = _combinations(plan, rows)
    maker = _CellMaker(plan, faults)
    cells = [cell for c in combinations if all(v.usable for v in c) for cell in maker.cells(c)]
    faults += _same_names([*maker.starts.values(), *cells])
    if not combinations:
        faults.append(GridFault("exclude", "every combination is excluded; nothing is left to run"))
    return tuple(_share_training(cells)), aliases, faults


def _rows(
    design: Design, sizes: list[int], names: list[str]
) -> tuple[list[tuple[int, ...]], tuple[str, ...]]:
    """Position of each axis's value in each row; what the design cannot tell apart."""
    aliases: list[str] = []
    if design.kind == "fractional":
        fraction = designs.fractional(len(sizes), design.resolution)
        chosen = sorted(fraction.rows)
        factors = ["+".join(names[axis] for axis in group) for group in design.groups]
        for group in fraction.aliases():
            effects = [" × ".join(factors[f] for f in effect) for effect in group]
            aliases.append(" = ".join(effects))
    elif design.kind == "crossed":
        chosen = designs.crossed(sizes)
    else:
        make = designs.around if design.kind == "around" else designs.path
        chosen = make(sizes, design.base)
    group_of = {axis: g for g, group in enumerate(design.groups) for axis in group}
    rows = [tuple(row[group_of[axis]] for axis in range(len(names))) for row in chosen]
    return rows, tuple(aliases)


def _combinations(
    plan: GridDraft, rows: list[tuple[int, ...]]
) -> tuple[list[Combination], list[GridFault]]:
    """The rows that no exclusion takes out; exclusions that take out none are faults."""
    taken = dict.fromkeys((rule.origin for rule in plan.exclusions), 0)
    kept: list[Combination] = []
    faults: list[GridFault] = []
    for row in rows:
        matched = [
            rule.origin
            for rule in plan.exclusions
            if all(row[axis] in wanted for axis, wanted in rule.positions.items())
        ]
        for origin in matched:
            taken[origin] += 1
        if matched and plan.usable and plan.design.is_base(row):
            message = f"takes out the base that the others of design {plan.design.kind} differ from"
            faults.append(GridFault(matched[0], message))
        if not matched:
            kept.append(tuple(a.values[i] for a, i in zip(plan.axes, row, strict=True)))
    if not plan.usable:
        return kept, faults
    message = "matches no combination; what it names never occurs together"
    faults += [GridFault(origin, message) for origin, count in taken.items() if not count]
    if len(kept) < len(rows) and plan.design.kind == "fractional":
        message = "a fractional design tells effects apart only as a whole; use design: crossed"
        faults.append(GridFault(plan.exclusions[0].origin, message))
    if plan.exclusions and plan.design.kind != "crossed":
        faults += _constant_axes(plan, kept)
    return kept, faults


def _constant_axes(plan: GridDraft, kept: list[Combination]) -> Iterator[GridFault]:
    for axis, values in zip(plan.axes, zip(*kept, strict=True), strict=False):
        left = {value.label for value in values}
        if len(left) == 1 < len(axis.values):
            message = f"only {left.pop()} is left of {axis.origin}: the axis does not vary"
            yield GridFault(plan.exclusions[0].origin.partition("[")[0], message)


class _CellMaker:
    """Cells and their start runs; faults are appended to ``faults``."""

    def __init__(self, plan: GridDraft, faults: list[GridFault]) -> None:
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
                    self.faults.append(GridFault(plan.start.origin, message))
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
        sets, clashes = _sets(combination)
        self.faults += clashes
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
                fields = {"data.root", "data.annotations", "data.images"}
                where = base.origins_of(combination, fields) or "base"
                self.faults.append(GridFault(where, message))
        return configs


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


def _sets(combination: Combination) -> tuple[dict[str, Any], list[GridFault]]:
    """The fields that the values set; two that disagree about one are a fault."""
    sets: dict[str, Any] = {}
    faults = []
    for value in combination:
        for name in sets.keys() & value.sets.keys():
            other = next(v for v in combination if name in v.sets)
            if sets[name] != value.sets[name]:
                message = f"{name}={value.sets[name]!r}, but {other.origin} sets {sets[name]!r}"
                faults.append(GridFault(value.origin, message))
        sets |= value.sets
    return sets, faults


def _same_names(cells: list[Cell]) -> list[GridFault]:
    seen: dict[str, Mapping[str, str]] = {}
    faults = []
    for cell in cells:
        if cell.name in seen:
            labels = f"{dict(seen[cell.name])} and {dict(cell.axes)}"
            message = f"two cells have the name {cell.name!r}: {labels}; make the labels differ"
            faults.append(GridFault("axes", message))
        seen[cell.name] = cell.axes
    return faults
