"""Launching, following and showing a grid, for the command line."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from rich.console import Console

from ablations.grid import Grid
from core.errors import UserError
from launch.executors import inline
from launch.executors.profile import make_profile
from launch.records.failures import FailureGroup, group_failures
from launch.records.journal import ExecutorName, Journal
from launch.records.run_folder import RunFolder
from launch.records.store import Manifest, Store
from launch.records.summary import average_precision
from launch.report_job import queue_report, report_command
from launch.reproduce import grid_of_run
from launch.rounds import comparison, next_round, standing, until_decided
from launch.submit.follow import follow
from launch.submit.launcher import Launched, launch, manifest_of
from launch.submit.plan import SUBMITTED, Target
from launch.submit.retry import RetryRules
from launch.watch.display import status_lines, status_table, submitted_text
from launch.watch.live import live_status
from launch.watch.status import cells_of, status_rows
from launch.watch.survey import Survey, survey


@dataclass(frozen=True)
class LaunchOptions:
    """How a launch goes on.

    Attributes:
        cells: names of the only cells to submit; none: all.
        report: make the report when all have ended.
        wait: follow until then.
        interval: seconds between two looks; none: as many as the executor is worth.
    """

    cells: tuple[str, ...] = ()
    report: bool = False
    wait: bool = False
    interval: float | None = None


# a look costs the local executor some files, and SLURM a question to its controller
INTERVAL_SECONDS: dict[ExecutorName, float] = {"inline": 2.0, "local": 2.0, "slurm": 30.0}


def run_launch(
    store: Store, grid: Grid, target: Target, rules: RetryRules, options: LaunchOptions
) -> bool:
    """Launch, and whatever the options ask for after that.

    Returns:
        False if cells that were waited for have not got done.
    """
    console, only = Console(), _signatures(grid, options.cells)
    if options.report and target.executor == "local":
        target = replace(target, then=report_command(store, grid.name))
    done = launch(store, grid, target, rules, only=only)
    jobs = [job_id for _, job_id in done.batches if job_id]
    console.print(submitted_text(done.plan, jobs), soft_wrap=True, highlight=False)
    for problem in done.plan.problems:
        console.print(f"! {problem}", style="yellow", soft_wrap=True, highlight=False, markup=False)
    if target.executor == "inline":
        return _run_inline(store, done, console)
    if options.report and target.executor == "slurm":
        console.print(f"report: job {queue_report(store, done)}, when all have ended")
    if options.wait:
        return _wait(store, grid, target, rules, options, console)
    active = any(c.action in ("queued", "running", *SUBMITTED) for c in done.plan.cells)
    if active:
        console.print(f"follow it: tevit status {grid.name} --watch", highlight=False)
    return True


def _signatures(grid: Grid, names: Collection[str]) -> set[str] | None:
    """The runs of the named cells; None: all.

    Raises:
        UserError: no such cell.
    """
    if not names:
        return None
    manifest = manifest_of(grid)
    return {manifest.cell(name).signature for name in names}


def _run_inline(store: Store, launched: Launched, console: Console) -> bool:
    well = True
    for batch, _ in launched.batches:
        for name, outcome in inline.run(Journal(store), batch):
            console.print(f"{name}: {outcome}", highlight=False)
            well = well and outcome in ("done", "done before")
    return well


def run_rounds(
    store: Store, grid: Grid, target: Target, rules: RetryRules, options: LaunchOptions
) -> bool:
    """Launch round after round, until every cell is decided or has all its seeds; then report.

    Returns:
        False if cells were left without seeds that they should have.

    Raises:
        UserError: the grid does not say what decides, or nothing can be submitted.
    """
    console, asked = Console(), comparison(grid)
    each = replace(options, report=False, wait=True)
    well = until_decided(
        store,
        asked,
        lambda cells: run_launch(store, cells, target, rules, each),
        lambda line: console.print(line, soft_wrap=True, highlight=False, markup=False),
    )
    if options.report:
        run_launch(store, next_round(asked, standing(store, asked)), target, rules, options)
    return well


def _wait(
    store: Store,
    grid: Grid,
    target: Target,
    rules: RetryRules,
    options: LaunchOptions,
    console: Console,
) -> bool:
    manifest = store.manifest(grid.name)
    interval = options.interval or INTERVAL_SECONDS[target.executor]
    with live_status(grid.name, console) as display:

        def show(found: Survey) -> None:
            display(status_rows(store, manifest.cells, found), found.problems)

        try:
            last = follow(store, grid, target, rules, interval=interval, show=show)
        except KeyboardInterrupt:
            console.print(
                f"the cells go on: tevit status {grid.name} --watch follows them, "
                f"tevit cancel {grid.name} stops them",
                soft_wrap=True,
                highlight=False,
            )
            raise
    rows = status_rows(store, manifest.cells, last)
    console.print(status_table(grid.name, rows, 60, last.problems))
    return all(row.state == "done" for row in rows)


def show_status(store: Store, manifest: Manifest, limit: int, *, tsv: bool = False) -> None:
    """Print the state of every cell once."""
    found = survey(store, cells_of(manifest), record=True)
    rows = status_rows(store, manifest.cells, found)
    if tsv or limit > 1000:
        print("\n".join(status_lines(rows)))
        return
    Console().print(status_table(manifest.grid, rows, limit, _problems(found)))


def watch_status(store: Store, manifest: Manifest, interval: float, limit: int) -> None:
    """Show the state of every cell until none is queued or running."""
    console = Console()
    with live_status(manifest.grid, console, limit) as display:
        while True:
            found = survey(store, cells_of(manifest), record=True)
            rows = status_rows(store, manifest.cells, found)
            display(rows, _problems(found))
            if not any(row.state in ("queued", "running") for row in rows):
                break
            time.sleep(interval)
    console.print(status_table(manifest.grid, rows, limit, _problems(found)))


def _problems(found: Survey) -> list[str]:
    strays = [f"job {job.id} of this store has no record: {job.name}" for job in found.strays]
    return [*found.problems, *strays]


def failure_groups(store: Store, manifest: Manifest) -> list[FailureGroup]:
    """The failed and interrupted cells of a grid, alike ones together."""
    found = survey(store, cells_of(manifest), record=True)
    names = {cell.signature: cell.name for cell in reversed(manifest.cells)}
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
    target = Target("inline", make_profile({"gpus": 0}))
    well = run_launch(into, grid, target, RetryRules(), LaunchOptions())
    again = into.run(grid.cells[0].signature)
    print(f"AP then {_percent(average_precision(run))}, now {_percent(average_precision(again))}")
    return well


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.2f}"
