"""Grids: from a file (or a dict) to resolved, validated, named cells.

    grid = load_grid("components", scale="tiny")
    for cell in grid.cells: ...

Everything is settled here, before anything runs; what is wrong comes as one
:class:`~ablations.grid_file.GridError` that names every fault.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ablations.analysis.limits import Limits
from ablations.cell import Cell, MeasurementName
from ablations.combinations import combinations_of
from ablations.draft import draft
from ablations.expand import cells_of
from ablations.grid_file import Faults, GridError, GridFault, GridSpec, read_spec
from ablations.table_spec import table_faults
from core.config.overrides import unknown
from core.config.yaml_file import read_yaml
from core.files import kind_of

SHIPPED_GRIDS = Path(__file__).parent / "grids"


@dataclass(frozen=True)
class Grid:
    """A resolved grid.

    Attributes:
        name: names its manifest; with ``-SCALE`` appended where a scale was asked for.
        description: the question that it answers.
        cells: in the order of the axes, the seed innermost.
        axes: axis to its labels, in the order of the file.
        measure: what each cell needs.
        table: the specification of its table(s), as written.
        source: the file, if it comes from one.
        scale: the scale, if one was asked for.
        scales: the scales that there are.
        design: crossed, around, path or fractional.
        aliases: effects that the design cannot tell apart, such as ``"a = b × c"``.
        limits: of the seeds, where these are added round by round.
        reserve: the cells of the seeds that are added only to undecided cells.
    """

    name: str
    description: str
    cells: tuple[Cell, ...]
    axes: Mapping[str, tuple[str, ...]]
    measure: tuple[MeasurementName, ...]
    table: Any
    source: Path | None = None
    scale: str | None = None
    scales: tuple[str, ...] = ()
    design: str = "crossed"
    aliases: tuple[str, ...] = ()
    limits: Limits | None = None
    reserve: tuple[Cell, ...] = ()

    @cached_property
    def start_cells(self) -> tuple[Cell, ...]:
        """The runs that cells start from and that are no cells of the grid, each once.

        One that starts from another comes after it.
        """
        own = {cell.signature for cell in self.cells}
        starts = {start.signature: start for cell in self.cells for start in reversed(cell.starts)}
        return tuple(start for signature, start in starts.items() if signature not in own)

    @property
    def all_cells(self) -> tuple[Cell, ...]:
        """Start runs, then the grid's own cells: the order in which they can run."""
        return (*self.start_cells, *self.cells)

    def measures(self) -> dict[str, tuple[str, ...]]:
        """Signature to what is wanted of the run, by all cells that it computes or starts."""
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for cell in self.cells:
            for run in (cell, *cell.starts):
                wanted[run.signature] |= {*run.measure}
        return {signature: tuple(sorted(kinds)) for signature, kinds in wanted.items()}

    @cached_property
    def runs(self) -> dict[str, tuple[Cell, ...]]:
        """Signature to the cells that it computes: more than one where they share a run."""
        runs: defaultdict[str, list[Cell]] = defaultdict(list)
        for cell in self.cells:
            runs[cell.signature].append(cell)
        return {signature: tuple(cells) for signature, cells in runs.items()}


def shipped_grids() -> list[str]:
    """Names of the grids that come with the package."""
    return sorted(path.stem for path in SHIPPED_GRIDS.glob("*.yaml"))


def find_grid(name_or_path: str | Path) -> Path:
    """The file of a shipped grid's name, or the path itself.

    Raises:
        GridError: neither a file nor a shipped grid.
    """
    path = Path(name_or_path).expanduser()
    is_file = kind_of(path) == "file"
    if path.suffix in (".yaml", ".yml") or is_file:
        if is_file:
            return path
        raise GridError(str(path), [GridFault("(file)", "no such file")])
    if str(name_or_path) in shipped_grids():
        return SHIPPED_GRIDS / f"{name_or_path}.yaml"
    message = f"{unknown('grid', str(name_or_path), shipped_grids())}, or a path ending in .yaml"
    raise GridError(str(name_or_path), [GridFault("(file)", message)])


def load_grid(
    name_or_path: str | Path,
    *,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | int | None = None,
    name: str | None = None,
) -> Grid:
    """The grid of a file, or a shipped one by name, resolved and validated as a whole.

    Args:
        scale: a key of the grid's ``scales``; none: the grid as it is.
        overrides: dotted field to value, on top of the grid's own, in every cell.
        seeds: in place of the grid's own; a count or the seeds themselves.
        name: in place of the grid's own.

    Raises:
        GridError: with every fault, by file and field.
        YamlError: the file is not YAML.
    """
    path = find_grid(name_or_path)
    return build_grid(
        read_yaml(path), source=path, scale=scale, overrides=overrides, seeds=seeds, name=name
    )


def count_cells(name_or_path: str | Path, scale: str | None = None) -> int:
    """How many cells a grid has, whether the files and datasets that it names are there or not.

    Raises:
        GridError: its combinations cannot be formed.
        YamlError: the file is not YAML.
    """
    path, faults = find_grid(name_or_path), Faults()
    spec = read_spec(read_yaml(path), faults)
    whole = not faults
    made = None if spec is None else draft(spec, faults, scale=scale, folder=path.parent)
    if made is None or not whole:
        raise GridError(str(path), faults)
    combinations, _ = combinations_of(made.axes, made.design, made.exclusions, faults)
    return len(combinations) * (made.limits.first if made.limits else len(made.seeds))


def launched_name(grid: str, scale: str | None = None) -> str:
    """Name under which a grid was launched, from that name or its file, and its scale.

    Raises:
        GridError: the file is not a grid.
    """
    if Path(grid).suffix in (".yaml", ".yml"):
        return load_grid(grid, scale=scale).name
    return f"{grid}-{scale}" if scale and not grid.endswith(f"-{scale}") else grid


def build_grid(
    data: Mapping[str, Any] | GridSpec,
    *,
    source: Path | None = None,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | int | None = None,
    name: str | None = None,
) -> Grid:
    """The same from Python: ``data`` has the keys of a grid file.

    Raises:
        GridError: with every fault, by field.
    """
    faults = Faults()
    spec = read_spec(data, faults)
    cells: tuple[Cell, ...] = ()
    aliases: tuple[str, ...] = ()
    made = None
    if spec is not None:
        whole = not faults  # otherwise keys are missing, and combinations would mislead
        folder = source.parent if source else None
        made = draft(spec, faults, scale=scale, overrides=overrides, seeds=seeds, folder=folder)
        if made is not None and made.complete and whole:
            cells, aliases = cells_of(made, faults)
            if made.usable:
                labels = [cell.axes for cell in cells if cell.seed == made.seeds[0]]
                faults += table_faults(made.table, made.table_origin, made.axes, labels)
    stem = (spec.name if spec else None) or (source.stem if source else "grid")
    full_name = name or (f"{stem}-{scale}" if scale else stem)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", full_name):
        message = f"{full_name!r} names a file: letters, digits, . _ - only, the first no sign"
        faults.add("name", message)
    if spec is None or made is None or faults:
        raise GridError(str(source or name or "(from Python)"), faults)
    first = made.limits.first if made.limits else math.inf
    return Grid(
        name=full_name,
        description=spec.description,
        cells=tuple(cell for cell in cells if cell.seed < first),
        axes={axis.name: axis.labels for axis in made.axes},
        measure=made.measure,
        table=made.table,
        source=source,
        scale=scale,
        scales=tuple(spec.scales),
        design=made.design.kind,
        aliases=aliases,
        limits=made.limits,
        reserve=tuple(cell for cell in cells if cell.seed >= first),
    )
