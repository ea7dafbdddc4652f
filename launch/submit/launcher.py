"""From a plan to running cells, such that nothing is lost wherever the launcher dies.

One launcher at a time submits (a lease, not a lock: a dead launcher does not block the next).
Each batch goes through the same steps, each of which leaves a record:

    1. the batch is written to the journal          killed here: withdrawn, the cells are free again
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablations.cell import Cell
from ablations.grid import Grid
from ablations.signature import SCHEMA
from core.errors import UserError
from launch.executors.base import (
    BatchPlan,
    NoRoomError,
    SubmissionError,
    Target,
    UndecidedError,
)
from launch.records import lease
from launch.records.journal import Batch, Journal, new_batch_id
from launch.records.process import myself
from launch.records.run_folder import timestamp
from launch.records.store import Manifest, ManifestCell, Store
from launch.submit.plan import LaunchPlan, LaunchRequest, plan_launch
from launch.submit.stranded import free
from launch.watch.cell_state import withdraw

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
        no_room: what the scheduler said when it took no more, if it did not take all.
    """

    plan: LaunchPlan
    batches: tuple[tuple[Batch, str], ...]
    no_room: str | None = None

    @property
    def submitted(self) -> set[str]:
        """Signatures of the runs that were submitted."""
        return {signature for batch, _ in self.batches for signature in batch.signatures}


def launch(
    request: LaunchRequest,
    *,
    only: Collection[str] | None = None,
    check: Callable[[LaunchPlan], None] = lambda plan: None,
    replace_queued: bool = False,
    patient: bool = False,
) -> Launched:
    """Submit every cell of the grid that is missing, or that the rules try again.

    What runs in this process is only prepared: the executor's ``run`` runs it.

    Args:
        only: signatures of the runs that may be submitted; none: all.
        check: is shown the plan before anything is taken back or written, and may refuse it.
        replace_queued: put those anew that are queued with other resources than they would be now.
        patient: where there is room for nothing, say so in the result alone.

    Raises:
        UserError: nothing can be submitted, or the scheduler refuses; what was submitted before
            that stays, and is found by the next launch.
    """
    store, journal = request.store, Journal(request.store)
    with only_launcher(store, request.target) as (claim, launcher):
        plan = plan_launch(request, only=only, record=True)
        if replace_queued and plan.outdated:
            outdated = set(map(id, plan.outdated))
            anew = {c.cell.signature for c in plan.cells if id(c.status) in outdated}
            check(plan_launch(request, only=only, record=True, anew=anew))
            request.target.executor.take_back(plan.outdated)
            plan = plan_launch(request, only=only, record=True)
        else:
            check(plan)
        free(c.status for c in plan.cells if c.first and (not only or c.cell.signature in only))
        unknown = sum(not c.status.certain for c in plan.cells)
        if unknown:
            logger.warning("of %d cells it is not known whether they run: launch again", unknown)
        _write_folders(store, plan)
        submitted: list[tuple[Batch, str]] = []
        jobs = {c.cell.signature: c.status.job_id for c in plan.cells if c.status.job_id}
        waiting, no_room = list(reversed(plan.batches)), None
        while waiting and no_room is None:
            if not claim.held():
                raise UserError("another launcher has taken over: launch again")
            part = waiting.pop()
            try:
                submitted.append(_submit(journal, plan, part, launcher, jobs))
            except NoRoomError as error:
                if len(part.cells) == 1:
                    no_room = str(error)
                else:  # as many as there is room for
                    half = len(part.cells) // 2
                    waiting.append(replace(part, cells=part.cells[half:]))
                    waiting.append(replace(part, cells=part.cells[:half]))
    if no_room and not submitted and not patient:
        raise NoRoomError(no_room)
    return Launched(plan, tuple(submitted), no_room)


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
    launcher = myself(token=secrets.token_hex(8), command=sys.argv, folder=str(Path.cwd()))
    launcher |= {"python": target.profile.python or sys.executable}
    launcher |= {"cluster": None, **target.executor.facts()}
    folder, deadline = Journal(store).lock, time.monotonic() + patience
    while True:
        try:
            claim = lease.acquire(folder, launcher)
            break
        except lease.LeaseHeldError as held:
            if time.monotonic() > deadline:
                raise UserError(f"another launcher is at work on {store.root}: {held}") from held
            logger.info("waiting for another launcher (%s)", held)
            time.sleep(0.2)
        except OSError as error:
            raise UserError(
                f"the store {store.root} cannot be written: {error.strerror}"
            ) from error
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
        for c in grid.all_cells
    )
    table = grid.table.model_dump(mode="json") if hasattr(grid.table, "model_dump") else grid.table
    return Manifest(
        grid=grid.name,
        created=timestamp(),
        description=grid.description,
        axes={axis: list(labels) for axis, labels in grid.axes.items()},
        measure=tuple(grid.measure),
        table=table,
        cells=cells[len(grid.start_cells) :],
        starts=cells[: len(grid.start_cells)],
        scale=grid.scale,
        limits=grid.limits,
    )


def _write_folders(store: Store, plan: LaunchPlan) -> None:
    """The manifest, and a folder for every run that does not have all that the grid wants.

    Cells that are queued or running already learn here what else is to be measured.
    """
    measures = plan.grid.measures()

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
    store.write_manifest(manifest_of(plan.grid))


def _submit(
    journal: Journal,
    plan: LaunchPlan,
    part: BatchPlan,
    launcher: Mapping[str, Any],
    jobs: dict[str, str],
) -> tuple[Batch, str]:
    executor, parameters = plan.target.executor, part.parameters
    if part.after is not None and part.after in jobs:
        parameters = executor.waiting(parameters, jobs[part.after])
    batch = Batch(
        id=new_batch_id(),
        grid=plan.grid.name,
        executor=executor.name,
        signatures=tuple(cell.signature for cell in part.cells),
        names=tuple(cell.name for cell in part.cells),
        function=plan.target.function,
        parameters=parameters,
        settings=part.settings,
        launcher=launcher,
        codes=tuple(plan.codes[cell.signature] for cell in part.cells) if plan.codes else (),
        pack=part.pack,
        note=part.note,
    )
    journal.begin(batch)
    in_parallel(
        lambda task: journal.store.run(task[1]).mark_queued(batch.id, task[0]),
        list(enumerate(batch.signatures)),
    )
    try:
        job_id = executor.submit(journal, batch, plan.target)
    except SubmissionError as error:
        job_id = _made_all_the_same(journal, batch, plan.target, error)
    journal.submitted(batch.id, job_id)
    for index, signature in enumerate(batch.signatures):
        jobs[signature] = executor.job_id(journal, batch, index) or job_id
    return batch, job_id


def _made_all_the_same(
    journal: Journal, batch: Batch, target: Target, error: SubmissionError
) -> str:
    """After a refusal: the id of the job that there may be, as an answer can get lost.

    Raises:
        SubmissionError: there is none, and the batch is withdrawn; or that is not known.
    """
    executor = target.executor
    try:
        job_id = executor.made(journal, batch, executor.ask(journal, [batch], ()))
    except UndecidedError:
        raise SubmissionError(
            f"{error}\nSLURM does not answer, so whether it made a job is not known; "
            "the next launch will find out"
        ) from error
    if job_id is None:
        withdraw(journal, batch, str(error))
        raise error
    logger.warning("%s; but SLURM lists the job %s: adopted", error, job_id)
    return job_id


def in_parallel(action: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call ``action`` on every item from several threads: waiting for disks takes the time."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(action, items))


def _forget_old_claims(folder: Path, number: int) -> None:
    """The highest number is what counts, so the first ones can go."""
    for old in range(number - 2 * _KEPT_CLAIMS, number - _KEPT_CLAIMS):
        for name in (f"{old}.json", f"{old}.end.json"):
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)
