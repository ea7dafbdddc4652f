"""A grid at a glance: one row a cell, read from its run folder and completed by the survey."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launch.executors.base import CellStatus
from launch.records import lease
from launch.records.failures import BLOCKED
from launch.records.run_folder import RunFolder
from launch.records.store import Manifest, ManifestCell, Store
from launch.records.summary import summary
from launch.watch.survey import Survey

ORDER = ("running", "failed", "interrupted", "queued", "new", "done")
"""States, those that one looks for first."""

GOING_ON = 3
"""Exit status while cells are queued or running."""


@dataclass(frozen=True)
class StatusRow:
    """What is known of a cell.

    Attributes:
        state: as of :class:`launch.records.run_folder.RunState`.
        cause: of a failure or an interruption, and whatever else there is to say.
        step: training steps done, of ``steps``; None before the first.
        loss: latest training loss.
        ap: AP (fraction) once it is measured.
        seconds_left: of the training, while it runs.
        host: where the latest attempt ran or runs.
        job_id: the scheduler's.
        code: name of the code that made it, makes it or is to make it (launch.code.snapshot).
        hopeless: it is queued, but will not start unless somebody does something.
    """

    name: str
    state: str
    cause: str
    step: int | None
    steps: int | None
    loss: float | None
    ap: float | None
    seconds_left: float | None
    host: str
    job_id: str
    code: str | None = None
    hopeless: bool = False


def status_rows(store: Store, cells: Iterable[ManifestCell], found: Survey) -> list[StatusRow]:
    """A row for each cell, in their order; cells that share a run are read once."""
    rows: dict[str, StatusRow] = {}
    result = []
    for cell in cells:
        if cell.signature not in rows:
            status = found.cells[cell.signature]
            rows[cell.signature] = _row(store.run(cell.signature), cell.name, status)
        row = rows[cell.signature]
        result.append(StatusRow(**{**vars(row), "name": cell.name}))
    return result


def _row(run: RunFolder, name: str, status: CellStatus) -> StatusRow:
    state = status.state
    holder: Mapping[str, Any] = state.holder or {}
    known = _summary(run, status)
    words = [word for word in (state.cause, status.note) if word]
    if state.cause == BLOCKED and (start := run.blocked_by()) is not None:
        why = start.state(("train",))
        words = [f"blocked by {start.name} ({why.name}{f': {why.cause}' if why.cause else ''})"]
    return StatusRow(
        name=name,
        state=state.name,
        cause="; ".join(words),
        **{name: _number(known.get(name)) for name in ("step", "steps", "loss", "ap")},
        seconds_left=_number(known.get("seconds_left")) if state.name == "running" else None,
        host=str(holder.get("node") or holder.get("host") or ""),
        job_id=status.job_id or "",
        code=_code(status),
        hopeless=status.stuck,
    )


def _code(status: CellStatus) -> str | None:
    """Of the attempt, or of the submission that no attempt has taken up."""
    state, batch = status.state, status.batch
    if batch is not None and (state.queued is not None or not state.attempt):
        index = (state.submission or {}).get("index", 0)
        return batch.code(index) if index < len(batch.signatures) else None
    return (state.holder or {}).get("code")


def _summary(run: RunFolder, status: CellStatus) -> Mapping[str, Any]:
    if not status.state.attempt:
        return {}
    if status.state.name == "done":
        kept = (lease.read_dict(f"{run.path}/done.json") or {}).get("summary")
        if isinstance(kept, dict):
            return kept
    return summary(run)


def _number(value: Any) -> Any:
    """What a damaged record may have in its place is none."""
    return value if isinstance(value, int | float) else None


def counts(rows: Iterable[StatusRow]) -> dict[str, int]:
    """How many cells are in each state, in the order of :data:`ORDER`."""
    found = Counter(row.state for row in rows)
    return {state: found[state] for state in ORDER if found[state]}


def exit_status(rows: Iterable[StatusRow]) -> int:
    """For scripts: 0, every cell is done; 3, some are queued or running; 1, neither.

    What is queued and stuck there does not count as queued.
    """
    states = {"stuck" if row.hopeless else row.state for row in rows}
    if states & {"queued", "running"}:
        return GOING_ON
    return 0 if states <= {"done"} else 1


def status_json(
    manifest: Manifest, rows: Sequence[StatusRow], problems: Sequence[str]
) -> dict[str, Any]:
    """All that a table of the cells shows, for programs (JSON types; what is not known is null)."""
    cells = []
    for cell, row in zip(manifest.all_cells, rows, strict=True):
        known = {"signature": cell.signature, "seed": cell.seed, "axes": dict(cell.axes)}
        cells.append({"name": cell.name, **known, **{k: _plain(v) for k, v in vars(row).items()}})
    return {
        "schema": 1,
        "grid": manifest.grid,
        "exit_status": exit_status(rows),
        "counts": counts(rows),
        "cells": cells,
        "problems": list(problems),
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def most_telling(rows: list[StatusRow], limit: int) -> list[StatusRow]:
    """At most ``limit`` rows: those first that run, failed or wait for somebody."""
    if len(rows) <= limit:
        return rows
    return sorted(rows, key=lambda row: ORDER.index(row.state))[:limit]


def duration(seconds: float | None) -> str:
    """``1:02:03``, or nothing."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
