"""Several cells in one job: a worker that keeps the GPU that it got busy until its time is over.

A packed batch has as many jobs as its cells need at ``cells`` each, and each job runs a worker.  A
worker begins with its own share, goes on with whatever else of the batch waits, and then with what
waits of the grid and needs the same (:mod:`launch.node.elsewhere`), so none ends while there is
work.  Each cell runs in a process forked from the worker, after the slow imports: it has a lease,
a log and a failure of its own, and whatever ends it (an exception, a crash, want of memory) ends
no other.

Warned of the time limit or of a preemption, every cell writes its checkpoint and gives its lease
back; then the worker has the job started again, if anything is left to do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from core.files import read_json
from launch.node import stop
from launch.node.elsewhere import Elsewhere
from launch.node.job_environment import JobEnvironment, requeue
from launch.node.task import (
    EXIT_REQUEUED,
    RUN_CELL,
    VERDICT_SECONDS,
    CellTask,
    tasks_of,
    warning_means,
)
from launch.records import failures, lease
from launch.records.run_folder import FATAL, RunFolder

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 10.0  # beyond a cell's own patience, for one that holds Python's lock
_FULL = 0.98
_NEARLY_FULL = 0.8


@dataclass(frozen=True)
class PackTask:
    """What is pickled for one job of a packed batch.

    Attributes:
        batch_file: the batch's record.
        index: the job's place in the batch.
    """

    batch_file: str
    index: int

    def __call__(self) -> str:
        """Run cells until none waits that it may run, or the job's time is over."""
        return _Worker(Path(self.batch_file), self.index, stop.install()).work()

    def checkpoint(self) -> Any:
        """For submitit, should its handler see a signal before ours is back: start again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def job_of_batch(batch_file: Path, index: int) -> CellTask | PackTask:
    """What the ``index``-th job of a batch runs: a cell, or a worker for several."""
    if read_json(batch_file).get("pack"):
        return PackTask(str(batch_file), index)
    return tasks_of(batch_file)[index]


@dataclass
class _Worker:
    batch_file: Path
    index: int
    signals: stop.Stop
    running: dict[int, CellTask] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    over_memory: dict[int, str] = field(default_factory=dict)
    used: float = 0.0

    def work(self) -> str:
        record = read_json(self.batch_file)
        share, self.width = record["pack"]["cells"], record["pack"]["side_by_side"]
        every = tasks_of(self.batch_file)
        self.tasks = [*every[self.index * share :], *every[: self.index * share]]
        self.where, self.started = JobEnvironment.detect(), time.monotonic()
        self.limit = memory_limit()
        _prepare(record["function"], self.width)
        self.elsewhere = Elsewhere(self.batch_file, self._waits)
        self.waiting = filter(self._waits, [*self.tasks])
        while True:
            self._reap()
            self._pass_on()
            self._watch_memory()
            if not self.signals():
                self._fill()
            if not self.running and not self.signals():
                return "nothing waits"
            if not self.running and self.signals.reason == "warned":
                return self._leave()
            time.sleep(_POLL_SECONDS)

    # --- cells

    def _fill(self) -> None:
        while len(self.running) < self.width and (task := self._next()) is not None:
            with stop.put_off():  # until the child is ready for signals
                pid = os.fork()
                if pid == 0:
                    _run(task)
            self.running[pid] = task
            logger.info("%s begins in process %d", task.folder, pid)

    def _next(self) -> CellTask | None:
        """Of the own batch first, then of others."""
        if (task := next(self.waiting, None)) is not None:
            return task
        if (task := self.elsewhere.next(idle=not self.running)) is not None:
            self.tasks.append(task)
        return task

    def _waits(self, task: CellTask) -> bool:
        """Whether a cell is there to be run, and no other worker is at it."""
        run = RunFolder(Path(task.folder))
        state = run.state(run.measure())
        latest = (state.submission or {}).get("batch", "")  # ids of batches rise with time
        if run.cancelled() or state.name == "done" or latest > task.batch:
            return False
        if latest < task.batch:  # a file server may show this batch's mark late
            return state.name != "running"
        if state.name == "queued":
            return True
        holder = state.holder or {}
        # what the former copy of this job was at, which its node took with it, or still has
        return (
            (state.name == "running" or not state.certain)
            and holder.get("job_id") == self.where.job_id
            and int(holder.get("restarts") or 0) < self.where.restarts
        )

    def _reap(self) -> None:
        for pid, task in list(self.running.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self.running[pid]
                code = os.waitstatus_to_exitcode(status)
                logger.info("%s has ended (exit status %d)", task.folder, code)
                self._bury(pid, task, code)

    def _bury(self, pid: int, task: CellTask, code: int) -> None:
        """Write down how a cell ended, if its process could not do so itself."""
        run = RunFolder(Path(task.folder))
        last = lease.latest(run.state_folder)
        if last is None or last.end is not None or last.holder.get("pid") != pid:
            return
        claim = lease.Lease(run.state_folder, last.number)
        if self.signals.reason == "warned":
            cause = warning_means(task, time.monotonic() - self.started)
            claim.end({"outcome": "requeued", "cause": cause})
            return
        log = failures.tail(run.log(last.number))
        words = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if pid in self.over_memory:
            cause, words = "out of memory", self.over_memory[pid]
        elif code == -signal.SIGKILL and self.limit and self.used > _NEARLY_FULL * self.limit:
            cause, words = "out of memory", f"{words}, {self._memory_text()}"
        else:
            cause = failures.cause_in_text(log) or "died"
        failures.record_observed(run, last.number, cause, words, log)
        claim.end({"outcome": "failed" if cause in FATAL else "stopped", "cause": cause})

    # --- the job's end

    def _pass_on(self) -> None:
        """Let the cells know of signals that only this process may have got."""
        reason = self.signals.reason
        if reason is None:
            return
        silent, patience = self.signals.since(reason), self.tasks[0].patience + _GRACE_SECONDS
        if reason == "warned" and silent > patience:
            self._send(signal.SIGKILL)
        elif reason not in self.told:
            self.told.add(reason)
            self._send(stop.WARNING if reason == "warned" else signal.SIGTERM)
        elif reason == "terminated" and silent > VERDICT_SECONDS:  # and nothing came of it
            self.signals.withdraw(reason)
            self.told.discard(reason)

    def _send(self, number: int) -> None:
        for pid in self.running:  # none of them is reaped yet, so the numbers are theirs
            os.kill(pid, number)

    def _leave(self) -> str:
        if not any(map(self._waits, self.tasks)):
            return "stopped: warned, nothing is left"
        problem = requeue()
        if problem is None:
            sys.exit(EXIT_REQUEUED)
        logger.error("the job could not be requeued: %s", problem)
        return "stopped: warned"

    # --- memory

    def _watch_memory(self) -> None:
        """End the largest cell before the scheduler ends all of them, or the kernel any."""
        if not self.limit or not self.running:
            return
        used = {pid: process_memory(pid) for pid in self.running}
        if sum(used.values()) > _FULL * self.limit:  # or so it seems, shared pages counted often
            used = {pid: process_memory(pid, shared_out=True) for pid in self.running}
        self.used = sum(used.values())
        if self.used > _FULL * self.limit:
            largest = max(used, key=lambda pid: used[pid])
            self.over_memory[largest] = (
                f"out of memory: ended at {used[largest] / 1e6:.0f} MB, {self._memory_text()}"
            )
            os.kill(largest, signal.SIGKILL)

    def _memory_text(self) -> str:
        return f"when the cells of the job had {self.used / 1e6:.0f} of {self.limit / 1e6:.0f} MB"


def _prepare(function: str, width: int) -> None:
    """Import before the forks what every cell would import after them."""
    if width > 1:  # cells that take all cores each are many times slower than with their own
        cores = max(1, len(os.sched_getaffinity(0)) // width)
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))
    if function == RUN_CELL:
        import core.inference.predict
        import core.training.train  # noqa: F401


def _run(task: CellTask) -> NoReturn:
    """The child's whole life."""
    code = 1
    try:
        stop.begin_anew()
        task()
        code = 0
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else 1
    except BaseException:
        logger.exception("%s", task.folder)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def memory_limit(environment: Mapping[str, str] = os.environ) -> float:
    """Bytes that the job may take on this node; 0: not known, or all that there are."""
    node = environment.get("SLURM_MEM_PER_NODE", "")
    core = environment.get("SLURM_MEM_PER_CPU", "")
    if node.isdigit():
        return float(node) * 2**20
    if core.isdigit():
        return float(core) * 2**20 * int(environment.get("SLURM_CPUS_ON_NODE", "1"))
    return 0.0


def process_memory(pid: int, *, shared_out: bool = False) -> float:
    """Bytes of a process and its descendants; 0 where it has ended.

    Args:
        shared_out: count a page that several processes share as a part for each (slower).
    """
    total = 0.0
    with contextlib.suppress(OSError):
        if shared_out:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += 1024 * float(rollup.partition("Pss:")[2].split()[0])
        else:
            pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
            total += float(pages) * os.sysconf("SC_PAGE_SIZE")
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                below = children.read_text().split()
                total += sum(process_memory(int(child), shared_out=shared_out) for child in below)
    return total
