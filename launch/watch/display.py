"""Plans, states and failures as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from launch.costs import Costs
from launch.records.failures import CAUSES, FailureGroup
from launch.submit.plan import SUBMITTED, BatchPlan, Plan
from launch.watch.status import StatusRow, counts, duration, most_telling

STYLES = {
    "new": "cyan",
    "resume": "cyan",
    "retry": "cyan",
    "queued": "yellow",
    "running": "green",
    "done": "dim green",
    "failed": "bold red",
    "interrupted": "red",
    "stopped": "red",
}


def plan_table(plan: Plan, costs: Mapping[str, Costs], limit: int) -> RenderableType:
    """Cells, jobs and totals of a plan; at most ``limit`` cells."""
    headings = ("cell", "run", "what", "why", "parameters", "multiply-adds/frame")
    rows: list[list[RenderableType]] = []
    for cell in plan.cells[:limit]:
        cost = costs.get(cell.cell.signature, Costs())
        what = Text(cell.action, STYLES[cell.action])
        note = cell.note if cell.first else f"{cell.note} (run of another cell)".strip()
        numbers = (millions(cost.parameters), billions(cost.multiply_adds))
        rows.append([cell.cell.name, cell.cell.signature[:8], what, note, *numbers])
    title = Text(plan.grid.name, "bold")
    parts: list[RenderableType] = [title, Text(plan.grid.description)]
    parts += [_table(headings, rows, right=headings[4:]), *_more(len(plan.cells), limit)]
    parts += _jobs(plan)
    parts += [Text(f"! {problem}", "yellow") for problem in plan.problems]
    parts += [_stray(job.id, job.name) for job in plan.strays]
    return Group(*parts)


def _jobs(plan: Plan) -> list[RenderableType]:
    summary = ", ".join(f"{n} {action}" for action, n in plan.counts().items()) or "no cells"
    lines: list[RenderableType] = [Text(f"runs: {summary}", "bold")]
    if not plan.batches:
        lines.append(Text("nothing to submit"))
    for batch in plan.batches:
        count = f"{len(batch.cells)} cell" + "s" * (len(batch.cells) != 1)
        lines.append(Text(f"{count}: {_place(plan, batch)}"))
    left = sum(c.first and c.action in ("failed", "stopped") for c in plan.cells)
    if left:
        lines.append(Text(f"{left} failed runs are left as they are (see --retry)", "yellow"))
    return lines


def _place(plan: Plan, batch: BatchPlan) -> str:
    """Where the cells of a batch would run."""
    if plan.target.executor == "inline":
        return "in this process, one after the other"
    if plan.target.executor == "local":
        lanes = batch.parameters["gpus"]
        gpus = "; ".join(",".join(lane) for lane in lanes if lane)
        return f"on this machine, {len(lanes)} at a time, " + (f"GPUs {gpus}" if gpus else "no GPU")
    hidden = ("comment", "srun_args", "stderr_to_stdout")
    shown = {name: value for name, value in batch.parameters.items() if name not in hidden}
    kind = "a job array" if len(batch.cells) > 1 else "a job"
    return f"{kind} with " + ", ".join(f"{name}={value}" for name, value in shown.items())


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[RenderableType]], right: Collection[str]
) -> Table:
    """A table without the columns that are empty in every row."""
    table = Table()
    kept = [k for k, _ in enumerate(headings) if any(str(row[k]) for row in rows)]
    for k in kept:
        justify: Literal["right", "left"] = "right" if headings[k] in right else "left"
        table.add_column(headings[k], justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(row[k] for k in kept))
    return table


def status_table(
    title: str, rows: Sequence[StatusRow], limit: int, problems: Iterable[str] = ()
) -> RenderableType:
    """The cells' states; at most ``limit`` of them, the most telling first."""
    headings = ("cell", "state", "step", "loss", "AP", "left", "host", "job", "why")
    shown = [_cells(row) for row in most_telling(list(rows), limit)]
    table = _table(headings, shown, right=("step", "loss", "AP", "left"))
    total = ", ".join(f"{n} {state}" for state, n in counts(rows).items())
    parts: list[RenderableType] = [Text(title, "bold"), table, *_more(len(rows), limit)]
    return Group(
        *parts, Text(total, "bold"), *(Text(f"! {problem}", "yellow") for problem in problems)
    )


def _cells(row: StatusRow) -> list[RenderableType]:
    return [
        row.name,
        Text(row.state, STYLES[row.state]),
        "" if row.step is None else f"{row.step}/{row.steps}",
        "" if row.loss is None else f"{row.loss:.3f}",
        "" if row.ap is None else f"{100 * row.ap:.1f}",
        duration(row.seconds_left),
        row.host,
        row.job_id,
        row.cause,
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
        parts.append(Text(f"{count}: {group.cause} ({CAUSES.get(group.cause, '')})", "bold red"))
        parts.append(Text(f"  {group.last_line}", "red"))
        names = ", ".join(group.cells[:8])
        more = f", and {len(group.cells) - 8} more" if len(group.cells) > 8 else ""
        parts.append(Text(f"  {names}{more}"))
        if group.traceback:
            parts.append(Text(f"  of {group.cells[0]} ({group.log}):", "dim"))
            parts.append(Text(_indented(group.traceback)))
    return Group(*parts) if parts else Text("no failures")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())


def _more(count: int, limit: int) -> list[RenderableType]:
    return [Text(f"... and {count - limit:,} more (--all)", "dim")] if count > limit else []


def _stray(job_id: str, name: str) -> Text:
    return Text(
        f"! job {job_id} ({name}) belongs to this store, but there is no record of it: "
        f"scancel {job_id}, if nobody wants it",
        "yellow",
    )


def millions(count: int | None) -> str:
    """``161.8 M``, or nothing."""
    return "" if count is None else f"{count / 1e6:.1f} M"


def billions(count: int | None) -> str:
    """``35.49 G``, or nothing."""
    return "" if count is None else f"{count / 1e9:.2f} G"


def submitted_text(plan: Plan, jobs: Sequence[str]) -> str:
    """One line on what a launch did."""
    count = sum(c.first and c.action in SUBMITTED for c in plan.cells)
    if not jobs:
        counted = ", ".join(f"{n} {action}" for action, n in plan.counts().items())
        return f"{plan.grid.name}: nothing to submit ({counted})"
    ids = ", ".join(jobs[:8]) + (" ..." if len(jobs) > 8 else "")
    word = {"slurm": "SLURM jobs", "local": "local dispatcher, process", "inline": ""}
    return f"{plan.grid.name}: {count} cells submitted ({word[plan.target.executor]} {ids})"
