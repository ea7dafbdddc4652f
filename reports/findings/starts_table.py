"""The start runs as a small table of their own."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import FIGURES
from reports.frame.runs import StartRun
from reports.tables.model import DASH, Column, Entry, Label, Notes, Row, Table


def starts_table(starts: Sequence[StartRun], stem: str) -> Table | None:
    """A row a start run: its state, how many runs follow it, what it scored; None without any.
    Where all are done it is looked up only."""
    if not starts:
        return None
    notes = Notes()
    notes.say("Runs that cells begin with; they are no cells, and nothing is compared with them.")
    rows = [_row(start, notes) for start in starts]
    fields = ("Start run", "State", "Followed by")
    scored = any(start.ap is not None for start in starts)
    columns = (Column(FIGURES["AP"], "AP", 1),) if scored else ()
    if not scored:
        rows = [Row(row.labels, row.seeds, (), row.cell, row.marks) for row in rows]
    return Table(
        *(f"{stem}_starts", "Start runs.", fields, columns, (tuple(rows),), notes.all()),
        appendix=all(start.run.state == "done" for start in starts),
    )


def _row(start: StartRun, notes: Notes) -> Row:
    run, count = start.run, len(start.followers)
    labels = (run.name, run.state, "1 run" if count == 1 else f"{count} runs")
    marks = (notes.mark(f"{run.cause}."),) if run.cause else ()
    entry = Entry(text=DASH) if start.ap is None else Entry({0: start.ap})
    return Row(tuple(map(Label, labels)), "1", (entry,), run.name, marks)
