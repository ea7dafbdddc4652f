"""Cells as processes of this machine, N at a time, each with GPUs of its own.

A batch is worked through by a process of its own, the dispatcher, which survives the launcher:
``python -m launch.executors.local ROOT BATCH``.  It holds a lease with a heartbeat, so that
others can tell whether cells that wait are still going to run.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.machine.code import environment_of_this_code
from core.errors import UserError
from launch.executors.base import (
    Answers,
    BatchPlan,
    CellStatus,
    Evidence,
    Executor,
    Order,
    Share,
    Target,
    check_path,
    check_shares,
    nothing_to_wait_for,
    worker_command,
)
from launch.executors.profile import Profile, load_profile, make_profile
from launch.node import stop
from launch.node.elsewhere import Elsewhere
from launch.node.task import CellTask, tasks_of
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself
from launch.records.run_folder import RunFolder
from launch.records.store import Store

_POLL_SECONDS = 0.1
FOREVER_MINUTES = 60 * 24 * 365
STARTING_SECONDS = 60.0


class OnThisMachine(Executor):
    """What inline and local have in common: somebody here works through the batch, or not."""

    def profile(self, name: str | None) -> Profile:
        """The named profile; none: a GPU a cell if there are any."""
        return load_profile(name) if name else make_profile({"gpus": min(1, len(visible_gpus()))})

    def made(self, journal: Journal, batch: Batch, answers: Answers) -> str | None:
        """Whether somebody has begun to work through it."""
        return "" if is_dispatched(journal, batch.id) else None

    def status(self, evidence: Evidence) -> CellStatus | None:
        """A cell that waits needs somebody alive; of all others the folder knows best."""
        state, batch = evidence.state, evidence.batch
        alive = is_dispatched(evidence.journal, batch.id)
        if alive is None:  # not yet begun
            alive = time.time() - batch.created < STARTING_SECONDS
        if state.name == "queued" and evidence.run.cancelled():
            return None  # whoever works through the batch will leave it
        if state.name == "queued" and not (alive or evidence.submitting):
            if (now := evidence.run.state(evidence.measure)).name != "queued":
                return CellStatus(now)  # it has begun since the folder was read
            return CellStatus(evidence.run.unqueued(evidence.measure), note="its launch ended")
        holder = state.holder if state.name == "running" else None
        return CellStatus(state, (holder or {}).get("job_id"))

    def log(self, journal: Journal, batch: Batch, index: int) -> Path | None:
        """The dispatcher's."""
        return journal.submitit_folder(batch.id) / "dispatcher.log"


class Local(OnThisMachine):
    """N processes at a time, which go on when the terminal is closed."""

    name: ClassVar[str] = "local"
    takes_jobs: ClassVar[bool] = True

    def plan(self, order: Order) -> list[BatchPlan]:
        """One batch, with the GPUs of each of the places where one cell at a time runs."""
        check_path(order.store)
        target, cells = order.target, order.cells
        pack, jobs = target.profile.pack, min(target.jobs, len(cells))
        shared = pack.side_by_side if pack else 1
        lanes = deal_gpus(visible_gpus() * shared, jobs, target.profile.gpus)
        check_shares(cells, max(1, *map(len, lanes)))
        if len(lanes) > 1 and any("fps" in cell.measure for cell in cells):
            order.problems.append(
                "cells that run at the same time share the CPU, so their fps suffers: use --jobs 1"
            )
        return [BatchPlan(tuple(cells), {"gpus": lanes, "then": list(target.then)})]

    def place(self, batch: BatchPlan) -> str:
        """Lanes and GPUs."""
        lanes = batch.parameters["gpus"]
        gpus = "; ".join(",".join(lane) for lane in lanes if lane)
        return f"on this machine, {len(lanes)} at a time, " + (f"GPUs {gpus}" if gpus else "no GPU")

    def share(self, batch: BatchPlan) -> Share:
        """A lane."""
        lanes = batch.parameters["gpus"]
        gpus = lanes[0]
        shared = lanes.count(gpus) if gpus else 1
        return Share(len(lanes), len(gpus), cpu_threads(len(lanes)), shared)

    def submitted_text(self, count: int, jobs: Sequence[str]) -> str:
        """With the dispatcher's process id."""
        return f"{count} cells submitted (local dispatcher, process {', '.join(jobs)})"

    def submit(self, journal: Journal, batch: Batch, target: Target) -> str:
        """Start the dispatcher, which survives this process; returns its process id."""
        folder = journal.submitit_folder(batch.id)
        folder.mkdir(parents=True, exist_ok=True)
        module = ("-P", "-m", "launch.executors.local")
        with (folder / "dispatcher.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *module, str(journal.store.root), batch.id],
                env=environment_of_this_code(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return str(process.pid)

    def report(
        self, journal: Journal, grid: str, target: Target, batches: int, waiting: Sequence[str]
    ) -> str:
        """By the dispatcher."""
        if batches:
            return "report: by the dispatcher, when all have ended"
        if waiting:
            return f"report: nobody was started who could make it; in the end: tevit report {grid}"
        raise nothing_to_wait_for(grid)


# --- the dispatcher


@dataclass
class Lane:
    """A place where one cell at a time runs, with the GPUs that belong to it."""

    executor: Any
    python: Callable[[CellTask], str]
    """What a task is run with."""
    job: Any = None

    def free(self) -> bool:
        """Whether the next cell can start here."""
        return self.job is None or self.job.done()


def lease_folder(journal: Journal, batch: str) -> Path:
    """Where whoever works through a batch shows that it is alive."""
    return journal.store.journal / "dispatch" / batch


def is_dispatched(journal: Journal, batch: str) -> bool | None:
    """Whether somebody is at work on ``batch``; None: nobody has begun."""
    folder = lease_folder(journal, batch)
    claim = lease.latest(folder)
    return None if claim is None else claim.alive(lease.server_time(folder))


def dispatch(journal: Journal, batch: Batch) -> None:
    """Run every cell of ``batch``, and what else of the grid waits; returns when all have ended.

    Told to stop (SIGTERM), it starts no further cell and waits for those that run.
    """
    signals = stop.install()
    claim = lease.acquire(lease_folder(journal, batch.id), myself())
    with lease.beating(claim):
        dealt = batch.parameters["gpus"]
        lanes = [_lane(journal, batch, gpus, cpu_threads(len(dealt))) for gpus in dealt]
        own = tasks_of(journal.file(batch))
        elsewhere = Elsewhere(journal.file(batch), lambda task: _waits(journal, task))
        tasks = [*own]
        while (lane := _next_lane(lanes, signals)) is not None:
            task = next((t for t in tasks if _may_begin(journal, t)), None)
            if task is not None:
                tasks.remove(task)
            elif not tasks:
                idle = all(lane.free() for lane in lanes)
                task = elsewhere.next(idle=idle)
                if idle and task is None:
                    break
            if task is None:
                time.sleep(_POLL_SECONDS)
            elif not RunFolder(Path(task.folder)).cancelled():
                lane.executor.python = lane.python(task)
                lane.job = lane.executor.submit(task)
        while not all(lane.free() for lane in lanes):
            time.sleep(_POLL_SECONDS)
        if batch.parameters.get("then") and not signals():
            while any(map(_is_running, own)):
                time.sleep(_POLL_SECONDS)
            subprocess.run(batch.parameters["then"], check=False)
    claim.end({"outcome": "done"})


def _waits(journal: Journal, task: CellTask) -> bool:
    """Whether a cell of another dispatcher's waits for its turn there."""
    run = RunFolder(Path(task.folder))
    queued = run.state(run.measure()).name == "queued" and not run.cancelled()
    return queued and is_dispatched(journal, task.batch) is True


def _is_running(task: CellTask) -> bool:
    """Whether a cell is at work, be it with another dispatcher."""
    run = RunFolder(Path(task.folder))
    return run.state(run.measure()).name == "running"


def _may_begin(journal: Journal, task: CellTask) -> bool:
    """Whether the run that a cell starts from is there, or will not come."""
    start = RunFolder(Path(task.folder)).blocked_by()
    if start is None:
        return True
    state = start.state(("train",))
    if state.name == "queued" and state.submission is not None:
        return is_dispatched(journal, str(state.submission["batch"])) is False
    return state.name != "running"


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
    executor = submitit.LocalExecutor(journal.submitit_folder(batch.id))
    executor.update_parameters(
        timeout_min=FOREVER_MINUTES, tasks_per_node=max(1, len(gpus)), stderr_to_stdout=True
    )
    executor._throttling = 0.0  # it is meant for schedulers

    def python(task: CellTask) -> str:
        its = batch if task.worker is None else journal.read(task.batch)
        command = worker_command(journal, its, index=task.index)
        return f"env {visible} OMP_NUM_THREADS={threads} {command}"

    return Lane(executor, python)


def _next_lane(lanes: list[Lane], signals: stop.Stop) -> Lane | None:
    while not signals():
        for lane in lanes:
            if lane.free():
                return lane
        time.sleep(_POLL_SECONDS)
    return None


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the GPUs that this process may use, without importing torch."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if listing.returncode != 0:
        said = " ".join((listing.stderr or listing.stdout).split())
        logging.getLogger(__name__).warning(
            "no GPU is used, since nvidia-smi fails (%.200s): see to it, or set "
            "CUDA_VISIBLE_DEVICES",
            said,
        )
        return []
    return [name for name in listing.stdout.split() if name.isdecimal()]


def deal_gpus(gpus: list[str], jobs: int, per_cell: int) -> list[list[str]]:
    """The GPUs of each of ``jobs`` lanes; fewer lanes where there are not enough GPUs.

    Raises:
        UserError: a cell needs more GPUs than there are.
    """
    if not gpus or per_cell == 0:
        return [[] for _ in range(jobs)]
    if per_cell > len(gpus):
        raise UserError(f"a cell needs {per_cell} GPUs, but only {len(gpus)} are visible here")
    lanes = min(jobs, len(gpus) // per_cell)
    return [gpus[k * per_cell : (k + 1) * per_cell] for k in range(lanes)]


def main(arguments: list[str]) -> None:
    """Run the batch that the arguments name."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may close
    root, batch_id = arguments
    journal = Journal(Store(Path(root)))
    dispatch(journal, journal.read(batch_id))


if __name__ == "__main__":
    main(sys.argv[1:])
