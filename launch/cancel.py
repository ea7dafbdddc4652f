"""Taking cells back: a mark in the run folder, and a word to whoever runs them.

The mark counts even where the word is lost (a controller that restarts forgets its last
seconds): a cell that starts, or gives a sign of life, sees it and stops.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launch.executors import slurm_queries as slurm
from launch.records.process import is_gone, myself
from launch.records.store import ManifestCell, Store
from launch.watch.judge import CellStatus
from launch.watch.survey import survey


@dataclass(frozen=True)
class Cancelled:
    """What was taken back.

    Attributes:
        cells: those that were queued or running.
        problem: why the scheduler could not be told, or None.
    """

    cells: tuple[ManifestCell, ...]
    problem: str | None = None


def cancel(store: Store, cells: Sequence[ManifestCell]) -> Cancelled:
    """Cancel those of ``cells`` that are queued or running; their checkpoints stay."""
    found = survey(store, {c.signature: c.measure for c in cells}, record=True)
    active = tuple(c for c in cells if found.cells[c.signature].state.name in ("queued", "running"))
    for cell in active:
        store.run(cell.signature).mark_cancelled()
    ids, problem = [], None
    for cell in active:
        status = found.cells[cell.signature]
        if not _tell_process(status) and status.job_id:
            ids.append(status.job_id)
    try:
        slurm.cancel(list(dict.fromkeys(ids)))
    except slurm.SlurmError as error:
        problem = str(error)
    return Cancelled(active, problem)


def _tell_process(status: CellStatus) -> bool:
    """Ask a local process to stop; False if the cell is not that of one."""
    holder: Mapping[str, object] = status.state.holder or {}
    if holder.get("scheduler") == "slurm" or status.state.name != "running":
        return False
    here = holder.get("machine") == myself()["machine"]
    if here and not is_gone(holder) and isinstance(pid := holder.get("pid"), int):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    return True
