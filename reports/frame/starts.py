"""Which runs a run starts from, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from launch.records.store import RunFolder


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
            return start.signature
        trains = start.trains()
    return None


def blocked_by(folder: RunFolder) -> str | None:
    """The start run that failed, with its cause, in words; none where none did."""
    for start in starts_of(folder):
        state = start.state(start.measure())
        if state.name == "failed":
            return f"by {start.name}, which failed" + (f" ({state.cause})" if state.cause else "")
    return None


def followers_of_starts(runs: Sequence[tuple[str, RunFolder]]) -> dict[str, list[str]]:
    """Signature of each start run of a grid, in the order in which its runs need them, to the names
    of the runs that begin with it.

    Args:
        runs: name and folder of each run of the grid.
    """
    own = {folder.path for _, folder in runs}
    followers: dict[str, list[str]] = {}
    for name, folder in runs:
        for start in starts_of(folder):
            if start.path not in own:
                followers.setdefault(start.signature, []).append(name)
    return followers
