"""The runs that cells start from: no cells themselves, so that nothing is compared with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import UserError
from core.files import read_json
from launch.records.store import RunFolder


@dataclass(frozen=True)
class StartRun:
    """A run whose last weights cells of a grid begin with.

    Attributes:
        state: as of a cell: new, queued, running, interrupted, failed or done.
        cause: why it is in that state, where that is known.
        followers: names of the runs that begin with it, seeds included.
        ap: what it scored, in percent; none where that was not measured.
    """

    name: str
    signature: str
    state: str
    cause: str | None
    followers: tuple[str, ...]
    ap: float | None


def starts_of(folder: RunFolder) -> Iterator[RunFolder]:
    """What the run starts from, and what that starts from, and so on."""
    seen = {folder.path}
    while (start := folder.start()) is not None and start.path not in seen:
        seen.add(start.path)
        yield start
        folder = start


def begins_with(folder: RunFolder) -> str | None:
    """Signature of the run whose weights the run's training begins with; none: no such run."""
    trains = folder.trains()
    for start in starts_of(folder):
        if trains:
            return start.path.name
        trains = start.trains()
    return None


def blocked_by(folder: RunFolder) -> str | None:
    """The start run that failed, with its cause, in words; none where none did."""
    for start in starts_of(folder):
        state = start.state(start.measure())
        if state.name == "failed":
            return f"by {_name(start)}, which failed" + (f" ({state.cause})" if state.cause else "")
    return None


def start_runs(runs: Sequence[tuple[str, RunFolder]]) -> tuple[StartRun, ...]:
    """The start runs of a grid, in the order in which its runs need them.

    Args:
        runs: name and folder of each run of the grid.
    """
    own = {folder.path for _, folder in runs}
    found: dict[str, RunFolder] = {}
    followers: dict[str, list[str]] = {}
    for name, folder in runs:
        for start in starts_of(folder):
            if start.path not in own:
                found[start.path.name] = start
                followers.setdefault(start.path.name, []).append(name)
    return tuple(_start(s, found[s], followers[s]) for s in found)


def _start(signature: str, folder: RunFolder, followers: Sequence[str]) -> StartRun:
    state = folder.state(folder.measure())
    ap = (_read(folder, "results/ap.json").get("figures") or {}).get("AP")
    percent = None if ap is None else 100 * float(ap)
    return StartRun(_name(folder), signature, state.name, state.cause, tuple(followers), percent)


def _name(folder: RunFolder) -> str:
    return str(_read(folder, "config.json").get("name") or folder.path.name)


def _read(folder: RunFolder, name: str) -> dict[str, Any]:
    try:
        value = read_json(folder.path / name)
    except (UserError, OSError):
        return {}
    return value if isinstance(value, dict) else {}
