"""Seeds round by round: further ones only for the cells whose comparison is undecided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ablations.analysis.limits import Limits
from ablations.analysis.sequential import Rounds, rounds
from ablations.analysis.verdicts import paired_differences, verdict_sentence
from ablations.cell import Cell
from ablations.grid import Grid
from ablations.table_spec import parse_specs
from core.errors import UserError
from launch.records.store import Store
from launch.records.summary import recorded_ap


@dataclass(frozen=True)
class _Comparison:
    """A grid's cells, whatever their seeds, and the one that the others are set against.

    Attributes:
        grid: its limits of seeds, the cells of the first seeds, and those in reserve.
        limits: of the seeds.
        baseline: name of a cell without its seed, such as ``head.kind=per_frame``.
    """

    grid: Grid
    limits: Limits
    baseline: str

    @property
    def cells(self) -> dict[str, dict[int, Cell]]:
        """Name without the seed, to seed, to cell."""
        return _by_name(self.grid)


def without_seed(axes: Mapping[str, str]) -> str:
    """A cell's name in reports, which its seeds share."""
    return " ".join(f"{axis}={label}" for axis, label in axes.items()) or "base"


def comparison(grid: Grid) -> _Comparison:
    """What ``grid`` compares, by the first of its tables that has a baseline.

    Raises:
        UserError: the grid has no limits of seeds, does not measure AP, no table has a baseline, or
            it is not one cell of the grid.
    """
    if grid.limits is None:
        raise UserError(
            f"{grid.name}: seeds are added until cells are decided where the grid says how many "
            "there may be, such as seeds: {first: 3, most: 10, until: 1.0}"
        )
    if "ap" not in grid.measure:
        raise UserError(f"{grid.name}: cells are decided by AP, but the grid does not measure ap")
    names = {without_seed(cell.axes): cell.axes for cell in grid.cells}
    specs = parse_specs(grid.table, grid.source or grid.name)
    wanted = next((spec.baseline for spec in specs if spec.baseline is not None), None)
    if wanted is None:
        raise UserError(
            f"{grid.name}: whether a cell is decided shows against a baseline, but no table of "
            "the grid has one; name it, such as table: {baseline: {head.kind: per_frame}}"
        )
    if isinstance(wanted, str):
        found = [name for name in names if name == wanted]
    else:
        found = [name for name, axes in names.items() if wanted.items() <= axes.items()]
    if len(found) != 1:
        count = "no cell" if not found else f"{len(found)} cells"
        raise UserError(f"{grid.name}: the baseline {wanted} is {count}; cells: {', '.join(names)}")
    return _Comparison(grid, grid.limits, found[0])


def rounds_text(grid: Grid) -> str:
    """What ``launch --until-decided`` would do with a grid that limits its seeds."""
    try:
        limits = comparison(grid).limits
    except UserError as error:
        return f"! launch --until-decided is not possible: {error}"
    return (
        f"launch --until-decided: up to {limits.most} seeds for cells whose difference is not "
        f"settled to within {limits.until:g} AP"
    )


def standing(store: Store, asked: _Comparison, stuck: Sequence[str] = ()) -> Rounds:
    """Where the comparison stands by the AP of the runs on disk.

    Args:
        store: with the runs.
        asked: what is compared.
        stuck: cells that get no further seeds, because runs of theirs fail.
    """
    figures = {
        name: {seed: 100 * ap for seed, ap in _figures(store, cells).items()}
        for name, cells in asked.cells.items()
    }
    reference = figures.pop(asked.baseline)
    differences = {name: paired_differences(of, reference) for name, of in figures.items()}
    return rounds(differences, asked.limits, stuck=stuck)


def _figures(store: Store, cells: Mapping[int, Cell]) -> dict[int, float]:
    found = {seed: recorded_ap(store.run(cell.signature)) for seed, cell in cells.items()}
    return {seed: ap for seed, ap in found.items() if ap is not None}


def with_earlier_rounds(store: Store, grid: Grid) -> Grid:
    """``grid`` with those of the seeds in reserve that rounds before have added.

    So a grid that is launched, or planned, again does not lose them.
    """
    if not grid.reserve or grid.name not in store.grid_names():
        return grid
    before = {cell.signature for cell in store.manifest(grid.name).cells}
    added = {cell.signature for cell in grid.reserve} & before
    kept = {cell.signature for cell in grid.cells} | added
    ordered = [cells[seed] for cells in _by_name(grid).values() for seed in sorted(cells)]
    return replace(
        grid,
        cells=tuple(cell for cell in ordered if cell.signature in kept),
        reserve=tuple(cell for cell in grid.reserve if cell.signature not in added),
    )


def _by_name(grid: Grid) -> dict[str, dict[int, Cell]]:
    found: dict[str, dict[int, Cell]] = {}
    for cell in (*grid.cells, *grid.reserve):
        found.setdefault(without_seed(cell.axes), {})[cell.seed] = cell
    return found


def next_round(asked: _Comparison, now: Rounds) -> Grid:
    """The grid of the next round: every cell with the seeds that it has got, or gets now."""
    first = asked.limits.first
    counts = {name: max(first, verdict.seeds) for name, verdict in now.verdicts.items()}
    counts |= dict.fromkeys(now.further, now.seeds)
    counts[asked.baseline] = max(counts.values(), default=first)
    cells = tuple(
        cells[seed] for name, cells in asked.cells.items() for seed in sorted(cells)[: counts[name]]
    )
    return replace(asked.grid, cells=cells, reserve=())


def until_decided(
    store: Store,
    asked: _Comparison,
    run: Callable[[Grid], bool],
    say: Callable[[str], None],
) -> bool:
    """Run round after round until every cell is decided or has as many seeds as there may be.

    It goes on from the runs on disk, so that doing it again continues where it was cut off.  A
    cell whose runs fail gets no further seeds, keeps its last verdict, and holds no other up.

    Args:
        store: for the runs.
        asked: what is compared.
        run: runs the cells of a grid that are missing, and waits for them; false if some failed.
        say: told what each round has shown.

    Returns:
        Whether no cell was left without seeds that it should have.
    """
    stuck: list[str] = []
    now = standing(store, asked)
    run(next_round(asked, now))  # whatever is on disk, the manifest has the cells of this round
    while True:
        wanted = now.further, now.seeds
        now = standing(store, asked, stuck)
        if (now.further, now.seeds) == wanted:  # its runs are not there after they were run
            stuck += _behind(store, asked, now)
            now = standing(store, asked, stuck)
        for name, verdict in now.verdicts.items():
            say(verdict_sentence(name, verdict, delta=asked.limits.until))
        if not now.further:
            say(now.note)
            return not stuck
        say(f"{now.seeds} seeds for {', '.join(now.further)}")
        run(next_round(asked, now))


def _behind(store: Store, asked: _Comparison, now: Rounds) -> list[str]:
    """The cells of a round that still lack a seed that they, or the baseline, should have."""
    present = {name: set(_figures(store, cells)) for name, cells in asked.cells.items()}
    both = {name: present[name] & present[asked.baseline] for name in now.further}
    return [name for name, seeds in both.items() if len(seeds) < now.seeds]
