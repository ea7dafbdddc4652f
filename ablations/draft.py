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
from ablations.combinations import AxisReader, Design, Exclusion
from ablations.grid_file import Faults, GridSpec, ScaleSpec, Seeds, StartSpec, error_text
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
    faults: Faults,
    *,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | int | None = None,
    folder: Path | None = None,
) -> GridDraft | None:
    """Everything but the cells; every fault on the way is added to ``faults``.

    Args:
        overrides: on top of the file's; names that begin with ``start.`` are the start run's.
        folder: where a base that is a config file is looked for.

    Returns:
        The draft, values at fault being marked unusable in it; there is none where the
        combinations cannot be formed.
    """
    reader = _Reader(spec, scale, folder)
    made = reader.draft(overrides or {}, seeds)
    faults += [*reader.faults, *reader.faults.absent, *reader.of_values]
    return None if reader.faults else made


class _Reader:
    """Reads a grid at a scale.

    Attributes:
        faults: what is wrong with it, but for single values.
        of_values: what is wrong with single values.
    """

    def __init__(self, spec: GridSpec, scale: str | None, folder: Path | None) -> None:
        self.spec, self.folder = spec, folder
        self.faults, self.of_values = Faults(), Faults()
        self.size, self.prefix = ScaleSpec(), ""
        if scale is not None and scale in spec.scales:
            self.size, self.prefix = spec.scales[scale], f"scales.{scale}."
        elif scale is not None:
            valid = spec.scales or ["(none: the grid has no scales)"]
            self.faults.add("scales", unknown("scale", scale, valid))

    def place(self, key: str) -> tuple[Any, str]:
        """A key's value and where it stands: the scale's, else the grid's."""
        given = getattr(self.size, key)
        return (getattr(self.spec, key), key) if given is None else (given, f"{self.prefix}{key}")

    def draft(self, overrides: Mapping[str, Any], seeds: Sequence[int] | int | None) -> GridDraft:
        """Everything but the cells, see :func:`draft`."""
        # the start run shares the cells' overrides, but has the last word on its own
        own = {k: v for k, v in overrides.items() if not k.startswith(_START)}
        shared = settable("override", own, self.faults)
        own = {k.removeprefix(_START): v for k, v in overrides.items() if k.startswith(_START)}
        starts = settable("override.start", own, self.faults)
        start, origin = self.place("start")
        if start is None and starts:
            where = f"override.start.{next(iter(starts))}"
            self.faults.add(where, "the grid has no start run")
        mine = {k: v for k, v in shared.items() if start is None or k != "train.init"}
        name, where = self.place("base")
        layers = [
            ("overrides", self.spec.overrides),
            (f"{self.prefix}overrides", self.size.overrides),
            ("override", mine),
        ]
        tree = load_tree(name, where, self.folder, self.faults)
        base = overridden(tree, where, layers, self.faults)
        axes = self._axes(base.tree)
        self._refuse_dead_overrides(base, axes)
        reader = AxisReader(axes, self.faults)
        groups = reader.groups(*self.place("zip"))
        own_seeds = self._seeds(seeds) or self.place("seeds")[0]
        limits = own_seeds if isinstance(own_seeds, Limits) else None
        return GridDraft(
            base=base,
            axes=axes,
            design=reader.design(groups, *self.place("design")),
            exclusions=reader.exclusions(*self.place("exclude")),
            start=start and self._start(start, origin, base, reader, shared, starts),
            seeds=tuple(range(limits.most)) if limits else own_seeds,
            limits=limits,
            measure=self.place("measure")[0],
            table=self.place("table")[0],
            table_origin=self.place("table")[1],
            complete=not self.faults.absent,
        )

    def _seeds(self, given: Sequence[int] | int | None) -> tuple[int, ...]:
        """Seeds asked for besides the file's; empty: none were."""
        if given is None:
            return ()
        try:
            return TypeAdapter[tuple[int, ...]](Seeds).validate_python(given)
        except ValidationError as error:
            for item in root_faults(error):
                self.faults.add("seeds", error_text(item))
            return ()

    def _axes(self, tree: Mapping[str, Any]) -> tuple[Axis, ...]:
        """The axes with the scale's values in place, values at fault marked."""
        changed = self.size.axes
        for name in [name for name in changed if name not in self.spec.axes]:
            message = unknown("axis", name, self.spec.axes) + ". A scale replaces values of axes"
            self.faults.add(f"{self.prefix}axes.{name}", message)
        axes: list[Axis] = []
        for name in self.spec.axes:
            origin = f"{self.prefix if name in changed else ''}axes.{name}"
            values = changed.get(name, self.spec.axes[name])
            axis = read_axis(name, origin, values, self.of_values)
            axes.append(replace(axis, values=tuple(self._checked(tree, v) for v in axis.values)))
        return tuple(axes)

    def _checked(self, tree: Mapping[str, Any], value: AxisValue) -> AxisValue:
        before = len(self.of_values)
        for name, v in value.sets.items():
            if message := value_fault(tree, name, v) or missing_file(name, v):
                self.of_values.add(value.origin, message)
        sets = {name: absolute(name, v) for name, v in value.sets.items()}
        usable = value.usable and len(self.of_values) == before
        return replace(value, sets=sets, usable=usable)

    def _refuse_dead_overrides(self, base: Base, axes: tuple[Axis, ...]) -> None:
        for name, origin in base.origins.items():
            for axis in axes:
                usable = [value for value in axis.values if value.usable]
                if usable and all(name in value.sets for value in usable):
                    message = f"has no effect: every value of {axis.origin} sets {name}"
                    self.faults.add(origin, message)

    def _start(
        self,
        spec: StartSpec,
        origin: str,
        base: Base,
        reader: AxisReader,
        shared: Mapping[str, Any],
        own: Mapping[str, Any],
    ) -> StartDraft:
        """The start runs' base, and the axes that they follow.

        Args:
            base: of the cells.
            reader: of the cells' axes.
            shared: the command line's overrides for cells and start run alike.
            own: those for the start run alone.
        """
        if base.tree["train"]["init"] is not None:
            where = base.origins.get("train.init", "base")
            message = "train.init has no effect: every cell begins with its start run's weights; "
            self.faults.add(where, f"{message}say it under {origin}.overrides")
        tree, place = copy.deepcopy(dict(base.tree)), origin
        if spec.base is not None:
            place = f"{origin}.base"
            tree = load_tree(spec.base, place, self.folder, self.faults)
        layers = [
            ("override", shared),
            (f"{origin}.overrides", spec.overrides),
            ("override.start", own),
        ]
        made = overridden(tree, place, layers, self.faults)
        found = [reader.position(name, f"{origin}.follows") for name in spec.follows]
        follows = tuple(axis for axis in dict.fromkeys(found) if axis is not None)
        self._refuse_dead_overrides(made, tuple(reader.axes[axis] for axis in follows))
        return StartDraft(made, origin, follows, spec.seeds, spec.measure)
