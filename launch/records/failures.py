"""Why a cell failed: recorded once with its traceback, told apart by cause, grouped for people."""

from __future__ import annotations

import contextlib
import errno
import re
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.files import write_json
from launch.records.run_folder import RunFolder, timestamp

BLOCKED = "blocked"

CAUSES = {
    "error": "an exception in the code",
    "out of memory": "on the host or on the GPU",
    "disk full": "or over quota",
    "timeout": "over the time limit",
    "preempted": "by a job of higher priority",
    "node failure": "the node went down",
    "terminated": "told to stop from outside",
    "cancelled": "by the user",
    BLOCKED: "by the run that it starts from, which has not been trained",
    "died": "the process ended without a word, such as by kill -9",
    "silent": "no sign of life, and nobody knows why",
    "lost": "neither the scheduler nor the store knows what became of the job",
}
"""Every cause, with what it means."""

MEASUREMENT_FAILED = "the other figures are there; the next launch tries these again"

_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|exceeded memory limit"
    r"|oom.?kill|exceeded job memory",
    re.IGNORECASE,
)
_DISK = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+(\.\d+)?")
_RESERVE_BYTES = 1 << 16
_LOG_TAIL = 20_000


def cause_of(error: BaseException) -> str:
    """ "out of memory", "disk full", "cancelled" or "error"; also by what caused the error."""
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk full"
        if isinstance(link, MemoryError) or type(link).__name__ == "OutOfMemoryError":
            return "out of memory"
        if isinstance(link, KeyboardInterrupt):
            return "cancelled"
        if isinstance(link, RuntimeError | OSError) and (cause := cause_in_text(str(link))):
            return cause
    return "error"


def of_gpu(error: BaseException) -> bool:
    """Whether it was a GPU that is out of memory, which more host memory does not mend."""
    kinds = ("OutOfMemoryError", "AcceleratorError")
    return any(type(link).__name__ in kinds or "CUDA" in str(link) for link in _chain(error))


def cause_in_text(text: str) -> str | None:
    """The cause that a message or the end of a log names, or None."""
    if _DISK.search(text):
        return "disk full"
    return "out of memory" if _MEMORY.search(text) else None


def tail(log: Path) -> str:
    """The end of a file, or nothing."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _LOG_TAIL))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""


def record_failure(run: RunFolder, attempt: int, error: BaseException, *, rank: int = 0) -> str:
    """Write ``failure.json``, unless another rank of the attempt was first.

    Returns:
        The cause.
    """
    cause, text = cause_of(error), "".join(traceback.format_exception(error))
    last_line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    record_observed(run, attempt, cause, last_line, text, rank)
    return cause


def record_observed(
    run: RunFolder, attempt: int, cause: str, last_line: str, text: str, rank: int | None = None
) -> None:
    """The same for a process that could not do so itself; ``text`` is its log."""
    known = run.failure()
    if known is not None and known.get("attempt") == attempt:
        return
    record = {
        "attempt": attempt,
        "cause": cause,
        "last_line": last_line,
        "traceback": text,
        "time": timestamp(),
        "rank": rank,
    }
    with_room(run, lambda: write_json(run.failure_path, record))


def reserve_room(run: RunFolder) -> None:
    """Put some disk space aside, so that a full disk can still be reported."""
    with contextlib.suppress(OSError):
        _reserve(run).write_bytes(b"\0" * _RESERVE_BYTES)


def release_room(run: RunFolder) -> None:
    """Give back what :func:`reserve_room` put aside."""
    with contextlib.suppress(OSError):
        _reserve(run).unlink(missing_ok=True)


def with_room(run: RunFolder, write: Any) -> None:
    """Call ``write``; if the disk is full, once more with the reserve given back."""
    try:
        write()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        release_room(run)
        write()


def _reserve(run: RunFolder) -> Path:
    return run.state_folder / "reserve"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


@dataclass(frozen=True)
class FailureGroup:
    """Cells that failed alike.

    Attributes:
        cause: one of :data:`CAUSES`.
        last_line: last line of the first cell's traceback.
        cells: names of the cells.
        traceback: the first cell's, whole.
        log: the first cell's log file.
    """

    cause: str
    last_line: str
    cells: tuple[str, ...]
    traceback: str
    log: Path


def group_failures(failed: Iterable[tuple[str, RunFolder, str]]) -> list[FailureGroup]:
    """Group failed cells by cause and last traceback line, the largest group first.

    Lines that differ in numbers and addresses alone count as the same.

    Args:
        failed: name, run and cause of each cell.
    """
    groups: dict[tuple[str, str], list[tuple[str, RunFolder]]] = {}
    for name, run, cause in failed:
        line = str((run.failure(cause) or {}).get("last_line") or "")
        groups.setdefault((cause, _VARYING.sub("#", line)), []).append((name, run))
    result = [_group(cause, members) for (cause, _), members in groups.items()]
    return sorted(result, key=lambda g: -len(g.cells))


def _group(cause: str, members: list[tuple[str, RunFolder]]) -> FailureGroup:
    run = members[0][1]
    record = run.failure(cause) or {}
    return FailureGroup(
        cause=cause,
        last_line=str(record.get("last_line") or "(nothing recorded)"),
        cells=tuple(name for name, _ in members),
        traceback=str(record.get("traceback") or ""),
        log=run.log(int(record.get("attempt") or 1)),
    )
