"""What has become of every cell: the run folders first, then the schedulers, asked once for all.

A run folder that says "done" or names a cause is believed.  Where it says "queued" or "running",
or fell silent, the scheduler knows whether a job still exists, and how it ended.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from core.errors import UserError
from launch.executors.base import Answers, CellStatus, Evidence, Job
from launch.executors.table import EXECUTORS
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.run_folder import RunState
from launch.records.store import Store
from launch.watch.cell_state import adopt_orphans, cell_status, gone, write_down

NEW = RunState("new")


@dataclass(frozen=True)
class Survey:
    """The state of many cells at one moment.

    Attributes:
        cells: signature to status.
        orphans: live jobs of this store that no record of ours knows.
        problems: what could not be found out.
    """

    cells: Mapping[str, CellStatus]
    orphans: Sequence[Job] = ()
    problems: Sequence[str] = ()


def survey(store: Store, cells: Mapping[str, Iterable[str]], *, record: bool = False) -> Survey:
    """Find out the state of every cell with at most one ``squeue`` and one ``sacct``.

    Args:
        cells: signature to the measurements that are needed of it.
        record: also write down what only the schedulers knew, so that it outlives their memory,
            and settle batches of launchers that died while submitting.
    """
    journal, existing = Journal(store), store.existing()
    # heartbeats are stamped by the file server, whose clock may differ from ours by minutes
    now = lease.server_time(store.root) if record else time.time()
    states = {
        signature: store.run(signature).state(measure, now) if signature in existing else NEW
        for signature, measure in cells.items()
    }
    batches = _batches(journal, states.values())
    unsettled = journal.unsettled() if record else []
    tasks = [_task(state) for state in states.values() if _is_open(state)]
    names = {name for name, _ in tasks} | set(_workers(filter(_is_open, states.values())))
    asked = {name: batches[name] for name in names if name in batches}
    asked |= {batch.id: batch for batch in unsettled}
    answers = {
        name: executor.ask(journal, [b for b in asked.values() if b.executor == name], tasks)
        for name, executor in EXECUTORS.items()
    }
    problems = [problem for answer in answers.values() for problem in answer.problems]
    with _best_effort(problems):
        adopt_orphans(journal, unsettled, answers)
    statuses = {}
    for signature, state in states.items():
        run, needed = store.run(signature), tuple(cells[signature])
        batch = batches.get(_task(state)[0])
        if not _is_open(state):
            statuses[signature] = CellStatus(state, _job_id(journal, state, batch), batch=batch)
        elif batch is None:
            statuses[signature] = gone(run, needed, state)
        else:
            answer = answers.get(batch.executor, Answers())
            evidence = Evidence(journal, run, needed, state, batch, answer)
            statuses[signature] = cell_status(evidence)
            if record:
                with _best_effort(problems):
                    write_down(evidence, statuses[signature])
    problems += _waiting_for(statuses.values())
    jobs = [job for answer in answers.values() for job in answer.jobs.values()]
    return Survey(statuses, _orphans(journal, jobs), tuple(problems))


def _waiting_for(statuses: Iterable[CellStatus]) -> Iterator[str]:
    """What keeps cells from starting, other than that others come first."""
    found = Counter((s.waits, s.hopeless, s.stranded) for s in statuses)
    for (reason, hopeless, stranded), count in found.items():
        cells = "1 cell" if count == 1 else f"{count} cells"
        if stranded:
            yield (
                f"{cells} cannot start: SLURM itself holds them ({reason}). tevit launch, or tevit "
                "release, lets them start again"
            )
        elif hopeless:
            yield (
                f"{cells} will never start as asked for: SLURM says {reason}. tevit cancel takes "
                "them back; or mend the profile and launch with --replace-queued"
            )
        elif reason:
            yield f"{cells} cannot start for now: SLURM says {reason}"


@contextmanager
def _best_effort(problems: list[str]) -> Iterator[None]:
    """Looking must work where nothing can be written: a colleague's store, a full disk."""
    try:
        yield
    except OSError as error:
        problem = f"not written down: {error}"
        if problem not in problems:
            problems.append(problem)


def _is_open(state: RunState) -> bool:
    """Whether a scheduler may know more than the folder does."""
    if state.submission is None:
        return False
    return not state.certain or state.name in ("queued", "running")


def _task(state: RunState) -> tuple[str, int]:
    submission = state.submission or {}
    return str(submission.get("batch")), int(submission.get("index", 0))


def _batches(journal: Journal, states: Iterable[RunState]) -> dict[str, Batch]:
    """The batches that the states speak of, each read once; damaged ones are left out."""
    found = {}
    known = [state for state in states if state.submission]
    for name in {*(_task(state)[0] for state in known), *_workers(known)}:
        try:
            found[name] = journal.read(name)
        except UserError:
            continue
    return found


def _workers(states: Iterable[RunState]) -> Iterator[str]:
    """The batches whose jobs took cells of other batches."""
    return (str(s.holder["worker"]) for s in states if s.holder and s.holder.get("worker"))


def _job_id(journal: Journal, state: RunState, batch: Batch | None) -> str | None:
    if state.holder and state.holder.get("job_id"):
        return str(state.holder["job_id"])
    executor = EXECUTORS.get(batch.executor) if batch else None
    return executor.job_id(journal, batch, _task(state)[1]) if executor and batch else None


def _orphans(journal: Journal, jobs: Sequence[Job]) -> list[Job]:
    """Jobs that carry this store's name, but that it has no record of."""
    known = journal.ids() if jobs else set()
    ours = journal.store.job_comment
    return [job for job in jobs if job.live and job.comment == ours and job.batch not in known]
