"""A plan as people read it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from launch.costs import Costs
from launch.price.price import Price
from launch.price.text import price_lines
from launch.submit.plan import LaunchPlan
from launch.watch.display import STYLES, more_rows, plain_table
from launch.watch.status import duration


def plan_table(
    plan: LaunchPlan, costs: Mapping[str, Costs], price: Price, limit: int
) -> RenderableType:
    """Cells, jobs, price and totals of a plan; at most ``limit`` cells."""
    headings = ("cell", "run", "what", "why", "params", "MAdds/frame", "time")
    rows: list[list[RenderableType]] = []
    for cell in plan.cells[:limit]:
        cost = costs.get(cell.cell.signature, Costs())
        what = Text(cell.action, STYLES[cell.action])
        note = cell.note if cell.first else f"{cell.note} (run of another cell)".strip()
        priced = price.cells.get(cell.cell.signature) if cell.first else None
        numbers = (
            millions(cost.parameters),
            billions(cost.multiply_adds),
            duration(priced.seconds.mid if priced else None),
        )
        rows.append([cell.cell.name, cell.cell.signature[:8], what, note, *numbers])
    title = Text(plan.grid.name, "bold")
    parts: list[RenderableType] = [title, Text(plan.grid.description)]
    parts += [plain_table(headings, rows, right=headings[4:]), *more_rows(len(plan.cells), limit)]
    parts += _jobs(plan)
    parts += [Text(line) for line in price_lines(plan, price)]
    parts += [Text(f"! {problem}", "yellow") for problem in plan.problems]
    parts += [
        Text(
            f"! job {job.id} ({job.name}) belongs to this store, but there is no record of it: "
            f"scancel {job.id}, if nobody wants it",
            "yellow",
        )
        for job in plan.orphans
    ]
    return Group(*parts)


def _jobs(plan: LaunchPlan) -> list[RenderableType]:
    summary = ", ".join(f"{n} {action}" for action, n in plan.counts().items()) or "no cells"
    lines: list[RenderableType] = [Text(f"runs: {summary}", "bold")]
    if not plan.batches:
        lines.append(Text("nothing to submit"))
    for batch in plan.batches:
        count = f"{len(batch.cells)} cell" + "s" * (len(batch.cells) != 1)
        lines.append(Text(f"{count}: {plan.target.executor.place(batch)}"))
    if left := plan.left_text():
        lines.append(Text(left, "yellow"))
    return lines


def millions(count: int | None) -> str:
    """``161.8 M``, or nothing."""
    return "" if count is None else f"{count / 1e6:.1f} M"


def billions(count: int | None) -> str:
    """``35.49 G``, or nothing."""
    return "" if count is None else f"{count / 1e9:.2f} G"
