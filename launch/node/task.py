"""One task of a batch: claims the cell, runs it, and records how it ended.

Whatever happens in between (signals, errors, a lease lost to another copy), the run folder is
consistent or visibly incomplete afterwards.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine.code import code_identity
from benchmarks.measurements import NAMES
from core.errors import UserError
from core.files import read_json, write_json
from launch.node import stop
from launch.node.job_environment import JobEnvironment, requeue
from launch.records import failures, lease
from launch.records.process import myself
from launch.records.run_folder import DONE_BUT_FOR, RunFolder, timestamp
from launch.records.summary import summary, tidy_history

logger = logging.getLogger(__name__)

CellFunction = Callable[..., bool]
"""``function(run, attempt=n, should_stop=callable, leader=bool) -> finished``."""

RUN_CELL = "launch.job:run_cell"
"""What a cell does, by the name that records have carried from the beginning."""

_MOVED = {RUN_CELL: "launch.node.job:run_cell"}
EXIT_REQUEUED = 75  # "temporary failure" in sysexits.h; the scheduler starts the job again
VERDICT_SECONDS = 90.0
"""After SIGTERM alone, until the work goes on: the job is either about to be killed, or moved."""


@dataclass(frozen=True)
class CellTask:
    """What is pickled for one cell.

    Attributes:
        folder: the run folder.
        batch: id of the batch that it was submitted with.
        index: its place in the batch.
        function: what to call, as ``module:name``.
        patience: seconds after the scheduler's warning after which work that does not react is
            requeued over its head.
        minutes: the time limit, or None.
        code: the code that it is to run, or None: whatever Python finds.
        packed: whether it runs in a process of its own beside other cells of the same job (see
            :mod:`launch.node.pack`), so that having the job started again is not its business.
        worker: id of the batch whose job runs it, if that is not its own
            (see :mod:`launch.node.elsewhere`).
    """

    folder: str
    batch: str
    index: int
    function: str = RUN_CELL
    patience: float = 60.0
    minutes: float | None = None
    code: str | None = None
    packed: bool = False
    worker: str | None = None

    def __call__(self) -> str:
        """Run the cell; says what became of it (the run folder says it, too)."""
        run, where = RunFolder(Path(self.folder)), JobEnvironment.detect()
        signals = stop.install()  # submitit has set its own in the meantime
        for reason in ("lost", "cancelled"):
            signals.withdraw(reason)  # of the cell before, in this process
        if where.rank > 0:
            return _follow(self, run, where, signals)
        return _lead(self, run, where, signals)

    def checkpoint(self) -> Any:
        """For submitit, should its handler see a signal before ours is back: start again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def tasks_of(batch_file: Path) -> list[CellTask]:
    """The tasks of a batch, in order, from its record ``<root>/launch/batches/<id>.json``."""
    record = read_json(batch_file)
    codes = record.get("codes") or [None] * len(record["signatures"])
    common = {"packed": bool(record.get("pack")), **record.get("settings", {})}
    runs, function = batch_file.parents[2] / "runs", record["function"]
    return [
        CellTask(str(runs / signature), record["id"], k, function, code=code, **common)
        for k, (signature, code) in enumerate(zip(record["signatures"], codes, strict=True))
    ]


def resolve(function: str) -> CellFunction:
    """The function that ``module:name`` names.

    Raises:
        UserError: no such module or function.
    """
    module, _, name = _MOVED.get(function, function).partition(":")
    try:
        found: CellFunction = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{function!r}: cannot be found ({error})") from error
    return found


def _lead(task: CellTask, run: RunFolder, where: JobEnvironment, signals: stop.Stop) -> str:
    if run.is_done(run.measure()):
        return "done before"
    if run.cancelled():
        return "cancelled"
    if (start := run.blocked_by()) is not None:
        mark = lease.read_dict(run.queued_path) or {}
        if mark.get("batch") == task.batch:
            run.write_queued({**mark, "cause": failures.BLOCKED})
        return f"blocked by {start.name}"
    facts = where.facts() | {"batch": task.batch, "index": task.index, "progress": progress(run)}
    if task.worker is not None:
        facts["worker"] = task.worker
    if task.code is not None:  # a wheel may have been replaced since
        installed = code_identity()["kind"] == "installed"
        facts["code"] = code_identity()["id"] if installed else task.code
    try:
        # the worker of a packed job has looked already, and has other cells to run
        claim = lease.acquire(run.state_folder, myself(**facts), wait=not task.packed)
    except lease.LeaseHeldError as held:
        logger.warning("%s: not run, it is %s", run.path, held)
        return "held by another"
    attempt = _Attempt(task, run, where, signals, claim)
    failures.reserve_room(run)
    if where.requeue_command:
        signals.after("warned", task.patience, attempt.requeue_overdue)
    try:
        with lease.beating(claim, attempt.listen), _output_to(run, claim.number, where):
            return attempt.work()
    finally:
        failures.release_room(run)


@dataclass(frozen=True)
class _Attempt:
    """One attempt at a cell, by the claim on its folder."""

    task: CellTask
    run: RunFolder
    where: JobEnvironment
    signals: stop.Stop
    claim: lease.Lease

    def listen(self, held: bool) -> None:
        """With every sign of life: is the lease lost, has the user had enough?"""
        if not held:
            self.signals.ask("lost")
        elif self.run.cancelled():
            self.signals.ask("cancelled")

    def work(self) -> str:
        """Call the cell's function until it is finished or has to stop for good."""
        signals, number, started = self.signals, self.claim.number, time.monotonic()
        while True:
            try:
                _check_code(self.task)
                function = resolve(self.task.function)
                finished = function(self.run, attempt=number, should_stop=signals, leader=True)
            except BaseException as error:
                finished, cause = False, failures.cause_of(error)
                if signals.reason is None or cause in ("disk full", "out of memory"):
                    self.fail(error)
                    raise
                # a worker process that the same signal killed, a file that the other copy replaced
                logger.warning(
                    "error after the request to stop (%s)", signals.reason, exc_info=True
                )
            if finished:
                return self._publish()
            if signals.reason == "terminated" and self.where.requeue_command:
                signals.wait_for_another("terminated", VERDICT_SECONDS)
                if signals.reason == "terminated":
                    signals.withdraw("terminated")
                    continue
            return self._stopped(time.monotonic() - started)

    def _publish(self) -> str:
        """Declare the run complete, unless another copy took it over and will do so."""
        run = self.run
        if not self.claim.held():
            logger.warning("%s: finished, but another process has taken it over", run.path)
            return "superseded"
        try:
            tidy_history(run)
            seconds, attempts = wall_seconds(run)
            record = {
                "time": timestamp(),
                "wall_s": round(seconds, 3),
                "attempts": attempts,
                "measure": list(run.measure()),
                "summary": summary(run),
            }
            write_json(run.done_path, record)
        except OSError as error:
            self.fail(error)
            raise
        self.claim.end({"outcome": "done"})
        failed = run.failed_measurements(run.measure())
        return DONE_BUT_FOR + ", ".join(failed) if failed else "done"

    def _stopped(self, seconds: float) -> str:
        reason = self.signals.reason
        if reason == "warned" and self.where.requeue_command:
            self._requeue(warning_means(self.task, seconds))
            sys.exit(EXIT_REQUEUED)
        if reason != "lost":
            told = reason == "cancelled" or self.run.cancelled()
            cause = "cancelled" if told else "terminated"
            self.claim.end({"outcome": "stopped", "cause": cause})
        return f"stopped: {reason}"

    def _requeue(self, cause: str) -> None:
        """Give the lease back and have the job started again; a refusal leaves it interrupted."""
        if not self.claim.held():
            return  # done already, over the head of work that reacted late
        # the word goes first: the scheduler may kill this process before the command returns
        self.claim.end({"outcome": "requeued", "cause": cause})
        problem = None if self.task.packed else requeue()
        if problem is not None:
            logger.error("the job could not be requeued: %s", problem)
            self.claim.end({"outcome": "stopped", "cause": cause, "note": problem})

    def requeue_overdue(self) -> None:
        """The work did not stop in time (a long call, a step without a way out): without it."""
        if self.claim.held() and not self.run.is_done(self.run.measure()):
            patience, minutes = self.task.patience, self.task.minutes
            logger.warning("no stop within %.0f s of the warning: requeued as it is", patience)
            self._requeue("timeout" if minutes is not None else "preempted")
            if self.task.packed:
                os._exit(EXIT_REQUEUED)

    def fail(self, error: BaseException) -> None:
        """Write down why it failed."""
        logger.error("the cell failed", exc_info=error)
        cause = failures.record_failure(self.run, self.claim.number, error, rank=self.where.rank)
        record = {"outcome": "stopped" if cause == "cancelled" else "failed", "cause": cause}
        if cause == "out of memory" and failures.of_gpu(error):
            record["memory"] = "gpu"
        failures.with_room(self.run, lambda: self.claim.end(record))


def _check_code(task: CellTask) -> None:
    """A wheel has no frozen copy: what was installed over it must not run under its name."""
    is_installed = task.code is not None and "-" in task.code
    if is_installed and (now := code_identity()["id"]) != task.code:
        raise UserError(
            f"launched with the installed version {task.code}, in whose place {now} was installed "
            "since: launch again"
        )


def wall_seconds(run: RunFolder) -> tuple[float, int]:
    """Seconds that the attempts took together, the present one up to now, and their number."""
    attempts = run.attempts()
    ends = [float(c.end.get("time", c.beat)) if c.end else c.beat for c in attempts[:-1]]
    ends.append(time.time())
    spent = [
        max(0.0, end - c.holder.get("time", end)) for c, end in zip(attempts, ends, strict=True)
    ]
    return sum(spent), len(attempts)


def warning_means(task: CellTask, seconds: float) -> str:
    """Whether a warning after ``seconds`` is for the time limit ("timeout") or "preempted"."""
    if task.minutes is None:
        return "preempted"
    # the scheduler may be a minute early, and the cell began later than its job
    return "timeout" if seconds > 60 * task.minutes - 2 * task.patience - 120 else "preempted"


def _follow(task: CellTask, run: RunFolder, where: JobEnvironment, signals: stop.Stop) -> str:
    """A rank other than 0: works along once rank 0 of the same start has the lease."""
    claim = _leaders_claim(run, where)
    if claim is None:
        return "not led"
    with _output_to(run, claim.number, where):
        try:
            resolve(task.function)(run, attempt=claim.number, should_stop=signals, leader=False)
        except BaseException as error:
            if signals.reason is None:
                _Attempt(task, run, where, signals, claim).fail(error)
                raise
            logger.warning("error after the request to stop", exc_info=True)
    return "followed"


def _leaders_claim(
    run: RunFolder, where: JobEnvironment, seconds: float = 600.0
) -> lease.Lease | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if run.is_done(run.measure()) or run.cancelled():
            return None
        last = lease.latest(run.state_folder)
        if last is not None and where.is_mine(last.holder):
            return lease.Lease(run.state_folder, last.number)
        time.sleep(0.2)
    return None


def progress(run: RunFolder) -> str:
    """A word that changes whenever the cell got further: its checkpoint and its records."""
    files = [run.checkpoint, run.predictions, *(run.result(k) for k in NAMES)]
    marks = []
    for path in files:
        try:
            marks.append(str(path.stat().st_mtime_ns))
        except OSError:
            marks.append("-")
    return " ".join(marks)


@contextlib.contextmanager
def _output_to(run: RunFolder, attempt: int, where: JobEnvironment) -> Iterator[None]:
    """Send everything that is printed, also by C code, to the run's own log.

    Each task has a log of its own; inline nothing is redirected, since the user is watching.
    """
    if where.scheduler is None:
        yield
        return
    log = run.log(attempt)
    if where.rank:
        log = log.with_suffix(f".rank{where.rank}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    saved = os.dup(1), os.dup(2)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        _point_output_to(handle, handle)
        yield
    finally:
        _point_output_to(*saved)
        for descriptor in (handle, *saved):
            os.close(descriptor)


def _point_output_to(out: int, err: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:  # a full disk must not hide what happened
            logger.debug("output lost: %s", error)
    os.dup2(out, 1)
    os.dup2(err, 2)
