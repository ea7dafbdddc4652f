"""From a plan to running cells, such that nothing is lost wherever the launcher dies.

One launcher at a time submits (a lease, not a lock: a dead launcher does not block the next).
Each batch goes through the same steps, each of which leaves a record:

    1. the batch is written to the journal          killed here: void, the cells are free again
    2. its cells are marked as queued               killed here: the same
    3. the scheduler takes it                       killed here: found by the job's name, adopted
    4. the job's id is written to the journal
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.cell import Cell
from ablations.grid import Grid
from ablations.signature import SCHEMA
from core.errors import UserError
from launch.executors import slurm_queries as slurm
from launch.executors.executors import SubmissionError, start_local, submit_slurm
from launch.records import lease
from launch.records.journal import Batch, Journal, new_batch_id
from launch.records.process import myself
from launch.records.run_folder import timestamp
from launch.records.store import Manifest, ManifestCell, Store
from launch.submit.plan import BatchPlan, Plan, Target, make_plan, wanted
from launch.submit.retry import RetryRules
from launch.watch.facts import ask
from launch.watch.settle import launcher_lock, void

logger = logging.getLogger(__name__)

LOCK_PATIENCE_SECONDS = 600.0
_WRITERS = 16
_KEPT_CLAIMS = 8


@dataclass(frozen=True)
class Launched:
    """What a launch did.

    Attributes:
        plan: what it had decided.
        batches: what it submitted, each with the job's id ("" where there is none).
    """

    plan: Plan
    batches: tuple[tuple[Batch, str], ...]


def launch(
    store: Store,
    grid: Grid,
    target: Target,
    rules: RetryRules,
    *,
    only: Collection[str] | None = None,
) -> Launched:
    """Submit every cell of ``grid`` that is missing, or that the rules try again.

    Inline batches are only prepared: :func:`launch.executors.inline.run` runs them.

    Args:
        only: signatures of the runs that may be submitted; none: all.

    Raises:
        UserError: nothing can be submitted, or the scheduler refuses; what was submitted before
            that stays, and is found by the next launch.
    """
    journal = Journal(store)
    with only_launcher(store, target) as (claim, launcher):
        plan = make_plan(store, grid, target, rules, only=only, record=True)
        unknown = sum(not c.status.certain for c in plan.cells)
        if unknown:
            logger.warning("of %d cells it is not known whether they run: launch again", unknown)
        _write_folders(store, grid, plan)
        submitted = []
        for part in plan.batches:
            if not claim.held():
                raise UserError("another launcher has taken over: launch again")
            submitted.append(_submit(journal, plan, part, launcher))
    return Launched(plan, tuple(submitted))


@contextlib.contextmanager
def only_launcher(
    store: Store, target: Target, patience: float = LOCK_PATIENCE_SECONDS
) -> Iterator[tuple[lease.Lease, dict[str, Any]]]:
    """Hold the store's launcher lease; waits for another launcher to finish.

    Yields:
        The lease, and what this process says of itself.

    Raises:
        UserError: another launcher took longer than ``patience`` seconds.
    """
    cluster = slurm.cluster_name() if target.executor == "slurm" else None
    launcher = myself(
        token=secrets.token_hex(8), cluster=cluster, command=sys.argv, folder=str(Path.cwd())
    )
    folder, deadline = launcher_lock(store), time.monotonic() + patience
    while True:
        try:
            claim = lease.acquire(folder, launcher)
            break
        except lease.LeaseHeldError as held:
            if time.monotonic() > deadline:
                raise UserError(f"another launcher is at work on {store.root}: {held}") from held
            logger.info("waiting for another launcher (%s)", held)
            time.sleep(0.2)
    try:
        with lease.beating(claim):
            yield claim, launcher
    finally:
        claim.end({"outcome": "done"})
        _forget_old_claims(folder, claim.number)


def manifest_of(grid: Grid) -> Manifest:
    """What is recorded of a grid when it is launched."""
    cells = tuple(
        ManifestCell(c.name, c.signature, c.seed, dict(c.axes), tuple(c.measure))
        for c in grid.cells
    )
    table = grid.table.model_dump(mode="json") if hasattr(grid.table, "model_dump") else grid.table
    return Manifest(
        grid=grid.name,
        created=timestamp(),
        description=grid.description,
        axes={axis: list(labels) for axis, labels in grid.axes.items()},
        measure=tuple(grid.measure),
        table=table,
        cells=cells,
        scale=grid.scale,
        limits=grid.limits.model_dump() if grid.limits else None,
    )


def _write_folders(store: Store, grid: Grid, plan: Plan) -> None:
    """The manifest, and a folder for every run that does not have all that the grid wants.

    Cells that are queued or running already learn here what else is to be measured.
    """
    measures = wanted(grid)

    def create(cell: Cell) -> None:
        run = store.run(cell.signature)
        run.create(
            schema=SCHEMA,
            name=cell.name,
            config=cell.config,
            measure=measures[cell.signature],
            start=cell.start.signature if cell.start else None,
            trains=cell.trains,
        )

    in_parallel(create, [c.cell for c in plan.cells if c.first and c.action != "done"])
    store.write_manifest(manifest_of(grid))


def _submit(
    journal: Journal, plan: Plan, part: BatchPlan, launcher: Mapping[str, Any]
) -> tuple[Batch, str]:
    batch = Batch(
        id=new_batch_id(),
        grid=plan.grid.name,
        executor=plan.target.executor,
        signatures=tuple(cell.signature for cell in part.cells),
        names=tuple(cell.name for cell in part.cells),
        function=plan.target.function,
        parameters=part.parameters,
        settings=part.settings,
        launcher=launcher,
    )
    journal.begin(batch)
    in_parallel(
        lambda task: journal.store.run(task[1]).mark_queued(batch.id, task[0]),
        list(enumerate(batch.signatures)),
    )
    if batch.executor == "slurm":
        job_id = _submit_slurm(journal, batch, plan.target)
    else:
        job_id = str(start_local(journal, batch)) if batch.executor == "local" else ""
    journal.submitted(batch.id, job_id)
    return batch, job_id


def _submit_slurm(journal: Journal, batch: Batch, target: Target) -> str:
    """Submit; after a refusal, see by the job's name whether there is a job all the same."""
    try:
        return submit_slurm(journal, batch, target.profile.python)
    except SubmissionError as error:
        facts = ask(journal, [batch], [])
        made = facts.of_batch(batch.id)
        if made:
            logger.warning("%s; but SLURM lists the job %s: adopted", error, made[0].array)
            return made[0].array
        if facts.answered:
            void(journal, batch, str(error))
            raise
        raise SubmissionError(
            f"{error}\nSLURM does not answer, so whether it made a job is not known; "
            "the next launch will find out"
        ) from error


def in_parallel(action: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call ``action`` on every item from several threads: waiting for disks takes the time."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        for _ in pool.map(action, items):
            pass


def _forget_old_claims(folder: Path, number: int) -> None:
    """The highest number is what counts, so the first ones can go."""
    for old in range(number - 2 * _KEPT_CLAIMS, number - _KEPT_CLAIMS):
        for name in (f"{old}.json", f"{old}.end.json"):
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)
