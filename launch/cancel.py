"""Taking cells back, and holding them: a mark in the run folder, and a word to whoever runs them.

The mark counts even where the word is lost (a controller that restarts forgets its last
seconds): a cell that starts, or gives a sign of life, sees it and stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.errors import UserError
from launch.executors.base import CellStatus, Executor, SubmissionError
from launch.executors.table import EXECUTORS
from launch.records.journal import Journal
from launch.records.store import ManifestCell, Store
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


def hold(store: Store, cells: Sequence[ManifestCell], *, release: bool) -> list[ManifestCell]:
    """Keep those of ``cells`` that are queued from starting, or let them start again.

    Raises:
        UserError: their executor cannot, or could not be told; names what can be done instead.
    """
    found = survey(store, {c.signature: c.measure for c in cells}, record=True).cells
    queued = [c for c in cells if found[c.signature].state.name == "queued"]
    for name, statuses in _by_executor(found, queued).items():
        if name not in EXECUTORS:
            raise UserError(
                f"submitted by the executor {name or 'unknown'}, which is not known here"
            )
        EXECUTORS[name].hold(statuses, release=release)
    for signature in dict.fromkeys(c.signature for c in queued):
        store.run(signature).mark_held(held=not release)
    return queued


def cancel(store: Store, cells: Sequence[ManifestCell]) -> Cancelled:
    """Cancel those of ``cells`` that are queued or running; their checkpoints stay.

    Raises:
        UserError: the store cannot be written.
    """
    found = survey(store, {c.signature: c.measure for c in cells}, record=True)
    active = tuple(c for c in cells if found.cells[c.signature].state.name in ("queued", "running"))
    try:
        for cell in active:
            store.run(cell.signature).mark_cancelled()
    except OSError as error:
        raise UserError(f"the store {store.root} cannot be written: {error}") from error
    problems = []
    for name, statuses in _by_executor(found.cells, active).items():
        try:
            EXECUTORS.get(name, Executor()).cancel(Journal(store), statuses)
        except SubmissionError as error:
            problems.append(str(error))
    return Cancelled(active, "; ".join(problems) or None)


def _by_executor(
    found: Mapping[str, CellStatus], cells: Iterable[ManifestCell]
) -> dict[str, list[CellStatus]]:
    """Name of the executor, "" where it is not known, to the runs of ``cells``, each once."""
    groups: dict[str, list[CellStatus]] = {}
    for signature in dict.fromkeys(cell.signature for cell in cells):
        batch = found[signature].batch
        groups.setdefault(batch.executor if batch else "", []).append(found[signature])
    return groups
