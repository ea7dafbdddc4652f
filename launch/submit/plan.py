"""What a launch would do: each cell's fate, and the jobs to submit; nothing is changed by it.

``tevit plan`` stops here, ``tevit launch`` goes on with :func:`launch.submit.launcher.commit`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ablations.cell import Cell
from ablations.grid import Grid
from core.errors import UserError
from launch.executors import slurm_queries as slurm
from launch.executors.executors import deal_gpus, slurm_parameters, task_settings, visible_gpus
from launch.executors.profile import Profile, Shape
from launch.node.task import RUN_CELL
from launch.records.journal import ExecutorName
from launch.records.store import Store
from launch.submit.retry import RetryRules
from launch.watch.judge import CellStatus
from launch.watch.survey import store_comment, survey

Action = Literal["new", "resume", "retry", "queued", "running", "done", "failed", "stopped"]

SUBMITTED: tuple[Action, ...] = ("new", "resume", "retry")
"""Actions that mean that the cell is submitted."""


@dataclass(frozen=True)
class Target:
    """Where the cells are to run.

    Attributes:
        executor: "inline", "local" or "slurm".
        profile: what a cell asks for.
        jobs: cells at a time, for the local executor.
        function: what a cell calls.
        then: a command to run when all have ended (local executor).
    """

    executor: ExecutorName
    profile: Profile
    jobs: int = 1
    function: str = RUN_CELL
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellPlan:
    """What is to be done about a cell.

    Attributes:
        action: "new", "resume" or "retry" (it is submitted); "queued", "running" or "done"
            (nothing to do); "failed" or "stopped" (the retry rules leave it).
        note: why, where that is not plain.
        first: False: another cell of the grid has the same run.
    """

    cell: Cell
    action: Action
    note: str
    status: CellStatus
    first: bool = True


@dataclass(frozen=True)
class BatchPlan:
    """Cells to be submitted together, and what with."""

    shape: Shape
    cells: tuple[Cell, ...]
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a launch of ``grid`` would do.

    Attributes:
        problems: what the user should know, such as what could not be found out.
        strays: live jobs that belong to the store and that no record knows.
    """

    grid: Grid
    target: Target
    cells: tuple[CellPlan, ...]
    batches: tuple[BatchPlan, ...]
    problems: Sequence[str] = ()
    strays: Sequence[slurm.SlurmJob] = ()

    def counts(self) -> dict[Action, int]:
        """How many runs have each action; cells that share a run count once."""
        counts: dict[Action, int] = {}
        for cell in self.cells:
            if cell.first:
                counts[cell.action] = counts.get(cell.action, 0) + 1
        return counts


def make_plan(
    store: Store,
    grid: Grid,
    target: Target,
    rules: RetryRules,
    *,
    only: Collection[str] | None = None,
    record: bool = False,
) -> Plan:
    """Decide about every cell of ``grid``.

    Args:
        only: signatures of the runs that may be submitted; none: all.
        record: see :func:`launch.watch.survey.survey`; False: nothing is written anywhere.

    Raises:
        UserError: the target cannot run the cells.
    """
    measures = wanted(grid)
    found = survey(store, measures, record=record)
    cells, seen = [], set()
    for cell in grid.cells:
        status = found.cells[cell.signature]
        action, note = _decide(store, cell, status, rules)
        cells.append(CellPlan(cell, action, note, status, cell.signature not in seen))
        seen.add(cell.signature)
    chosen = [
        c.cell
        for c in cells
        if c.first and c.action in SUBMITTED and (only is None or c.cell.signature in only)
    ]
    batches = _batches(store, target, chosen)
    problems = [*found.problems, *_disturbed(target, batches), *_toy_data(batches)]
    problems += _left_out(store, grid)
    return Plan(grid, target, tuple(cells), batches, problems, found.strays)


def _disturbed(target: Target, batches: Sequence[BatchPlan]) -> list[str]:
    """Speeds that are measured while the neighbours compute."""
    cells = [cell for batch in batches for cell in batch.cells]
    together = target.executor == "local" and any(len(b.parameters["gpus"]) > 1 for b in batches)
    if not together or not any("fps" in cell.measure for cell in cells):
        return []
    return ["cells that run at the same time share the CPU, so their fps suffers: use --jobs 1"]


def _left_out(store: Store, grid: Grid) -> list[str]:
    """Cells that vanish from status and report, because the grid changed under its name."""
    cells = store.left_out(grid.name, {cell.signature for cell in grid.cells})
    if not cells:
        return []
    names = ", ".join(cell.name for cell in cells[:3]) + (", ..." if len(cells) > 3 else "")
    return [
        f"{len(cells)} cells of {grid.name} as it was launched before are not in it now ({names}); "
        "their runs stay where they are. To keep both, launch this one with --name ANOTHER"
    ]


def _toy_data(batches: Sequence[BatchPlan]) -> list[str]:
    """Full-size models that would be trained on the small generated frames."""
    data = [cell.config.data for batch in batches for cell in batch.cells]
    if any(d.root == "synthetic" and min(d.test_size) > 2 * min(d.synthetic.size) for d in data):
        return [
            "data.root=synthetic, small generated videos, for models made for larger ones: "
            "add data.root=PATH, or --scale tiny"
        ]
    return []


def wanted(grid: Grid) -> dict[str, tuple[str, ...]]:
    """Signature to the measurements that the grid needs of the run."""
    measures: dict[str, set[str]] = {}
    for cell in grid.cells:
        measures.setdefault(cell.signature, set()).update(cell.measure)
    return {signature: tuple(sorted(kinds)) for signature, kinds in measures.items()}


def _decide(store: Store, cell: Cell, status: CellStatus, rules: RetryRules) -> tuple[Action, str]:
    state = status.state
    if not status.certain and state.name not in ("running", "done"):
        return "queued", status.note
    if state.name in ("new", "queued", "running", "done"):
        return state.name, status.note
    refusal = rules.refusal(store.run(cell.signature), state)
    if refusal is not None:
        return ("failed" if state.name == "failed" else "stopped"), refusal
    if state.name == "failed":
        return "retry", f"failed: {state.cause}"
    return "resume", state.cause or "unfinished"


def _batches(store: Store, target: Target, cells: list[Cell]) -> tuple[BatchPlan, ...]:
    """One batch a resource shape, and as many as the site's array limit asks for."""
    if not cells:
        return ()
    if target.executor != "slurm":
        return (_batch_here(target, cells),)
    if not slurm.is_here():
        raise UserError(
            "this machine has no SLURM (sbatch and srun are not found); "
            "use --executor local or --executor inline"
        )
    groups: dict[str, list[Cell]] = {}
    shapes: dict[str, Shape] = {}
    for cell in cells:
        shape = target.profile.shape(cell.config) if target.profile.rules else target.profile
        key = shape.model_dump_json() if target.profile.rules else ""
        shapes[key] = shape
        groups.setdefault(key, []).append(cell)
    limit = target.profile.max_array_size or _site_limit()
    return tuple(
        _batch(store, target, shapes[key], group[k : k + limit])
        for key, group in groups.items()
        for k in range(0, len(group), limit)
    )


def _check_shares(cells: Sequence[Cell], tasks: int) -> None:
    """Refuse, before anything is submitted, what every task would refuse when it starts."""
    for cell in cells:
        train = cell.config.train
        if "ap" in cell.measure and train.clips % (tasks * train.accumulate):
            raise UserError(
                f"cell {cell.name}: train.clips={train.clips} cannot be shared out among {tasks} "
                f"processes (one a GPU) with train.accumulate={train.accumulate}; use a multiple "
                f"of {tasks * train.accumulate}, or another number of gpus in the profile"
            )


def _batch(store: Store, target: Target, shape: Shape, cells: list[Cell]) -> BatchPlan:
    _check_shares(cells, shape.nodes * shape.tasks_per_node)
    parameters = slurm_parameters(target.profile, shape, store_comment(store))
    return BatchPlan(shape, tuple(cells), parameters, task_settings(target.profile, shape))


def _batch_here(target: Target, cells: list[Cell]) -> BatchPlan:
    parameters: dict[str, Any] = {}
    if target.executor == "local":
        gpus = visible_gpus()
        lanes = deal_gpus(gpus, min(target.jobs, len(cells)), target.profile.gpus)
        _check_shares(cells, max(1, *map(len, lanes)))
        parameters["gpus"] = lanes
        parameters["then"] = list(target.then)
    return BatchPlan(target.profile, tuple(cells), parameters, {})


def _site_limit() -> int:
    try:
        return slurm.largest_array()
    except slurm.SlurmError as error:
        raise UserError(
            f"SLURM does not answer: {error}. Without a cluster use --executor local; where the "
            "controller is only busy, try again or set max_array_size in the profile"
        ) from error
