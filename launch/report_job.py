"""A report behind the grid: made when its last cell has ended, however that was."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from core.errors import UserError
from launch.executors.executors import SubmissionError, slurm_parameters, submit_command
from launch.records.journal import Batch, Journal, new_batch_id
from launch.records.process import myself
from launch.records.store import Store
from launch.submit.launcher import Launched
from launch.watch.settle import void
from launch.watch.survey import store_comment


def report_command(store: Store, grid: str) -> tuple[str, ...]:
    """What makes the report of a grid."""
    return (sys.executable, "-m", "cli", "report", grid, "--store", str(store.root))


def queue_report(store: Store, launched: Launched) -> str:
    """Queue the report of a grid behind all of its SLURM jobs, those of earlier launches too.

    Returns:
        The job's id.

    Raises:
        UserError: nothing is queued or running, so a report can be made at once.
        SubmissionError: SLURM refuses.
    """
    grid, target = launched.plan.grid.name, launched.plan.target
    waiting = sorted({*jobs_of(launched)}, key=int)
    if not waiting:
        raise UserError(f"nothing of {grid} is queued or running: tevit report {grid}")
    shape = target.profile.report_shape
    journal = Journal(store)
    batch = Batch(
        id=new_batch_id(),
        grid=grid,
        executor="slurm",
        signatures=(),
        names=(),
        function="report",
        parameters=slurm_parameters(target.profile, shape, store_comment(store)),
        launcher=myself(command=sys.argv),
    )
    journal.begin(batch)
    dependency = "afterany:" + ":".join(waiting)
    try:
        job_id = submit_command(journal, batch, [*report_command(store, grid)], dependency)
    except SubmissionError as error:
        void(journal, batch, str(error))
        raise
    journal.submitted(batch.id, job_id)
    return job_id


def jobs_of(launched: Launched) -> Iterable[str]:
    """Arrays and jobs that run or are to run cells of the grid."""
    yield from (job_id for _, job_id in launched.batches if job_id)
    for cell in launched.plan.cells:
        if cell.action in ("queued", "running") and cell.status.job_id:
            array = cell.status.job_id.partition("_")[0]
            if array.isdigit():
                yield array
