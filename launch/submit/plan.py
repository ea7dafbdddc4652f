"""What a launch would do: each cell's fate, and the jobs to submit; nothing is changed by it.

``tevit plan`` stops here, ``tevit launch`` goes on with :func:`launch.submit.launcher.launch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ablations.cell import Cell
from ablations.grid import Grid
from launch.executors.base import BatchPlan, CellStatus, Job, Order, Target
from launch.records.store import Store
from launch.submit.codes import codes_of, in_order
from launch.submit.retry import RetryRules, option
from launch.watch.survey import survey

Action = Literal[
    "new", "resume", "retry", "queued", "running", "done", "failed", "stopped", "blocked"
]

SUBMITTED: tuple[Action, ...] = ("new", "resume", "retry")
"""Actions that mean that the cell is submitted."""


@dataclass(frozen=True)
class LaunchRequest:
    """Cells that are to run, and where.

    Attributes:
        store: that has, or will have, their runs.
        rules: which of those that failed, or were interrupted, are tried again.
    """

    store: Store
    grid: Grid
    target: Target
    rules: RetryRules = field(default_factory=RetryRules)


@dataclass(frozen=True)
class CellPlan:
    """What is to be done about a cell.

    Attributes:
        action: "new", "resume" or "retry" (it is submitted); "queued", "running" or "done"
            (nothing to do); "failed" or "stopped" (the retry rules leave it); "blocked" (the run
            that it starts from is not trained, and is not on its way).
        note: why, where that is not plain.
        first: False: another cell of the grid has the same run.
        memory: the host memory that it gets, where it ran out of it and is tried again with more.
    """

    cell: Cell
    action: Action
    note: str
    status: CellStatus
    first: bool = True
    memory: str | None = None


@dataclass(frozen=True)
class LaunchPlan:
    """What a launch of ``grid`` would do.

    Attributes:
        problems: what the user should know, such as what could not be found out.
        orphans: live jobs that belong to the store and that no record knows.
        codes: signature to the code that the run is to go on with; empty: that is left open.
        outdated: queued cells whose jobs ask for other resources than the profile does now.
    """

    grid: Grid
    target: Target
    cells: tuple[CellPlan, ...]
    batches: tuple[BatchPlan, ...]
    problems: Sequence[str] = ()
    orphans: Sequence[Job] = ()
    codes: Mapping[str, str] = field(default_factory=dict)
    outdated: Sequence[CellStatus] = ()

    def counts(self) -> dict[Action, int]:
        """How many runs have each action; cells that share a run count once."""
        return Counter(cell.action for cell in self.cells if cell.first)

    def left_text(self) -> str | None:
        """What is left although it has not got done, and the option that would try it again."""
        left = [c for c in self.cells if c.first and c.action in ("failed", "stopped")]
        if not left:
            return None
        causes = sorted({option(c.status.state.cause or "error") for c in left})
        again = " ".join(f"--retry {cause}" for cause in causes)
        what = "failed" if all(c.action == "failed" for c in left) else "failed or interrupted"
        return f"{len(left)} {what} runs are left as they are; to try them again: {again}"


def plan_launch(
    request: LaunchRequest,
    *,
    only: Collection[str] | None = None,
    record: bool = False,
    anew: Collection[str] = (),
) -> LaunchPlan:
    """Decide about every cell of the grid.

    Args:
        only: signatures of the runs that may be submitted; none: all.
        anew: signatures of queued runs that are planned as if they had been taken back.
        record: see :func:`launch.watch.survey.survey`; False: nothing is written anywhere.

    Raises:
        UserError: the target cannot run the cells.
    """
    store, grid, target = request.store, request.grid, request.target
    found = survey(store, grid.measures(), record=record)
    cells, seen = [], set()
    for cell in grid.all_cells:
        status = found.cells[cell.signature]
        action, note = _decide(store, cell, status, request.rules)
        if action == "queued" and cell.signature in anew:
            action = "resume" if status.state.attempt else "new"
        memory = None
        if status.state.cause == "out of memory" and action in ("failed", "retry"):
            memory = target.executor.more_memory(store, target.profile, cell)
        if memory is not None:
            action, note = "retry", f"failed: out of memory; now with {memory}"
        first = cell.signature not in seen
        cells.append(CellPlan(cell, action, note, status, first, memory))
        seen.add(cell.signature)
    ordered, after = _in_order(store, cells, only)
    cells = [replace(ordered[c.cell.signature], cell=c.cell, first=c.first) for c in cells]
    chosen = [
        c.cell
        for signature, c in ordered.items()
        if c.action in SUBMITTED and (only is None or signature in only)
    ]
    problems, executor = list(found.problems), target.executor
    if target.jobs > 1 and not executor.takes_jobs:
        problems.append(f"--jobs {target.jobs} has no effect on the executor {executor.name}")
    asked = [(cell, ordered[cell.signature].status) for cell in chosen]
    codes = codes_of(store, target, asked, problems)
    groups: dict[str | None, list[Cell]] = {}
    for cell in chosen:
        apart = executor.runs == "one code a batch"
        groups.setdefault(codes.get(cell.signature) if apart else None, []).append(cell)
    orders = [Order(store, target, group, after, problems) for group in groups.values()]
    parts = map(executor.plan, orders)
    batches = in_order((batch for part in parts for batch in part), after)
    problems += [*_toy_data(chosen), *_left_out(store, grid)]
    outdated = _outdated(store, target, cells, problems)
    return LaunchPlan(
        grid, target, tuple(cells), tuple(batches), problems, found.orphans, codes, outdated
    )


def _in_order(
    store: Store, cells: Sequence[CellPlan], only: Collection[str] | None
) -> tuple[dict[str, CellPlan], dict[str, str]]:
    """Signature to plan, runs before those that start from them; and who has to wait for whom."""
    decided = {c.cell.signature: c for c in cells if c.first}
    after: dict[str, str] = {}
    ordered: dict[str, CellPlan] = {}

    def visit(plan: CellPlan) -> None:
        cell, start = plan.cell, plan.cell.start
        if cell.signature in ordered:
            return
        if start is not None:
            visit(decided[start.signature])
            before = ordered[start.signature]
            if plan.action in SUBMITTED and not store.run(start.signature).trained():
                goes = before.action in SUBMITTED and (only is None or start.signature in only)
                if goes or before.action in ("queued", "running"):
                    after[cell.signature] = start.signature
                else:
                    note = f"blocked by {start.name}: {before.status.state.cause or before.action}"
                    plan = replace(plan, action="blocked", note=note)
        ordered[cell.signature] = plan

    for plan in cells:
        visit(decided[plan.cell.signature])
    return ordered, after


def _outdated(
    store: Store, target: Target, cells: Sequence[CellPlan], problems: list[str]
) -> list[CellStatus]:
    """Cells that wait with other resources than the profile asks for by now."""
    waiting = {c.cell.signature: c.status for c in cells if c.action == "queued" and c.first}
    ours = [c.cell for c in cells if c.first and c.cell.signature in waiting]
    after = {c.cell.signature: c.cell.start.signature for c in cells if c.cell.start}
    changed: set[str] = set()
    found = []
    for part in target.executor.plan(Order(store, target, ours, after)) if ours else ():
        for cell in part.cells:
            status = waiting[cell.signature]
            if (batch := status.batch) is not None and batch.executor == target.executor.name:
                names = target.executor.changed(
                    {**batch.parameters, "pack": dict(batch.pack)},
                    {**part.parameters, "pack": dict(part.pack)},
                )
                changed.update(names)
                found += [status] if names else []
    if changed:
        problems.append(
            f"{len(found)} cells are queued with other resources than are asked for now "
            f"({', '.join(sorted(changed))}): they keep theirs, unless --replace-queued puts those "
            "in anew that have not begun"
        )
    return found


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


def _toy_data(cells: Iterable[Cell]) -> list[str]:
    """Full-size models that would be trained on the small generated frames."""
    data = [cell.config.data for cell in cells]
    if any(d.root == "synthetic" and min(d.test_size) > 2 * min(d.synthetic.size) for d in data):
        return [
            "data.root=synthetic, small generated videos, for models made for larger ones: "
            "add data.root=PATH, or --scale tiny"
        ]
    return []


def _decide(store: Store, cell: Cell, status: CellStatus, rules: RetryRules) -> tuple[Action, str]:
    state = status.state
    if not status.certain and state.name not in ("running", "done"):
        return "queued", status.note
    if state.name == "new" and cell.start is not None and not cell.trains:
        return "new", f"tests the weights of {cell.start.name}"
    if state.name in ("new", "queued", "running", "done"):
        return state.name, status.note
    refusal = rules.refusal(store.run(cell.signature), state)
    if refusal is not None:
        return ("failed" if state.name == "failed" else "stopped"), refusal
    if state.name == "failed":
        return "retry", f"failed: {state.cause}"
    return ("resume" if state.attempt else "new"), state.cause or "unfinished"
