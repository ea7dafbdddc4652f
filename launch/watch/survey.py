"""What has become of every cell: the run folders first, then the schedulers, asked once for all.

A run folder that says "done" or names a cause is believed.  Where it says "queued" or "running",
or fell silent, the scheduler knows whether a job still exists, and how it ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from core.errors import UserError
from launch.executors import slurm_queries as slurm
from launch.records.journal import Batch, Journal
from launch.records.run_folder import RunState
from launch.records.store import Store
from launch.watch.facts import Facts, ask
from launch.watch.judge import Case, CellStatus, judge, task_id, write_down
from launch.watch.settle import settle

NEW = RunState("new")


@dataclass(frozen=True)
class Survey:
    """The state of many cells at one moment.

    Attributes:
        cells: signature to status.
        strays: live jobs of this store that no record of ours knows.
        problems: what could not be found out.
    """

    cells: Mapping[str, CellStatus]
    strays: Sequence[slurm.SlurmJob] = ()
    problems: Sequence[str] = ()


def survey(store: Store, cells: Mapping[str, Iterable[str]], *, record: bool = False) -> Survey:
    """Find out the state of every cell with at most one ``squeue`` and one ``sacct``.

    Args:
        cells: signature to the measurements that are needed of it.
        record: also write down what only the schedulers knew, so that it outlives their memory,
            and settle batches of launchers that died while submitting.
    """
    journal = Journal(store)
    existing, now = store.existing(), time.time()
    states = {
        signature: store.run(signature).state(measure, now) if signature in existing else NEW
        for signature, measure in cells.items()
    }
    batches = _batches(journal, states.values())
    unsettled = journal.unsettled() if record else []
    wanted = [_task(state) for state in states.values() if _is_open(state)]
    asked = [batches[name] for name in {name for name, _ in wanted} if name in batches]
    facts = ask(journal, [*asked, *unsettled], wanted)
    with _best_effort(facts):
        settle(journal, unsettled, facts)
    statuses = {}
    for signature, state in states.items():
        if not _is_open(state):
            statuses[signature] = CellStatus(state, _job_id(journal, state, batches))
            continue
        batch = batches.get(_task(state)[0])
        case = Case(journal, store.run(signature), tuple(cells[signature]), state, batch, facts)
        statuses[signature] = judge(case)
        if record:
            with _best_effort(facts):
                write_down(case, statuses[signature])
    return Survey(statuses, _strays(journal, facts), tuple(facts.problems))


@contextmanager
def _best_effort(facts: Facts) -> Iterator[None]:
    """Looking must work where nothing can be written: a colleague's store, a full disk."""
    try:
        yield
    except OSError as error:
        problem = f"not written down: {error}"
        if problem not in facts.problems:
            facts.problems.append(problem)


def _is_open(state: RunState) -> bool:
    """Whether a scheduler may know more than the folder does."""
    if state.submission is None or state.submission.get("batch") is None:
        return False
    return not state.certain or state.name in ("queued", "running")


def _task(state: RunState) -> tuple[str, int]:
    submission = state.submission or {}
    return str(submission.get("batch")), int(submission.get("index", 0))


def _batches(journal: Journal, states: Iterable[RunState]) -> dict[str, Batch]:
    """The batches that the states speak of, each read once; damaged ones are left out."""
    found = {}
    for name in {_task(state)[0] for state in states if state.submission}:
        try:
            found[name] = journal.read(name)
        except UserError:
            continue
    return found


def _job_id(journal: Journal, state: RunState, batches: Mapping[str, Batch]) -> str | None:
    if state.holder and state.holder.get("job_id"):
        return str(state.holder["job_id"])
    name, index = _task(state)
    return task_id(journal, batches[name], index) if name in batches else None


def _strays(journal: Journal, facts: Facts) -> list[slurm.SlurmJob]:
    """Jobs that carry this store's name, but that it has no record of."""
    known = journal.ids() if facts.jobs else set()
    return [
        job
        for job in facts.jobs.values()
        if job.live and job.comment == store_comment(journal.store) and job.batch not in known
    ]


def store_comment(store: Store) -> str:
    """What jobs of ``store`` carry as their comment."""
    return f"tevit:{store.root}"
