"""One cell's state: what its folder says, corrected by what its executor knows."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from launch.executors.base import Answers, CellStatus, Evidence, UndecidedError
from launch.executors.table import EXECUTORS
from launch.records import failures, lease
from launch.records.journal import Batch, Journal
from launch.records.run_folder import FATAL, RunFolder, RunState, StateName


def cell_status(evidence: Evidence) -> CellStatus:
    """What has become of a cell that was submitted and has not ended by its folder."""
    executor, batch = EXECUTORS.get(evidence.batch.executor), evidence.batch
    if evidence.journal.is_void(batch.id):
        return gone(evidence.run, evidence.measure, evidence.state)
    if executor is None:
        note = f"submitted by the executor {batch.executor}, which is not known here"
        return CellStatus(evidence.state, None, note, certain=False, batch=batch)
    status = executor.status(evidence)
    if status is None:
        job_id = evidence.job.id if evidence.job else None
        status = gone(
            evidence.run,
            evidence.measure,
            evidence.state,
            cause=executor.ended(evidence),
            job_id=job_id or executor.job_id(evidence.journal, batch, evidence.index),
            logs=_logs(evidence),
        )
    if batch.note and status.state.name in ("queued", "running"):
        status = replace(status, note="; ".join(filter(None, (status.note, batch.note))))
    return replace(status, batch=batch)


def gone(
    run: RunFolder,
    measure: tuple[str, ...],
    state: RunState,
    *,
    cause: str | None = None,
    job_id: str | None = None,
    logs: Iterable[Path] = (),
) -> CellStatus:
    """The state of a cell that no job is left to run: how did it end?

    Args:
        cause: what the scheduler says, if it says anything.
        job_id: the job that is no more.
        logs: files that may tell the cause.
    """
    attempt = state.attempt
    state = run.state(measure)  # it may have ended since the folder was read
    if state.name == "running" and cause in (None, "node failure"):
        # not known to be dead: on a lost node a copy works on until it hears of it
        return CellStatus(state, job_id, "its scheduler no longer knows the job")
    if state.certain and state.name not in ("queued", "running"):
        return CellStatus(state, job_id)
    guess = "lost" if state.name == "queued" else state.cause
    cause = "cancelled" if run.cancelled() else cause or guess or "died"
    if cause == "died":
        texts = map(failures.tail, (run.log(attempt), *logs))
        cause = next(filter(None, map(failures.cause_in_text, texts)), "died")
    name: StateName = "failed" if cause in FATAL else "interrupted"
    return CellStatus(RunState(name, cause, state.attempt, state.holder, state.queued), job_id)


def _logs(evidence: Evidence) -> Iterator[Path]:
    """What the scheduler wrote around the cell."""
    log = EXECUTORS[evidence.batch.executor].log(evidence.journal, evidence.batch, evidence.index)
    if log is not None:
        yield log


def write_down(evidence: Evidence, status: CellStatus) -> None:
    """Keep in the run folder what else only the scheduler would remember for a while."""
    state, run = status.state, evidence.run
    if state.name not in ("interrupted", "failed") or state == run.state(evidence.measure):
        return
    if state.cause in (*FATAL, "died"):
        logs = (run.log(state.attempt), *_logs(evidence))
        log = "\n".join(filter(None, map(failures.tail, logs)))
        failures.record_observed(run, state.attempt, state.cause, _last_word(evidence, log), log)
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


def _last_word(evidence: Evidence, log: str) -> str:
    """The line that names the cause, or the last one, or the scheduler's verdict."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if failures.cause_in_text(line)]
    job = evidence.job
    verdict = f"{job.state} {job.reason}" if job else "ended without a word"
    return (telling or [f"{verdict}: {line}" for line in lines[-1:]] or [verdict])[-1]


def adopt_orphans(
    journal: Journal, unsettled: Iterable[Batch], answers: Mapping[str, Answers]
) -> None:
    """Find out what became of batches whose launcher died while it submitted them.

    A job found by its name is adopted; where there is none the batch is withdrawn and its cells
    are as they were before.  Without an answer of the scheduler nothing is decided.

    Args:
        answers: by the executor's name.
    """
    for batch in unsettled:
        executor = EXECUTORS.get(batch.executor)
        if executor is None or journal.submitting(batch):
            continue
        with contextlib.suppress(UndecidedError):
            job_id = executor.made(journal, batch, answers[batch.executor])
            if job_id is None:
                withdraw(journal, batch, "its launcher died before it was submitted")
            else:
                journal.submitted(batch.id, job_id, adopted=True)


def withdraw(journal: Journal, batch: Batch, reason: str) -> None:
    """Declare that ``batch`` came to nothing, and its cells as free as they were before."""
    for signature in batch.signatures:
        run = journal.store.run(signature)
        mark = lease.read_dict(run.queued_path)
        if mark is not None and mark.get("batch") == batch.id:
            run.queued_path.unlink(missing_ok=True)
    shutil.rmtree(journal.submitit_folder(batch.id), ignore_errors=True)
    journal.void(batch.id, reason)
