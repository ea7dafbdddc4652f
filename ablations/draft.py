"""A grid without its cells: all that can be said of a grid file before combinations are formed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ablations.analysis.limits import Limits
from ablations.axes import Axis, AxisValue, absolute, missing_file, read_axis, settable
from ablations.base import Base, load_tree, overridden, value_fault
from ablations.cell import MeasurementName
from ablations.combinations import (
    Design,
    Exclusion,
    position_of,
    read_design,
    read_exclusions,
    zipped_axes,
)
from ablations.grid_file import GridFault, GridSpec, ScaleSpec, Seeds, StartSpec, error_text
from benchmarks.measurements import MEASUREMENTS
from core.config.overrides import unknown
from core.config.strict import root_faults

_START = "start."


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
class GridDraft:
    """What the cells are made of; ``axes`` are in the order of the file.

    With ``limits`` the seeds are as many as there may be; ``complete``: every file is there that
    its base and its start runs' name.
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
    complete: bool

    @property
    def usable(self) -> bool:
        """Whether every value of every axis is without fault."""
        return all(axis.usable for axis in self.axes)

    def measured(self, seed: int) -> tuple[MeasurementName, ...]:
        """What cells of ``seed`` measure: of counts and speeds one seed is enough."""
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
    absent: list[GridFault] = []
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
    tree = load_tree(*place("base"), folder, faults)
    mine = {k: v for k, v in own.items() if start is None or k != "train.init"}
    base = overridden(
        tree,
        [
            ("overrides", spec.overrides),
            (f"{prefix}overrides", size.overrides),
            ("override", mine),
        ],
        place("base")[1],
        faults,
        absent,
    )
    axes, value_faults = _axes(spec, size, prefix, base.tree, faults)
    _refuse_dead_overrides(base.origins, axes, faults)
    groups = zipped_axes(axes, *place("zip"), faults)
    own_seeds = _seeds(seeds, faults) or place("seeds")[0]
    limits = own_seeds if isinstance(own_seeds, Limits) else None
    made = GridDraft(
        base=base,
        axes=axes,
        design=read_design(axes, groups, *place("design"), faults),
        exclusions=read_exclusions(axes, *place("exclude"), faults),
        start=None
        if start is None
        else _start(start, start_origin, base, axes, (own, starts), folder, faults, absent),
        seeds=tuple(range(limits.most)) if limits else own_seeds,
        limits=limits,
        measure=place("measure")[0],
        table=place("table")[0],
        table_origin=place("table")[1],
        complete=not absent,
    )
    return (None if faults else made), faults + absent + value_faults


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
        if (message := value_fault(tree, name, v) or missing_file(name, v))
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


def _start(
    spec: StartSpec,
    origin: str,
    base: Base,
    axes: tuple[Axis, ...],
    overrides: tuple[Mapping[str, Any], Mapping[str, Any]],
    folder: Path | None,
    faults: list[GridFault],
    absent: list[GridFault],
) -> StartDraft:
    """The start runs' base, and the axes that they follow.

    Args:
        overrides: those of the command line for cells and start run alike, in which the start's
            own have the last word; and those for the start run alone.
        absent: gets a fault for each path at which nothing is.
    """
    if base.tree["train"]["init"] is not None:
        where = base.origins.get("train.init", "base")
        message = "train.init has no effect: every cell begins with its start run's weights; "
        faults.append(GridFault(where, f"{message}say it under {origin}.overrides"))
    shared, own = overrides
    if spec.base is None:
        tree = copy.deepcopy(dict(base.tree))
    else:
        tree = load_tree(spec.base, f"{origin}.base", folder, faults)
    made = overridden(
        tree,
        [
            ("override", shared),
            (f"{origin}.overrides", spec.overrides),
            ("override.start", own),
        ],
        origin if spec.base is None else f"{origin}.base",
        faults,
        absent,
    )
    found = [position_of(axes, name, f"{origin}.follows", faults) for name in spec.follows]
    follows = tuple(axis for axis in dict.fromkeys(found) if axis is not None)
    _refuse_dead_overrides(made.origins, tuple(axes[axis] for axis in follows), faults)
    return StartDraft(made, origin, follows, spec.seeds, spec.measure)
