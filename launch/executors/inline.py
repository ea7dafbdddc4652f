"""Cells in this process, one after the other: for debugging, and for machines with one GPU."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from typing import ClassVar

from launch.executors.base import BatchPlan, Share, Target
from launch.executors.local import OnThisMachine, lease_folder, visible_gpus
from launch.node import stop
from launch.node.task import tasks_of
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself


class Inline(OnThisMachine):
    """This process; Ctrl-C lets the present cell write its checkpoint."""

    name: ClassVar[str] = "inline"
    runs = "what stands here"

    def place(self, batch: BatchPlan) -> str:
        """Here."""
        return "in this process, one after the other"

    def share(self, batch: BatchPlan) -> Share:
        """The machine, or one of its GPUs."""
        import torch

        return Share(1, min(1, len(visible_gpus())), torch.get_num_threads())

    def submitted_text(self, count: int, jobs: Sequence[str]) -> str:
        """Nothing has run yet."""
        return f"{count} cells, which run in this process, one after the other"

    def submit(self, journal: Journal, batch: Batch, target: Target) -> str:
        """Nothing to do yet: :meth:`run` runs the cells."""
        return ""

    def run(self, journal: Journal, batch: Batch) -> Iterator[tuple[str, str]]:
        """Run the cells one after the other.

        A cell that fails does not keep the next from running; Ctrl-C or SIGTERM lets the present
        one write its checkpoint and leaves the others alone.

        Yields:
            Name and outcome of each cell, when it has ended.
        """
        claim = lease.acquire(lease_folder(journal, batch.id), myself())
        try:
            with lease.beating(claim), stop.interrupt_stops():
                for name, task in zip(batch.names, tasks_of(journal.file(batch)), strict=True):
                    try:
                        outcome = task()
                    except Exception as error:
                        outcome = f"failed: {error}"
                    yield name, outcome
                    if stop.install()():
                        return
        finally:
            claim.end({"outcome": "done"})

    def report(
        self, journal: Journal, grid: str, target: Target, batches: int, waiting: Sequence[str]
    ) -> str:
        """All have ended already."""
        return run_report(target.then)


def run_report(command: Sequence[str]) -> str:
    """Have a report made now; says what came of it."""
    done = subprocess.run(command, check=False)
    return "report: made" if done.returncode == 0 else "report: failed"
