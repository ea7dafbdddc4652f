"""Runs a local batch, N cells at a time: ``python -m launch.executors.dispatcher ROOT BATCH``.

Each cell is a job of submitit's local executor with GPUs of its own.  The dispatcher holds a
lease with a heartbeat, so that others can tell whether cells that wait are still going to run.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.executors.executors import tasks, worker_command
from launch.node import stop
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself
from launch.records.store import Store

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
FOREVER_MINUTES = 60 * 24 * 365


@dataclass
class Lane:
    """A place where one cell at a time runs, with the GPUs that belong to it."""

    executor: Any
    job: Any = None

    def free(self) -> bool:
        """Whether the next cell can start here."""
        return self.job is None or self.job.done()


def lease_folder(journal: Journal, batch: str) -> Path:
    """Where the dispatcher of a batch shows that it is alive."""
    return journal.store.journal / "dispatch" / batch


def is_dispatched(journal: Journal, batch: str) -> bool | None:
    """Whether a dispatcher is at work on ``batch``; None: none has begun."""
    claim = lease.latest(lease_folder(journal, batch))
    return None if claim is None else claim.alive()


def dispatch(journal: Journal, batch: Batch, *, poll: float = POLL_SECONDS) -> None:
    """Run every cell of ``batch``; returns when the last one has ended.

    Told to stop (SIGTERM), it starts no further cell and waits for those that run.
    """
    signals = stop.install()
    claim = lease.acquire(lease_folder(journal, batch.id), myself())
    with lease.beating(claim):
        dealt = batch.parameters["gpus"]
        lanes = [_lane(journal, batch, gpus, cpu_threads(len(dealt))) for gpus in dealt]
        for task in tasks(journal, batch):
            lane = _next_lane(lanes, signals, poll)
            if lane is None:
                break
            if not journal.store.run(Path(task.folder).name).cancelled():
                lane.job = lane.executor.submit(task)
        while not all(lane.free() for lane in lanes):
            time.sleep(poll)
        if batch.parameters.get("then") and not signals():
            subprocess.run(batch.parameters["then"], check=False)
    claim.end({"outcome": "done"})


def cpu_threads(lanes: int) -> int:
    """Threads that each of ``lanes`` cells at a time may compute with.

    Left alone, each cell takes all cores, and cells that share cores this way are many times
    slower than cells that have their own.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else max(1, len(os.sched_getaffinity(0)) // lanes)


def _lane(journal: Journal, batch: Batch, gpus: list[str], threads: int) -> Lane:
    import submitit

    # submitit's own dealing knows numbers only, but a GPU may be named by its UUID
    visible = f"CUDA_VISIBLE_DEVICES={shlex.quote(','.join(gpus))}"
    command = worker_command(journal.folder / f"{batch.id}.json")
    python = f"env {visible} OMP_NUM_THREADS={threads} {command}"
    executor = submitit.LocalExecutor(journal.submitit_folder(batch.id), python=python)
    executor.update_parameters(
        timeout_min=FOREVER_MINUTES, tasks_per_node=max(1, len(gpus)), stderr_to_stdout=True
    )
    executor._throttling = 0.0  # it is meant for schedulers
    return Lane(executor)


def _threads(lanes: int) -> dict[str, str]:
    """An equal share of the cores for each of several lanes, unless the user decided."""
    if lanes == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // lanes))}


def _next_lane(lanes: list[Lane], signals: stop.Stop, poll: float) -> Lane | None:
    while not signals():
        for lane in lanes:
            if lane.free():
                return lane
        time.sleep(poll)
    return None


def main(arguments: list[str]) -> None:
    """Run the batch that the arguments name."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may close
    root, batch_id = arguments
    journal = Journal(Store(Path(root)))
    dispatch(journal, journal.read(batch_id))


if __name__ == "__main__":
    main(sys.argv[1:])
