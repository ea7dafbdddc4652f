"""One cell's state: what its folder says, corrected by what its scheduler knows."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from launch.executors import slurm_queries as slurm
from launch.executors.dispatcher import is_dispatched
from launch.records import failures, lease
from launch.records.journal import Batch, Journal
from launch.records.run_folder import FATAL, RunFolder, RunState, StateName
from launch.watch.facts import Facts
from launch.watch.settle import on_this_cluster, submitting

_STARTING_SECONDS = 60.0
_LOG_TAIL = 20_000


@dataclass(frozen=True)
class CellStatus:
    """A run's state, as folder and scheduler together tell it.

    Attributes:
        state: as of :meth:`RunFolder.state`, corrected.
        job_id: the job that runs it, is to run it, or ran it last; or None.
        note: what else there is to say, such as why a job is waiting.
        certain: False: its scheduler could not be asked, so a job may exist.
    """

    state: RunState
    job_id: str | None = None
    note: str = ""
    certain: bool = True


@dataclass(frozen=True)
class Case:
    """A cell that its folder calls queued, running or interrupted, and what bears on it.

    Attributes:
        state: what the folder says.
        batch: the batch that it was last submitted with; None if there is no record of it.
        facts: SLURM's answers.
    """

    journal: Journal
    run: RunFolder
    measure: tuple[str, ...]
    state: RunState
    batch: Batch | None
    facts: Facts

    @property
    def job(self) -> slurm.SlurmJob | None:
        """The task of the job array, if SLURM knows it."""
        if self.batch is None or self.state.submission is None:
            return None
        return self.facts.jobs.get((self.batch.id, int(self.state.submission["index"])))

    @property
    def job_id(self) -> str | None:
        """The job's id, by SLURM or by our own record."""
        if self.job is not None:
            return self.job.id
        if self.batch is None or self.state.submission is None:
            return None
        return task_id(self.journal, self.batch, int(self.state.submission["index"]))

    def logs(self) -> Iterator[Path]:
        """The cell's own log, and what the scheduler wrote around it."""
        yield self.run.log(self.state.attempt)
        if self.batch is not None and self.job_id:
            yield self.journal.submitit_folder(self.batch.id) / f"{self.job_id}_0_log.out"


def task_id(journal: Journal, batch: Batch, index: int) -> str | None:
    """SLURM's id of one task of a batch, if the batch's job is known."""
    job_id = journal.job_id(batch.id)
    if not job_id or batch.executor != "slurm":
        return None
    return f"{job_id}_{index}" if len(batch.signatures) > 1 else job_id


def judge(case: Case) -> CellStatus:
    """What has become of the cell."""
    if case.batch is None or case.journal.is_void(case.batch.id):
        return _gone(case, None)
    if case.batch.executor != "slurm":
        return _judge_local(case)
    if case.job is not None and case.job.live:
        return _judge_live(case.state, case.job)
    if case.job is None and submitting(case.journal, case.batch):
        return CellStatus(case.state, None, "being submitted")
    if case.job is None and not case.facts.answered:
        return CellStatus(case.state, case.job_id, "SLURM does not answer", certain=False)
    if case.job is None and not on_this_cluster(case.batch):
        cluster = case.batch.launcher.get("cluster")
        return CellStatus(case.state, case.job_id, f"submitted on cluster {cluster}", certain=False)
    return _gone(case, slurm.ENDED.get(case.job.state) if case.job else None)


def _judge_live(state: RunState, job: slurm.SlurmJob) -> CellStatus:
    """SLURM has not done with the job: nobody else may run the cell."""
    if slurm.LIVE.get(job.state) == "queued":
        if state.name == "running":
            return CellStatus(state, job.id, "requeued, but the former copy still works")
        note = "" if job.reason == "None" else job.reason
        return CellStatus(replace(state, name="queued"), job.id, note)
    if state.name == "running":
        return CellStatus(state, job.id)
    if not state.certain and job.state != "COMPLETING":
        note = "suspended" if job.state == "SUSPENDED" else "no sign of life"
        return CellStatus(replace(state, name="running", cause=None), job.id, note)
    note = "ending" if job.state == "COMPLETING" else "starting"
    return CellStatus(replace(state, name="queued"), job.id, note)


def _judge_local(case: Case) -> CellStatus:
    """A local or inline batch: whoever works through it is alive, or not."""
    assert case.batch is not None
    alive = is_dispatched(case.journal, case.batch.id)
    if alive is None:  # not yet begun
        alive = time.time() - case.batch.created < _STARTING_SECONDS
    if case.state.name != "queued" or alive or submitting(case.journal, case.batch):
        holder = case.state.holder if case.state.name == "running" else None
        return CellStatus(case.state, (holder or {}).get("job_id"))
    return _gone(case, None)


def _gone(case: Case, cause: str | None) -> CellStatus:
    """No job is left to run the cell: how did it end?

    Args:
        cause: what the scheduler says, if it says anything.
    """
    state = case.run.state(case.measure)  # it may have ended since the folder was read
    if state.name == "running" and cause in (None, "node failure"):
        # not known to be dead: on a lost node a copy works on until it hears of it
        return CellStatus(state, case.job_id, "its scheduler no longer knows the job")
    if state.certain and state.name not in ("queued", "running"):
        return CellStatus(state, case.job_id)
    guess = "lost" if state.name == "queued" else state.cause
    cause = "cancelled" if case.run.cancelled() else cause or guess or "died"
    if cause == "died":
        cause = _cause_in_logs(case) or "died"
    name: StateName = "failed" if cause in FATAL else "interrupted"
    return CellStatus(RunState(name, cause, state.attempt, state.holder, state.queued), case.job_id)


def _cause_in_logs(case: Case) -> str | None:
    return next(filter(None, (failures.cause_in_text(tail(log)) for log in case.logs())), None)


def tail(log: Path, size: int = _LOG_TAIL) -> str:
    """The last ``size`` bytes of a file, or nothing."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - size))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""


def write_down(case: Case, status: CellStatus) -> None:
    """Keep in the run folder what else only the scheduler would remember for a while."""
    state, run = status.state, case.run
    if state.name not in ("interrupted", "failed") or state == case.run.state(case.measure):
        return
    if state.cause in (*FATAL, "died"):
        log = "\n".join(filter(None, map(tail, case.logs())))
        failures.record_observed(run, state.attempt, state.cause, _last_word(case, log), log)
    if state.queued is not None:
        _mark(run, state.queued, state.cause)
    elif state.attempt:
        outcome = "failed" if state.name == "failed" else "stopped"
        record = {"outcome": outcome, "cause": state.cause, "by": "monitor", "time": time.time()}
        lease.link_new(run.state_folder / f"{state.attempt}.end.json", json.dumps(record) + "\n")


def _mark(run: RunFolder, queued: Mapping[str, object], cause: str | None) -> None:
    current = lease.read_dict(run.queued_path)
    if current is not None and current.get("batch") == queued.get("batch"):
        with contextlib.suppress(OSError):
            run.write_queued({**current, "cause": cause})


def _last_word(case: Case, log: str) -> str:
    """The line that names the cause, or the last one, or the scheduler's verdict."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if failures.cause_in_text(line)]
    verdict = f"{case.job.state} {case.job.reason}" if case.job else "ended without a word"
    return (telling or [f"{verdict}: {line}" for line in lines[-1:]] or [verdict])[-1]
