"""Which combinations of its axes' values a grid runs: zipped axes, the design, exclusions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ablations import designs
from ablations.axes import Axis, label_text
from ablations.base import Combination
from ablations.grid_file import DesignSpec, Faults, GridFault
from core.config.overrides import unknown


@dataclass(frozen=True)
class Exclusion:
    """Combinations left out: position of an axis to the positions of its excluded values."""

    origin: str
    positions: Mapping[int, frozenset[int]]


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

    def sizes(self, axes: Sequence[Axis]) -> list[int]:
        """Values of each factor."""
        return [len(axes[group[0]].values) for group in self.groups]

    def is_base(self, row: tuple[int, ...]) -> bool:
        """Whether the positions of the axes' values are those that the design begins with."""
        return self.kind in ("around", "path") and all(
            row[axis] == level
            for group, level in zip(self.groups, self.base, strict=True)
            for axis in group
        )


class AxisReader:
    """Reads what a grid says of its axes, each thing from where it stands (``origin``).

    What is wrong is added to ``faults``.
    """

    def __init__(self, axes: tuple[Axis, ...], faults: Faults) -> None:
        self.axes, self.faults = axes, faults
        self.names = [axis.name for axis in axes]

    def position(self, name: str, origin: str) -> int | None:
        """Which of the axes ``name`` is; one that is not there is a fault."""
        if name in self.names:
            return self.names.index(name)
        self.faults.add(origin, unknown("axis", name, self.names))
        return None

    def groups(self, zipped: list[list[str]], origin: str) -> tuple[tuple[int, ...], ...]:
        """Positions of the axes that advance together; an axis that is not zipped stands alone."""
        partners: dict[int, tuple[int, ...]] = {}
        for k, group in enumerate(zipped):
            before = len(self.faults)
            where = f"{origin}[{k}]"
            for name in group:
                position = self.position(name, where)
                if position in partners or (position is not None and group.count(name) > 1):
                    self.faults.add(where, f"axis {name} is zipped twice")
            if len(self.faults) > before:
                continue
            positions = tuple(sorted(map(self.names.index, group)))
            axes = [self.axes[p] for p in positions]
            readable = all(any(value.usable for value in axis.values) for axis in axes)
            if readable and len({len(axis.values) for axis in axes}) > 1:
                text = ", ".join(f"{axis.name} has {len(axis.values)}" for axis in axes)
                self.faults.add(where, f"zipped axes need equally many values: {text}")
            partners |= dict.fromkeys(positions, positions)
        return tuple(dict.fromkeys(partners.get(p, (p,)) for p in range(len(self.axes))))

    def design(self, groups: tuple[tuple[int, ...], ...], spec: DesignSpec, origin: str) -> Design:
        """The design of ``spec``, with the positions of its base's labels."""
        base = [0] * len(groups)
        for name, found in self._labelled(spec.base, f"{origin}.base"):
            factor = next(g for g, group in enumerate(groups) if self.names.index(name) in group)
            partners = {self.names[other] for other in groups[factor]} & spec.base.keys()
            if len(found) > 1 or (found and name != min(partners) and {base[factor]} != found):
                self.faults.add(f"{origin}.base.{name}", "expected one value for each axis")
            base[factor] = next(iter(found), 0)
        if spec.kind == "fractional":
            for axis in self.axes:
                if len(axis.values) != 2 and axis.usable:
                    message = f"a fractional design has two values an axis; {axis.origin} has "
                    self.faults.add(origin, f"{message}{len(axis.values)}")
        return Design(spec.kind, origin, groups, tuple(base), spec.resolution or 4)

    def exclusions(self, rules: list[dict[str, Any]], origin: str) -> tuple[Exclusion, ...]:
        """The positions that each rule of ``exclude`` names by labels."""
        return tuple(
            Exclusion(
                f"{origin}[{k}]",
                {self.names.index(n): found for n, found in self._labelled(rule, f"{origin}[{k}]")},
            )
            for k, rule in enumerate(rules)
        )

    def _labelled(
        self, wanted: Mapping[str, Any], origin: str
    ) -> Iterator[tuple[str, frozenset[int]]]:
        """Each axis that is named, and the positions of its label, or of a list of them."""
        for name, given in wanted.items():
            position = self.position(name, origin)
            if position is None:
                continue
            axis = self.axes[position]
            # a value that is itself a list, such as shift steps, is written as label or as value
            one = label_text(given) in axis.labels or not isinstance(given, list)
            labels = [label_text(label) for label in ([given] if one else given)]
            for label in labels:
                if label not in axis.labels and axis.usable:
                    self.faults.add(f"{origin}.{name}", unknown("label", label, axis.labels))
            yield name, frozenset(k for k, label in enumerate(axis.labels) if label in labels)


def combinations_of(
    axes: Sequence[Axis], design: Design, exclusions: Sequence[Exclusion], faults: Faults
) -> tuple[list[Combination], tuple[str, ...]]:
    """What the design has and no exclusion takes out; what the design cannot tell apart.

    Exclusions that take out nothing, or what the design is built on, are faults.
    """
    rows, aliases = _rows(design, design.sizes(axes), [axis.name for axis in axes])
    taken = dict.fromkeys((rule.origin for rule in exclusions), 0)
    usable = all(axis.usable for axis in axes)
    kept: list[Combination] = []
    for row in rows:
        matched = [
            rule.origin
            for rule in exclusions
            if all(row[axis] in wanted for axis, wanted in rule.positions.items())
        ]
        for origin in matched:
            taken[origin] += 1
        if matched and usable and design.is_base(row):
            message = f"takes out the base that the others of design {design.kind} differ from"
            faults.add(matched[0], message)
        if not matched:
            kept.append(tuple(axis.values[i] for axis, i in zip(axes, row, strict=True)))
    if not usable:
        return kept, aliases
    for origin in (origin for origin, count in taken.items() if not count):
        faults.add(origin, "matches no combination; what it names never occurs together")
    if len(kept) < len(rows) and design.kind == "fractional":
        message = "a fractional design tells effects apart only as a whole; use design: crossed"
        faults.add(exclusions[0].origin, message)
    if exclusions and design.kind != "crossed":
        faults += _constant_axes(axes, kept, exclusions[0].origin.partition("[")[0])
    return kept, aliases


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


def _constant_axes(
    axes: Sequence[Axis], kept: list[Combination], origin: str
) -> Iterator[GridFault]:
    for axis, values in zip(axes, zip(*kept, strict=True), strict=False):
        left = {value.label for value in values}
        if len(left) == 1 < len(axis.values):
            message = f"only {left.pop()} is left of {axis.origin}: the axis does not vary"
            yield GridFault(origin, message)
