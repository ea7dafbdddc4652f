"""A grid file, key by key, and what is wrong with one; what it means is settled in expand.py."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from ablations.analysis.limits import MOST_SEEDS, Limits
from ablations.cell import MeasurementName
from benchmarks.measurements import MEASUREMENTS
from core.config.overrides import unknown
from core.config.strict import Strict, fault_text, root_faults
from core.errors import UserError

_SHOWN = 30


@dataclass(frozen=True)
class GridFault:
    """One thing to mend.

    Attributes:
        field: where in the grid, such as ``axes.head.kind[1]``.
        message: what is wrong, and what would be valid.
    """

    field: str
    message: str

    def __str__(self) -> str:
        """``field: message``, the lines of a longer message indented."""
        return f"{self.field}: {self.message}".replace("\n", "\n    ")


class Faults(list[GridFault]):
    """What is found to be wrong with a grid.

    Attributes:
        absent: files that are not there, which leave the rest as sound as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.absent: list[GridFault] = []

    def add(self, field: str, message: str) -> None:
        """One more."""
        self.append(GridFault(field, message))


class GridError(UserError, ValueError):
    """A grid that cannot be used; ``faults`` holds every fault that was found."""

    def __init__(self, source: str, faults: Iterable[GridFault]) -> None:
        self.source = source
        self.faults = tuple(dict.fromkeys(faults))
        shown = [f"  {fault}" for fault in self.faults[:_SHOWN]]
        if more := len(self.faults) - len(shown):
            shown.append(f"  ... and {more} more")
        count = f"{len(self.faults)} fault" + "s" * (len(self.faults) != 1)
        super().__init__("\n".join([f"grid {source}: {count}", *shown]))


def _seed_list(value: Any) -> Any:
    """``3`` as seeds 0, 1, 2."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value}: at least one seed, as a count or a list of seeds")
        if value > MOST_SEEDS:
            raise ValueError(f"{value}: at most {MOST_SEEDS} seeds")
        return tuple(range(value))
    if isinstance(value, list | tuple) and len(set(map(str, value))) < len(value):
        raise ValueError(f"{list(value)}: a seed is given twice")
    return value


def _start_seeds(value: Any) -> Any:
    if value != "same" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{value!r}: expected a count of at least 1, or same")
    return value


Seed = Annotated[int, Field(ge=0, strict=True)]
Seeds = Annotated[tuple[Seed, ...], BeforeValidator(_seed_list), Field(min_length=1)]
"""A count n (seeds 0 to n-1) or a list of seeds."""
SeedsOrLimits = Annotated[
    Annotated[Seeds, Tag("[list]")] | Annotated[Limits, Tag("[limits]")],
    Discriminator(lambda value: "[limits]" if isinstance(value, Mapping | Limits) else "[list]"),
]
Measure = Annotated[
    tuple[MeasurementName, ...],
    AfterValidator(lambda names: tuple(dict.fromkeys(names))),
    Field(min_length=1),
]
"""What each cell needs, of :data:`benchmarks.measurements.NAMES`."""
Values = Annotated[list[Any], Field(min_length=1)]
Zip = list[Annotated[list[str], Field(min_length=2)]]
"""Groups of axes that advance together instead of being crossed."""
Exclude = list[Annotated[dict[str, Any], Field(min_length=1)]]
"""Combinations left out: axis to a label, or to a list of labels."""

AT_FAULT = object()
"""Stands for the values of an axis that are at fault and reported already."""


class DesignSpec(Strict):
    """Which combinations of the axes' values are run."""

    kind: Literal["crossed", "around", "path", "fractional"] = "crossed"
    base: dict[str, Any] = Field(default={})
    """of around and path, axis to the label that the others differ from; an axis that is not named:
    its first"""

    resolution: Literal[3, 4, 5] | None = None
    """of fractional: 3, 4 (the default) or 5"""

    @model_validator(mode="after")
    def _keys_of_the_kind(self) -> DesignSpec:
        if self.base and self.kind not in ("around", "path"):
            raise ValueError(f"a {self.kind} design has no base; only around and path have one")
        if self.resolution is not None and self.kind != "fractional":
            raise ValueError(f"a {self.kind} design has no resolution; only fractional has one")
        return self


DesignOrKind = Annotated[
    DesignSpec,
    BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),
]
"""crossed; around (one axis at a time differs from the base); path (each row changes one more
axis); fractional (two values an axis, of a resolution)."""


class StartSpec(Strict):
    """A run that is trained first and whose weights the cells begin with."""

    base: str | None = None
    """preset or config file; none: the grid's base with the grid's overrides"""

    overrides: dict[str, Any] = Field(default={})
    """what differs in the start run"""

    follows: list[str] = Field(default=[])
    """axes whose value it shares: a start run for each of their values"""

    seeds: Annotated[int | Literal["same"], BeforeValidator(_start_seeds)] = 1
    """how many, shared out among the cells' seeds; same: one a seed"""

    measure: tuple[MeasurementName, ...] = ()
    """what is measured of the start run itself"""


class ScaleSpec(Strict):
    """Another size of the same question: what differs from the grid itself."""

    base: str | None = None
    """preset or config file instead of the grid's"""

    overrides: dict[str, Any] = Field(default={})
    """on top of the grid's overrides"""

    axes: dict[str, Values] = Field(default={})
    """other values for axes of the grid"""

    zip: Zip | None = None
    design: DesignOrKind | None = None
    start: StartSpec | None = None
    exclude: Exclude | None = None
    seeds: SeedsOrLimits | None = None
    measure: Measure | None = None
    table: Any = None


class GridSpec(Strict):
    """A grid file as written."""

    name: str | None = None
    """letters, digits, . _ - (it names a file); default: the file's stem"""

    description: str = ""
    """the question that the grid answers"""

    base: str = "tevit_msgshift"
    """preset, or config file beside the grid"""

    overrides: dict[str, Any] = Field(default={})
    """fields of the base to replace, in every cell"""

    axes: dict[str, Values] = Field(default={})
    """what varies: see docs/grids.md"""

    zip: Zip = Field(default=[])
    design: DesignOrKind = DesignSpec()
    start: StartSpec | None = None
    """a run that is trained first, whose weights the cells begin with"""

    exclude: Exclude = Field(default=[])
    seeds: SeedsOrLimits = (0,)
    measure: Measure = tuple(n for n, kind in MEASUREMENTS.items() if not kind.on_request)
    scales: dict[str, ScaleSpec] = Field(default={})
    """name to what differs at that scale (--scale NAME)"""

    table: Any = None
    """how reports lay the grid out: one table, or a list of them"""


def read_spec(data: Any, faults: Faults) -> GridSpec | None:
    """``data`` checked against the shape.

    Where entries are at fault the rest is returned nevertheless, so that one error can tell of
    everything; none where nothing is left to check.
    """
    if isinstance(data, GridSpec):
        return data
    if not isinstance(data, Mapping):
        faults.add("(file)", f"a mapping of keys is expected, not {data!r:.80}")
        return None
    data = copy.deepcopy(dict(data))
    while True:
        try:
            return GridSpec.model_validate(data)
        except ValidationError as error:
            for item in root_faults(error):
                faults.add(_field(item["loc"]), error_text(item))
                _prune(data, item["loc"])


def _prune(data: dict[Any, Any], loc: tuple[str | int, ...]) -> None:
    """Remove the entry at fault: an axis's values alone, else the whole key."""
    entries = data.get(loc[0])
    if loc[0] == "axes" and len(loc) == 2 and isinstance(entries, dict):
        entries[loc[1]] = [AT_FAULT]
    elif loc[0] == "axes" and isinstance(entries, dict):
        entries.pop(loc[1], None)
    else:
        data.pop(loc[0], None)


def _field(loc: tuple[str | int, ...]) -> str:
    """``axes.head.kind[1]`` of pydantic's location; its tags of keys and unions left out."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith("["):
            text += f".{part}" if text else part
    return text


def error_text(fault: ErrorDetails) -> str:
    """One of pydantic's faults in a line: the value, and what is valid."""
    *parents, name = ("", *map(str, fault["loc"]))
    nested: dict[str, type[Strict]] = {"design": DesignSpec, "start": StartSpec, "[limits]": Limits}
    model = nested.get(parents[-1], ScaleSpec) if parents[1:] else GridSpec
    return fault_text(fault, unknown("key", name, model.model_fields))
