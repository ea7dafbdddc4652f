"""Launching, following and showing a grid, for the command line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from rich.console import Console

from ablations.grid import Grid
from core.errors import UserError
from launch.code.snapshot import freeze, start_command
from launch.costs import costs_of
from launch.executors.base import Target
from launch.executors.inline import Inline, run_report
from launch.executors.profile import make_profile
from launch.price.price import Budget, Price, price_of, under_way
from launch.price.record import remember, spent_of
from launch.price.text import price_lines, spent_lines
from launch.records.failures import FailureGroup, group_failures
from launch.records.journal import Journal
from launch.records.run_folder import RunFolder
from launch.records.store import Manifest, Store
from launch.records.summary import recorded_ap
from launch.reproduce import grid_of_run
from launch.rounds import comparison, until_decided
from launch.submit.follow import follow
from launch.submit.launcher import Launched, launch, manifest_of
from launch.submit.plan import LaunchPlan, LaunchRequest
from launch.watch.display import live_status, say, status_lines, status_table
from launch.watch.status import (
    GOING_ON,
    StatusRow,
    exit_status,
    status_json,
    status_rows,
)
from launch.watch.survey import Survey, survey


@dataclass(frozen=True)
class LaunchOptions:
    """How a launch goes on.

    Attributes:
        cells: names of the only cells to submit; none: all.
        report: make the report when all have ended.
        wait: follow until then.
        interval: seconds between two looks; none: as many as the executor is worth.
        budget: of device hours, which launches together may not exceed; none: no limit.
        replace_queued: put those anew that are queued with other resources than asked for now.
    """

    cells: tuple[str, ...] = ()
    report: bool = False
    wait: bool = False
    interval: float | None = None
    budget: Budget | None = None
    replace_queued: bool = False


def run_launch(request: LaunchRequest, options: LaunchOptions) -> bool:
    """Launch, and whatever the options ask for after that.

    Returns:
        False if cells that were waited for have not got done.

    Raises:
        UserError: nothing can be submitted, or it would exceed the budget.
    """
    console, only = Console(), _signatures(request.grid, options.cells)
    request = frozen(request, report=options.report)
    store, grid, executor = request.store, request.grid, request.target.executor
    prices: list[Price] = []

    def check(plan: LaunchPlan) -> None:
        going = [batch for _, batch in under_way(plan)]
        cells = [cell for batch in (*plan.batches, *going) for cell in batch.cells]
        prices.append(price_of(store, plan, costs_of(store, cells, count=False)))
        if options.budget is not None:
            options.budget.charge(prices[-1], grid.name)

    done = launch(
        request,
        only=only,
        replace_queued=options.replace_queued,
        patient=options.wait,
        check=check,
    )
    remember(store, grid.name, prices[-1], done.submitted)
    say(console, submitted_text(done))
    if prices[-1].cells:
        for line in price_lines(done.plan, prices[-1]):
            say(console, line)
    for problem in done.plan.problems:
        say(console, f"! {problem}", "yellow")
    if left := done.plan.left_text():
        say(console, left, "yellow")
    well, here = True, False
    for batch, _ in done.batches:
        for name, outcome in executor.run(Journal(store), batch):
            say(console, f"{name}: {outcome}")
            here, well = True, well and outcome in ("done", "done before")
    waiting = _jobs(done)
    late = options.wait and done.no_room is not None  # jobs are to come that none can wait for yet
    if options.report and not late:
        batches = len(done.batches)
        target = request.target
        say(console, executor.report(Journal(store), grid.name, target, batches, waiting))
    if here:
        _say_spent(store, store.manifest(grid.name), console)
        return well
    if options.wait:
        well = _wait(request, options, only, console)
        if options.report and late:
            say(console, run_report(request.target.then))
        return well
    if waiting:
        say(console, f"follow it: tevit status {grid.name} --watch")
    return True


def frozen(request: LaunchRequest, *, report: bool) -> LaunchRequest:
    """With the code as it stands now, kept in the store, unless the request has one already.

    Args:
        report: have the grid's report made in the end, by the same code.
    """
    target = replace(request.target, code=request.target.code or freeze(request.store))
    if report:
        then = report_command(request.store, request.grid.name, target.code)
        target = replace(target, then=then)
    return replace(request, target=target)


def report_command(store: Store, grid: str, code: str | None) -> tuple[str, ...]:
    """What makes the report of a grid, by the code that its cells are launched with."""
    start = start_command(store, code, "cli")
    return (sys.executable, *start, "report", grid, "--store", str(store.root))


def submitted_text(done: Launched) -> str:
    """What a launch did, in a line or two."""
    plan, count = done.plan, len(done.submitted)
    if not done.batches and not done.no_room:
        counted = ", ".join(f"{n} {action}" for action, n in plan.counts().items())
        return f"{plan.grid.name}: nothing to submit ({counted})"
    jobs = [job_id for _, job_id in done.batches]
    what = plan.target.executor.submitted_text(count, jobs) if jobs else "nothing submitted"
    text = f"{plan.grid.name}: {what}"
    if done.no_room:
        wished = sum(len(batch.cells) for batch in plan.batches)
        text += (
            f"\n{wished - count} {'more ' * bool(jobs)}cells found no room: {done.no_room}\n"
            "Launch again when there is, or with --wait, which fills up as room comes."
        )
    return text


def _jobs(done: Launched) -> list[str]:
    """The jobs that run or are to run cells of the grid, those of earlier launches too."""
    active = [c.status for c in done.plan.cells if c.action in ("queued", "running")]
    return [job_id for _, job_id in done.batches] + [status.job_id or "" for status in active]


def _signatures(grid: Grid, names: Collection[str]) -> set[str] | None:
    """The runs of the named cells, and those that they start from; None: all.

    Raises:
        UserError: no such cell.
    """
    if not names:
        return None
    manifest = manifest_of(grid)
    chosen = {manifest.cell(name).signature for name in names}
    waiting = [cell for cell in grid.all_cells if cell.signature in chosen]
    while waiting:
        if (start := waiting.pop().start) is not None:
            chosen.add(start.signature)
            waiting.append(start)
    return chosen


def run_rounds(request: LaunchRequest, options: LaunchOptions) -> bool:
    """Launch round after round, until every cell is decided or has all its seeds; then report.

    Returns:
        False if cells were left without seeds that they should have.

    Raises:
        UserError: the grid does not say what decides, or nothing can be submitted.
    """
    console, asked = Console(), comparison(request.grid)
    request = frozen(request, report=False)
    each = replace(options, report=False, wait=True)
    well = until_decided(
        request.store,
        asked,
        lambda cells: run_launch(replace(request, grid=cells), each),
        lambda line: say(console, line),
    )
    if options.report:  # here, whatever the executor: all have ended
        say(console, run_report(frozen(request, report=True).target.then))
    return well


def _wait(
    request: LaunchRequest, options: LaunchOptions, only: Collection[str] | None, console: Console
) -> bool:
    store, grid = request.store, request.grid.name
    cells = [c for c in store.manifest(grid).all_cells if only is None or c.signature in only]
    interval = options.interval or request.target.executor.watch_seconds
    with live_status(grid, console) as display:

        def show(found: Survey) -> None:
            display(status_rows(store, cells, found), found.problems)

        try:
            last = follow(request, interval=interval, only=only, show=show)
        except KeyboardInterrupt:
            say(
                console,
                f"the cells go on: tevit status {grid} --watch follows them, "
                f"tevit cancel {grid} stops them",
            )
            raise
    rows = status_rows(store, cells, last)
    console.print(status_table(grid, rows, 60, last.problems))
    _say_spent(store, store.manifest(grid), console)
    return all(row.state == "done" for row in rows)


def show_status(
    store: Store,
    manifest: Manifest,
    limit: int,
    form: Literal["table", "tsv", "json"] = "table",
) -> int:
    """Print the state of every cell once; returns what it means for scripts (exit_status)."""
    rows, problems = _look(store, manifest)
    if form == "json":
        print(json.dumps(status_json(manifest, rows, problems), indent=1))
    elif form == "tsv" or limit > 1000:
        print("\n".join(status_lines(rows)))
    else:
        console = Console()
        console.print(status_table(manifest.grid, rows, limit, problems))
        _say_spent(store, manifest, console)
    return exit_status(rows)


def _look(store: Store, manifest: Manifest) -> tuple[list[StatusRow], list[str]]:
    """The state of every cell now, and what is wrong as a whole."""
    found = survey(store, manifest.measures(), record=True)
    orphans = [f"job {job.id} of this store has no record: {job.name}" for job in found.orphans]
    return status_rows(store, manifest.all_cells, found), [*found.problems, *orphans]


def _say_spent(store: Store, manifest: Manifest, console: Console) -> None:
    for line in spent_lines(spent_of(store, manifest)):
        say(console, line)


def watch_status(store: Store, manifest: Manifest, interval: float, limit: int) -> int:
    """Show the state of every cell until none is queued or running; returns as show_status."""
    console = Console()
    with live_status(manifest.grid, console, limit) as display:
        while True:
            rows, problems = _look(store, manifest)
            display(rows, problems)
            if exit_status(rows) != GOING_ON:
                break
            time.sleep(interval)
    console.print(status_table(manifest.grid, rows, limit, problems))
    _say_spent(store, manifest, console)
    return exit_status(rows)


def failure_groups(store: Store, manifest: Manifest) -> list[FailureGroup]:
    """The failed and interrupted cells of a grid, alike ones together."""
    found = survey(store, manifest.measures(), record=True)
    names = {cell.signature: cell.name for cell in reversed(manifest.all_cells)}
    return group_failures(
        (name, store.run(signature), found.cells[signature].state.cause or "unfinished")
        for signature, name in names.items()
        if found.cells[signature].state.name in ("failed", "interrupted")
    )


def run_again(run: RunFolder, into: Store) -> bool:
    """Repeat a run in this process, in a store of its own; prints both results.

    Raises:
        UserError: the store is the run's own.
    """
    if into.run(run.signature).path == run.path:
        raise UserError(f"{into.root} is the run's own store; give another one with --into")
    grid = grid_of_run(run)
    target = Target(Inline(), make_profile({"gpus": 0}))
    well = run_launch(LaunchRequest(into, grid, target), LaunchOptions())
    again = into.run(grid.cells[0].signature)
    print(f"AP then {_percent(recorded_ap(run))}, now {_percent(recorded_ap(again))}")
    return well


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.2f}"
