"""States and failures as people read them on a terminal, once or while they change."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from launch.records.failures import CAUSES, MEASUREMENT_FAILED, FailureGroup
from launch.records.run_folder import DONE_BUT_FOR
from launch.watch.status import StatusRow, counts, duration, most_telling

LINES = 20  # of a look, where there is no terminal
REPEAT_SECONDS = 60.0

STYLES = {
    "new": "cyan",
    "resume": "cyan",
    "retry": "cyan",
    "blocked": "yellow",
    "queued": "yellow",
    "running": "green",
    "done": "dim green",
    "failed": "bold red",
    "interrupted": "red",
    "stopped": "red",
}

HEADINGS = ("cell", "state", "step", "loss", "AP", "left", "host", "job", "why")
NUMBERS = ("step", "loss", "AP", "left")


def plain_table(
    headings: Sequence[str], rows: Sequence[Sequence[RenderableType]], right: Collection[str]
) -> Table:
    """A table without the columns that are empty in every row; texts stand as they are."""
    table = Table()
    kept = [k for k, _ in enumerate(headings) if any(str(row[k]) for row in rows)]
    for k in kept:
        table.add_column(
            headings[k], justify="right" if headings[k] in right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*as_they_stand(row[k] for k in kept))
    return table


def as_they_stand(cells: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """Texts of a table's row: a name such as [1,-1,2,-2] is neither markup nor an emoji."""
    return (Text(cell) if isinstance(cell, str) else cell for cell in cells)


def status_table(
    title: str, rows: Sequence[StatusRow], limit: int, problems: Iterable[str] = ()
) -> RenderableType:
    """The cells' states; at most ``limit`` of them, the most telling first."""
    shown = [row_cells(row) for row in most_telling(list(rows), limit)]
    table = plain_table(HEADINGS, shown, right=NUMBERS)
    total = ", ".join(f"{n} {state}" for state, n in counts(rows).items())
    parts: list[RenderableType] = [Text(title, "bold"), table, *more_rows(len(rows), limit)]
    return Group(
        *parts, Text(total, "bold"), *(Text(f"! {problem}", "yellow") for problem in problems)
    )


def _state_and_reason(row: StatusRow) -> tuple[str, str]:
    """A run that lacks no more than failed measurements is as good as done, and shown so."""
    return (row.cause, "") if row.cause.startswith(DONE_BUT_FOR) else (row.state, row.cause)


def row_cells(row: StatusRow) -> list[RenderableType]:
    """A cell's place in each column of a table of states."""
    state, reason = _state_and_reason(row)
    return [
        row.name,
        Text(state, STYLES[row.state]),
        "" if row.step is None else f"{row.step}/{row.steps}",
        "" if row.loss is None else f"{row.loss:.3f}",
        "" if row.ap is None else f"{100 * row.ap:.1f}",
        duration(row.seconds_left),
        row.host,
        row.job_id,
        reason,
    ]


def status_lines(rows: Iterable[StatusRow]) -> Iterable[str]:
    """The same as tab-separated lines, for programs and for very many cells."""
    yield "\t".join(("cell", "state", "step", "steps", "loss", "AP", "left", "host", "job", "why"))
    for row in rows:
        values = (row.name, row.state, row.step, row.steps, row.loss, row.ap)
        last = (row.seconds_left, row.host, row.job_id, row.cause)
        yield "\t".join("" if value is None else str(value) for value in values + last)


def failure_text(groups: Sequence[FailureGroup]) -> RenderableType:
    """Groups of failures, each with the whole traceback of its first cell."""
    parts: list[RenderableType] = []
    for group in groups:
        count = f"{len(group.cells)} cell" + "s" * (len(group.cells) != 1)
        meaning = CAUSES.get(group.cause, MEASUREMENT_FAILED)
        parts.append(Text(f"{count}: {group.cause} ({meaning})", "bold red"))
        parts.append(Text(f"  {group.last_line}", "red"))
        names = ", ".join(group.cells[:8])
        more = f", and {len(group.cells) - 8} more" if len(group.cells) > 8 else ""
        parts.append(Text(f"  {names}{more}"))
        if group.traceback:
            parts.append(Text(f"  of {group.cells[0]} ({group.log}):", "dim"))
            parts.append(Text(textwrap.indent(group.traceback.rstrip(), "    ")))
    return Group(*parts) if parts else Text("no failures")


def more_rows(count: int, limit: int) -> list[RenderableType]:
    """A line on the rows beyond ``limit``, if there are any."""
    return [Text(f"... and {count - limit:,} more (--all)", "dim")] if count > limit else []


Show = Callable[[Sequence[StatusRow], Sequence[str]], None]
"""Shows one look at the cells, and what is wrong as a whole."""


def say(console: Console, line: str, style: str | None = None) -> None:
    """Print a line as it stands: names hold brackets and colons that mean something to rich."""
    console.print(Text(line, style or ""), soft_wrap=True, highlight=False)


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
            say(self.console, line)


def _line(row: StatusRow) -> str:
    name, state, step, loss, ap, left, _, _, reason = map(str, row_cells(row))
    going = row.state == "running" and row.seconds_left
    told = [
        (f"({reason})", reason),
        (f"step {step}", step),
        (f"loss {loss}", loss),
        (f"AP {ap}", ap),
        (f"{left} left", left and going),
    ]
    return "  ".join([f"{name}: {state}", *(text for text, known in told if known)])
