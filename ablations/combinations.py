"""Which combinations of its axes' values a grid runs: zipped axes, the design, exclusions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ablations import designs
from ablations.axes import Axis, label_text
from ablations.base import Combination
from ablations.grid_file import DesignSpec, GridFault
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


def position_of(
    axes: tuple[Axis, ...], name: str, origin: str, faults: list[GridFault]
) -> int | None:
    """Which of the axes ``name`` is; one that is not there is a fault."""
    names = [axis.name for axis in axes]
    if name in names:
        return names.index(name)
    faults.append(GridFault(origin, unknown("axis", name, names)))
    return None


def zipped_axes(
    axes: tuple[Axis, ...], zipped: list[list[str]], origin: str, faults: list[GridFault]
) -> tuple[tuple[int, ...], ...]:
    """Positions of the axes that advance together; an axis that is not zipped stands alone.

    What is wrong with ``zipped``, which stands at ``origin``, is added to ``faults``; so it is by
    all that read a part of a grid here.
    """
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


def read_design(
    axes: tuple[Axis, ...],
    groups: tuple[tuple[int, ...], ...],
    spec: DesignSpec,
    origin: str,
    faults: list[GridFault],
) -> Design:
    """The design of ``spec``, with the positions of its base's labels."""
    names = [axis.name for axis in axes]
    base = [0] * len(groups)
    for name, wanted in spec.base.items():
        axis = position_of(axes, name, f"{origin}.base", faults)
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
            if len(one.values) != 2 and one.usable:
                message = f"a fractional design has two values an axis; {one.origin} has "
                faults.append(GridFault(origin, f"{message}{len(one.values)}"))
    return Design(spec.kind, origin, groups, tuple(base), spec.resolution or 4)


def read_exclusions(
    axes: tuple[Axis, ...], rules: list[dict[str, Any]], origin: str, faults: list[GridFault]
) -> tuple[Exclusion, ...]:
    """The positions that each rule of ``exclude`` names by labels."""
    exclusions = []
    for k, rule in enumerate(rules):
        positions: dict[int, frozenset[int]] = {}
        for name, wanted in rule.items():
            axis = position_of(axes, name, f"{origin}[{k}]", faults)
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
        elif axis.usable:
            faults.append(GridFault(origin, unknown("label", choice, labels)))
    return frozenset(found)


def combinations_of(
    axes: Sequence[Axis], design: Design, exclusions: Sequence[Exclusion]
) -> tuple[list[Combination], tuple[str, ...], list[GridFault]]:
    """What the design has and no exclusion takes out; what the design cannot tell apart.

    Exclusions that take out nothing, or what the design is built on, are faults.
    """
    rows, aliases = _rows(design, design.sizes(axes), [axis.name for axis in axes])
    taken = dict.fromkeys((rule.origin for rule in exclusions), 0)
    usable = all(axis.usable for axis in axes)
    kept: list[Combination] = []
    faults: list[GridFault] = []
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
            faults.append(GridFault(matched[0], message))
        if not matched:
            kept.append(tuple(axis.values[i] for axis, i in zip(axes, row, strict=True)))
    if not usable:
        return kept, aliases, faults
    message = "matches no combination; what it names never occurs together"
    faults += [GridFault(origin, message) for origin, count in taken.items() if not count]
    if len(kept) < len(rows) and design.kind == "fractional":
        message = "a fractional design tells effects apart only as a whole; use design: crossed"
        faults.append(GridFault(exclusions[0].origin, message))
    if exclusions and design.kind != "crossed":
        faults += _constant_axes(axes, kept, exclusions[0].origin.partition("[")[0])
    return kept, aliases, faults


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
