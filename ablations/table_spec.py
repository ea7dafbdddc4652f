"""What a table shows, as a user writes it: the ``table:`` key of a grid, or a file of its own.

The key is checked with the grid, so that a typo is refused before training and not after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from ablations.axes import Axis, label_text
from ablations.grid_file import GridFault
from benchmarks.figures import FIGURES, GROUPS
from benchmarks.measurements import NAMES
from core.config.overrides import field_names, unknown
from core.config.strict import Strict, fault_text, root_faults
from core.config.yaml_file import read_yaml
from core.errors import UserError

_DERIVED = ("method", "backbone", "cell", "seed")
_COLLECTED = (*NAMES, "run", "axis")


class TableError(UserError):
    """A table specification that names what does not exist, or that cannot be filled."""


class ColumnSpec(Strict):
    """One figure of a table."""

    figure: str
    """a named figure (AP, params, ...) or a collected column"""

    label: str | None = None
    """head of the column; none: the figure's own"""

    decimals: Annotated[int, Field(ge=0, le=9)] | None = None
    """digits after the point; none: the figure's own"""

    best: Literal["high", "low", "none"] | None = None
    """which end is bold; none given: the figure's own"""

    difference: bool = False
    """followed by the difference to the baseline"""


class TableSpec(Strict):
    """A table: what its rows and columns are, in which order, under which names."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    """stem of its files"""

    title: str | None = None
    """first sentence of the caption"""

    shape: Literal["plain", "components", "main"] = "plain"
    """plain: a column an axis; components: check marks, each cell set against the baseline; main:
    method and backbone, as in a comparison of methods"""

    rows: tuple[str, ...] | None = None
    """axes, config fields, 'method', 'backbone' or 'cell' that name a row"""

    columns: tuple[ColumnSpec, ...] | None = Field(default=None, min_length=1)
    across: str | None = None
    """axis or field whose values stand side by side"""

    group: str | None = None
    """axis or field that a rule separates"""

    order: dict[str, tuple[str, ...]] = Field(default={})
    """axis to its values in the order of the rows; unnamed ones follow"""

    checks: dict[str, str] = Field(default={})
    """axis to the value that earns a check mark (others: none)"""

    labels: dict[str, str] = Field(default={})
    """axis, field, figure, 'axis=value' or value, to what is printed"""

    decimals: dict[str, Annotated[int, Field(ge=0, le=9)]] = Field(default={})
    """figure to digits after the point"""

    baseline: str | dict[str, str] | None = None
    """the cell that the others are set against, by name or by axis values"""

    published: tuple[str, ...] = ()
    """entries of published.yaml to set beside"""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """confidence of intervals and of the test behind the bold figures"""

    delta: Annotated[float, Field(gt=0)] = 1.0
    """differences up to this size, in points of AP, are of no interest: the verdicts say *no
    different* within it"""

    width: Literal["column", "text"] | None = None
    """LaTeX: table or table*; none: by the number of columns"""

    @field_validator("columns", mode="before")
    @classmethod
    def _columns_by_name(cls, value: Any) -> Any:
        """A column may be given by the name of its figure alone, a group of columns by its own."""
        if not isinstance(value, list | tuple):
            return value
        columns: list[Any] = []
        for item in value:
            named = isinstance(item, str)
            columns += [{"figure": n} for n in GROUPS.get(item, (item,))] if named else [item]
        return columns

    @field_validator("order", "checks", "labels", "baseline", mode="before")
    @classmethod
    def _numbers_as_labels(cls, value: Any) -> Any:
        """YAML reads an axis value such as 8 or true as what it is; here it is a label."""
        return _as_text(value) if isinstance(value, dict) else value


_FIELDS = ", ".join(TableSpec.model_fields)


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {_as_text(key): _as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(item) for item in value]
    return value if isinstance(value, str) else label_text(value)


def table_faults(
    table: Any, origin: str, axes: Sequence[Axis], combinations: Sequence[Mapping[str, str]]
) -> list[GridFault]:
    """What is wrong with a grid's ``table``: found before anything is trained, not after.

    Args:
        table: one specification, a list of them, or none.
        origin: where it stands in the grid.
        combinations: axis to label, of every cell.
    """
    faults: list[GridFault] = []
    for place, item in _tables(table).items():
        where = f"{origin}{place}"
        if not isinstance(item, Mapping):
            faults.append(GridFault(where, f"expected a mapping of table keys, not {item!r:.80}"))
            continue
        try:
            spec = TableSpec.model_validate(dict(item))
        except ValidationError as error:
            faults += [GridFault(where, line) for line in _explain(error)]
        else:
            known = {axis.name: axis for axis in axes}
            faults += _figure_faults(spec, where)
            faults += _name_faults(spec, where, known)
            faults += _baseline_faults(spec, where, known, combinations)
    return faults


def _figure_faults(spec: TableSpec, origin: str) -> Iterator[GridFault]:
    asked = {"columns": [c.figure for c in spec.columns or ()], "decimals": [*spec.decimals]}
    for key, figures in asked.items():
        for name in figures:
            collected = name.partition(".")[0] in _COLLECTED and "." in name
            if name not in FIGURES and not collected and name not in field_names():
                message = f"{unknown('figure', name, FIGURES)}, or any column of the collected CSV"
                yield GridFault(f"{origin}.{key}", message)


def _name_faults(spec: TableSpec, origin: str, axes: Mapping[str, Axis]) -> Iterator[GridFault]:
    names = {
        "rows": spec.rows or (),
        "across": (spec.across,) if spec.across else (),
        "group": (spec.group,) if spec.group else (),
        "order": spec.order,
        "checks": spec.checks,
        "baseline": spec.baseline if isinstance(spec.baseline, dict) else {},
    }
    for key, mentioned in names.items():
        for name in mentioned:
            if name not in (*axes, *_DERIVED, *field_names()):
                yield GridFault(f"{origin}.{key}", unknown("axis", name, axes))
            elif name in axes and isinstance(mentioned, Mapping):
                wanted = mentioned[name]
                for label in wanted if isinstance(wanted, tuple) else (wanted,):
                    if label not in axes[name].labels:
                        where = f"{origin}.{key}.{name}"
                        yield GridFault(where, unknown("label", label, axes[name].labels))


def _baseline_faults(
    spec: TableSpec,
    origin: str,
    axes: Mapping[str, Axis],
    combinations: Sequence[Mapping[str, str]],
) -> Iterator[GridFault]:
    wanted = spec.baseline
    if isinstance(wanted, dict) and wanted.keys() <= axes.keys():
        found = [labels for labels in combinations if wanted.items() <= labels.items()]
        if len(found) != 1:
            count = "no cell" if not found else f"{len(found)} cells"
            yield GridFault(
                f"{origin}.baseline", f"{wanted} is {count} of the grid; it must be one"
            )


def parse_specs(value: Any, source: str | Path) -> list[TableSpec]:
    """The tables of a grid's ``table:`` key: a mapping, a list of them, or none.

    Args:
        value: plain YAML values.
        source: the file that they come from, for messages.

    Raises:
        TableError: naming file, table, field and the valid names.
    """
    items = _tables(value).values()
    specs = [_parse(item, f"{source}: table {n}", n) for n, item in enumerate(items, 1)]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise TableError(f"{source}: two tables are called {name!r}; set table.name")
    return specs


def load_specs(path: Path) -> list[TableSpec]:
    """The tables of a file: one mapping, a list of them, or a grid file with a ``table:`` key.

    Raises:
        TableError: the file holds no table, or one with faults.
        YamlError: the file cannot be read or is not YAML.
    """
    value = read_yaml(path)
    if isinstance(value, Mapping) and "table" in value:
        value = value["table"]
    specs = parse_specs(value, path)
    if not specs:
        raise TableError(f"{path}: no table in it; expected fields: {_FIELDS}")
    return specs


def _tables(table: Any) -> dict[str, Any]:
    """The tables of the key, by their place in it: one, a list, or a mapping ``{tables: ...}``."""
    if table is None:
        return {}
    if isinstance(table, Mapping) and set(table) == {"tables"}:
        table = table["tables"]
    if not isinstance(table, list):
        return {"": table}
    return {f"[{k}]": item for k, item in enumerate(table)}


def _parse(item: Any, where: str, number: int) -> TableSpec:
    if not isinstance(item, Mapping):
        raise TableError(f"{where}: expected a mapping of {_FIELDS}, not {item!r}")
    try:
        spec = TableSpec.model_validate(dict(item))
    except ValidationError as error:
        raise TableError("\n".join(f"{where}: {line}" for line in _explain(error))) from error
    if spec.name is None and number > 1:
        return spec.model_copy(update={"name": f"table{number}"})
    return spec


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for fault in root_faults(error):
        name = ".".join(map(str, fault["loc"]))
        model = ColumnSpec if name.startswith("columns.") else TableSpec
        lines.append(fault_text(fault, unknown("field", name, model.model_fields), name))
    return lines


def check_figures(spec: TableSpec, columns: list[str]) -> None:
    """Refuse a figure that is neither named nor collected.

    Raises:
        TableError: naming the figure and the valid ones.
    """
    for column in spec.columns or ():
        if column.figure not in FIGURES and column.figure not in columns:
            raise TableError(
                f"table {spec.name or ''}: unknown figure {column.figure!r}; valid figures: "
                f"{', '.join(FIGURES)}, or any column of the collected CSV"
            )
