"""Showing the states of a grid's cells while they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from launch.watch.display import status_table
from launch.watch.status import StatusRow, counts, duration

LINES = 20  # of a look, where there is no terminal
REPEAT_SECONDS = 60.0


Show = Callable[[Sequence[StatusRow], Sequence[str]], None]
"""Shows one look at the cells, and what is wrong as a whole."""


@contextmanager
def live_status(title: str, console: Console, limit: int = 40) -> Iterator[Show]:
    """A table that changes in place on a terminal; lines of what changed elsewhere.

    Args:
        title: the grid's name.
        limit: cells in the table.
    """
    if not console.is_terminal:
        yield ChangeLog(console).show
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(rows: Sequence[StatusRow], problems: Sequence[str]) -> None:
            live.update(status_table(title, rows, limit, problems), refresh=True)

        yield show


class ChangeLog:
    """A line for each cell whose state changed, and now and then for those that run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.states: dict[str, str] = {}
        self.problems: frozenset[str] = frozenset()
        self.told = time.monotonic()

    def show(self, rows: Sequence[StatusRow], problems: Sequence[str]) -> None:
        """Print what is new since the last call."""
        changed = [row for row in rows if self.states.get(row.name, "queued") != row.state]
        self.states = {row.name: row.state for row in rows}
        if time.monotonic() > self.told + REPEAT_SECONDS:
            changed += [row for row in rows if row.state == "running" and row not in changed]
            self.told = time.monotonic()
        lines = [_line(row) for row in changed[:LINES]]
        if len(changed) > LINES:
            lines.append(", ".join(f"{n} {state}" for state, n in counts(rows).items()))
        lines += [f"! {problem}" for problem in problems if problem not in self.problems]
        self.problems = frozenset(problems)
        for line in lines:
            self.console.print(line, soft_wrap=True, highlight=False, markup=False)


def _line(row: StatusRow) -> str:
    parts = [f"{row.name}: {row.state}"]
    if row.cause:
        parts.append(f"({row.cause})")
    if row.step is not None:
        parts.append(f"step {row.step}/{row.steps}")
    if row.loss is not None:
        parts.append(f"loss {row.loss:.3f}")
    if row.ap is not None:
        parts.append(f"AP {100 * row.ap:.1f}")
    if row.state == "running" and row.seconds_left:
        parts.append(f"{duration(row.seconds_left)} left")
    return "  ".join(parts)
