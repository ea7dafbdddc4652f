"""A cell's log: what its latest attempt printed, and what the scheduler wrote around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core.errors import UserError
from launch.executors.table import EXECUTORS
from launch.records.journal import Journal
from launch.records.store import RunState, Store

_POLL_SECONDS = 0.5


def find_log(store: Store, signature: str, *, scheduler: bool = False) -> Path:
    """The log of the latest attempt of a run.

    Args:
        scheduler: that of the job around it instead.

    Raises:
        UserError: there is none yet.
    """
    run = store.run(signature)
    state = run.state()
    log = run.log(state.attempt)
    if not scheduler and log.exists():
        return log
    around = _scheduler_log(Journal(store), state)
    if around is not None:
        return around
    raise UserError(f"{run.path}: no log yet, the cell is {state.name}")


def _scheduler_log(journal: Journal, state: RunState) -> Path | None:
    if (submission := state.submission) is None:
        return None
    try:
        batch = journal.read(str(submission["batch"]))
    except UserError:
        return None
    executor = EXECUTORS.get(batch.executor)
    path = executor.log(journal, batch, int(submission.get("index", 0))) if executor else None
    return path if path and path.exists() else None


def follow_log(
    path: Path, over: Callable[[], bool], *, poll: float = _POLL_SECONDS
) -> Iterator[str]:
    """What is in the file, and then what is appended to it.

    Args:
        over: asked when nothing new is there; true: no more will come.
    """
    with path.open(errors="replace") as stream:
        while True:
            if text := stream.read(1 << 16):
                yield text
                continue
            if over():
                yield stream.read()
                return
            time.sleep(poll)
