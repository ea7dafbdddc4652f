"""A first look at a grid's ``table``: the axes and values that it names must exist.

What a table can otherwise hold is for reports to say; what is wrong there costs no run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ablations.axes import Axis, label_text
from ablations.grid_file import Fault
from core.config.overrides import field_names, unknown

_BY_NAME = ("rows", "across", "group")
_BY_VALUE = ("order", "checks", "baseline")
_DERIVED = ("method", "backbone", "cell", "seed")


def table_faults(
    table: Any, origin: str, axes: Sequence[Axis], combinations: Sequence[Mapping[str, str]]
) -> list[Fault]:
    """What the table names that the grid does not have.

    Args:
        table: one specification, a list of them, or none.
        combinations: axis to label, of every cell.
    """
    if table is None:
        return []
    if isinstance(table, Mapping) and set(table) == {"tables"}:
        table = table["tables"]
    specs = table if isinstance(table, list) else [table]
    faults: list[Fault] = []
    for k, spec in enumerate(specs):
        where = f"{origin}[{k}]" if isinstance(table, list) else origin
        if isinstance(spec, Mapping):
            faults += _spec_faults(spec, where, {axis.name: axis for axis in axes}, combinations)
        else:
            faults.append(Fault(where, f"expected a mapping of table keys, not {spec!r:.80}"))
    return faults


def _spec_faults(
    spec: Mapping[str, Any],
    origin: str,
    axes: Mapping[str, Axis],
    combinations: Sequence[Mapping[str, str]],
) -> Iterator[Fault]:
    for key in _BY_NAME:
        names = spec.get(key) or []
        for name in names if isinstance(names, list) else [names]:
            if name not in (*axes, *_DERIVED, *field_names()):
                yield Fault(f"{origin}.{key}", unknown("axis", str(name), axes))
    for key in _BY_VALUE:
        values = spec.get(key)
        for name, wanted in values.items() if isinstance(values, Mapping) else ():
            if name in axes:
                yield from _label_faults(axes[name], wanted, f"{origin}.{key}.{name}")
            elif name not in (*_DERIVED, *field_names()):
                yield Fault(f"{origin}.{key}", unknown("axis", str(name), axes))
    baseline = spec.get("baseline")
    if isinstance(baseline, Mapping) and baseline.keys() <= axes.keys():
        yield from _baseline_faults(baseline, f"{origin}.baseline", combinations)


def _label_faults(axis: Axis, wanted: Any, origin: str) -> Iterator[Fault]:
    for label in map(label_text, wanted if isinstance(wanted, list) else [wanted]):
        if label not in axis.labels:
            yield Fault(origin, unknown("label", label, axis.labels))


def _baseline_faults(
    baseline: Mapping[str, Any], origin: str, combinations: Sequence[Mapping[str, str]]
) -> Iterator[Fault]:
    wanted = {axis: label_text(label) for axis, label in baseline.items()}
    found = [labels for labels in combinations if wanted.items() <= labels.items()]
    if len(found) != 1:
        count = "no cell" if not found else f"{len(found)} cells"
        yield Fault(origin, f"{wanted} is {count} of the grid; it must be one")
