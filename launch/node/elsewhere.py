"""Cells of the grid that wait for jobs of other batches, for a job that has done its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from core.errors import UserError
from launch.node.task import CellTask, tasks_of
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.run_folder import RunFolder
from launch.records.store import Store

LOOK_AGAIN_SECONDS = 10.0
_NOT_RESOURCES = ("dependency", "array_parallelism", "then")
_SAME_LAUNCHER = ("uid", "cluster", "python")


class Elsewhere:
    """Finds the cells that a job of a batch may run as well as their own jobs.

    These are of the same grid and need exactly what the job has: resources, options, code, Python,
    user, cluster, and as many cells at a time on a device.  A cell keeps its batch, whose own job
    then finds it done or at work.
    """

    def __init__(self, batch_file: Path, waits: Callable[[CellTask], bool]) -> None:
        """For a job of the batch with this record.

        Args:
            waits: whether a cell is there to be run, and nobody is at it.
        """
        self._journal, self._waits = Journal(Store(batch_file.parents[2])), waits
        self._own = self._journal.read(batch_file.stem)
        self._task = tasks_of(batch_file)[0]
        self._others: dict[str, Batch] = {}
        self._tried: set[tuple[str, int]] = set()
        self._found, self._looked = self._waiting(), -math.inf

    def next(self, *, idle: bool) -> CellTask | None:
        """A cell that waits by now; none is named twice for the same attempt at it.

        Args:
            idle: look at once, since nothing else is left to do; else every now and then.
        """
        task = next(self._found, None)
        if task is None and (idle or time.monotonic() - self._looked > LOOK_AGAIN_SECONDS):
            self._found, self._looked = self._waiting(), time.monotonic()
            task = next(self._found, None)
        return task

    def _waiting(self) -> Iterator[CellTask]:
        try:
            cells = self._journal.store.manifest(self._own.grid).all_cells
        except UserError:  # damaged, or being made anew
            return
        for signature in dict.fromkeys(cell.signature for cell in cells):
            run = self._journal.store.run(signature)
            if signature in self._own.signatures or (task := self._task_of(run)) is None:
                continue
            attempt = signature, len(run.attempts())
            if attempt not in self._tried and self._waits(task):
                self._tried.add(attempt)
                yield task

    def _task_of(self, run: RunFolder) -> CellTask | None:
        """What runs a cell here; None: its own job has to, or it is not to run."""
        state = run.state(run.measure())
        mark = lease.read_dict(run.queued_path) or {}
        if state.name == "done" or state.submission is None or mark.get("held"):
            return None
        name, index = state.submission["batch"], state.submission.get("index", 0)
        batch = self._batch(name)
        if batch is None or run.signature not in batch.signatures[index : index + 1]:
            return None
        if _needs(batch, index) != _needs(self._own, 0) or run.blocked_by() is not None:
            return None
        return replace(
            self._task, folder=str(run.path), batch=name, index=index, worker=self._own.id
        )

    def _batch(self, name: str) -> Batch | None:
        """One that was submitted; what is only about to be may yet be withdrawn."""
        if name not in self._others:
            if self._journal.is_void(name) or self._journal.job_id(name) is None:
                return None
            try:
                self._others[name] = self._journal.read(name)
            except UserError:
                return None
        return self._others[name]


def _needs(batch: Batch, index: int) -> tuple[object, ...]:
    """All that a cell of a batch has to find where it runs."""
    parameters = {k: v for k, v in batch.parameters.items() if k not in _NOT_RESOURCES}
    launcher = [batch.launcher.get(name) for name in _SAME_LAUNCHER]
    what = (batch.grid, batch.executor, batch.function, batch.code(index))
    return (*what, parameters, dict(batch.settings), launcher, batch.pack.get("side_by_side"))
