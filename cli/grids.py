"""``tevit grids``, ``plan``, ``launch`` and what follows a launch."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import (
    AllRows,
    Asked,
    LaunchedGrid,
    QueuedCells,
    RunName,
    StoreOption,
    log_to_stderr,
    takes_a_grid,
    takes_a_launched_grid,
)
from core.errors import UserError

app = typer.Typer()


@app.command("grids")
def list_grids() -> None:
    """List the grids that come with the package: the question of each, and its cells.

    `tevit grids`, then `tevit plan components --scale tiny`
    """
    import textwrap

    from ablations import load_grid, shipped_grids
    from ablations.grid import count_cells

    for name in shipped_grids():
        grid = load_grid(name)
        sizes = [f"{scale}: {count_cells(name, scale)}" for scale in grid.scales]
        print(f"{name}  ({', '.join([f'{len(grid.cells)} cells', *sizes])})")
        print(textwrap.indent(textwrap.fill(grid.description, 76), "    "))


@app.command("plan")
@takes_a_grid
def plan_grid(
    asked: Asked,
    costs: Annotated[
        bool | None,
        typer.Option(help="count multiply-adds (seconds a model); default: of few, once"),
    ] = None,
    every: AllRows = False,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="run 20 steps of the dearest cell first, if no run tells"),
    ] = False,
) -> None:
    """Show what a launch would do and cost, cell by cell, and its jobs; changes nothing.

    `tevit plan components`

    `tevit plan components --profile my_cluster.yaml --probe --budget 100h`

    `tevit plan my_grid.yaml train.steps=4000 --seeds 3 --profile my_cluster.yaml`
    """
    from rich.console import Console

    from launch.code.snapshot import freeze
    from launch.commands import LaunchOptions, run_launch
    from launch.costs import costs_of, worth_counting
    from launch.plan_table import plan_table
    from launch.price.price import price_of
    from launch.probe import probe_of
    from launch.rounds import rounds_text
    from launch.submit.plan import plan_launch

    console, store, grid = Console(), asked.request.store, asked.request.grid
    target = replace(asked.request.target, code=freeze(store, write=False))
    request, cells = replace(asked.request, target=target), grid.all_cells
    plan = plan_launch(request)
    count = worth_counting(cells) if costs is None else costs
    with console.status("counting multiply-adds, once a model (--no-costs: not)") as status:
        known = costs_of(
            store,
            cells,
            count=count,
            each=lambda cell: status.update(f"counting multiply-adds: {cell}"),
        )
    price = price_of(store, plan, known)
    if probe and (trial := probe_of(plan, price, known)) is not None:
        run_launch(replace(asked.request, grid=trial), LaunchOptions(wait=True))
        plan = plan_launch(request)  # it may be a cell's run
        price = price_of(store, plan, known)
    console.print(plan_table(plan, known, price, len(plan.cells) if every else 60))
    if asked.budget is not None:
        asked.budget.charge(price, grid.name)
    if grid.start_cells:
        from ablations.inherited import inherited

        for text in inherited(cells):
            console.print(text, soft_wrap=True, highlight=False)
    if grid.limits is not None:
        console.print(rounds_text(grid), soft_wrap=True, highlight=False)
    for alias in grid.aliases:
        console.print(f"the {grid.design} design cannot tell apart: {alias}")


@app.command("launch")
@takes_a_grid
def launch_grid(
    asked: Asked,
    cell: Annotated[
        list[str] | None, typer.Option(help="only this cell (may be given several times)")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="make the report when all ended")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="follow until all have ended")] = False,
    interval: Annotated[
        float | None,
        typer.Option(min=0.1, help="seconds between two looks [default: 2, on SLURM 30]"),
    ] = None,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="wait, and add seeds to cells that are undecided, as the grid's seeds allow",
        ),
    ] = False,
    replace_queued: Annotated[
        bool,
        typer.Option(
            "--replace-queued",
            help="put in anew what is queued with other resources than the profile has now",
        ),
    ] = False,
) -> None:
    """Submit the cells of a grid that are missing or failed, and return.

    Launching again is safe: what runs or is done is left alone, what was interrupted resumes.

    The code is frozen as it stands here: edits reach no cell that waits or resumes.

    `tevit launch components --profile my_cluster.yaml --report`

    `tevit launch components --scale tiny --executor local --jobs 2 --wait`

    `tevit launch heads --retry out-of-memory --profile large_gpu.yaml`

    `tevit launch my_grid.yaml --until-decided`
    """
    from launch.commands import LaunchOptions, run_launch, run_rounds

    log_to_stderr()
    if until_decided and cell:
        raise UserError("--until-decided compares all cells of a grid: leave out --cell")
    options = LaunchOptions(tuple(cell or ()), report, wait, interval, asked.budget, replace_queued)
    run = run_rounds if until_decided else run_launch
    if not run(asked.request, options):
        sys.exit(1)


@app.command("status")
@takes_a_launched_grid
def grid_status(
    grid: LaunchedGrid,
    watch: Annotated[bool, typer.Option("--watch", help="refresh until nothing runs")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="seconds between two looks")] = 10.0,
    tsv: Annotated[bool, typer.Option("--tsv", help="tab-separated, every cell")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the same as JSON, every cell")] = False,
    check: Annotated[
        bool, typer.Option("--exit-status", help="say by the exit status how the grid stands")
    ] = False,
    every: AllRows = False,
) -> None:
    """Show each cell's state, step, loss, AP, time left, host, job and what went wrong.

    With `--exit-status`: 0, every cell is done; 3, cells are queued or running; 1, neither, so
    that another launch is needed (as for what is queued but will never start). In every case 2 is
    an error in what was asked for.

    `tevit status components --watch`

    `tevit status components --json --exit-status > status.json`
    """
    from launch.commands import show_status, watch_status

    if watch + tsv + as_json > 1:
        raise UserError("--watch, --tsv and --json: one of them")
    limit = len(grid.manifest.cells) if every else 60
    if watch:
        stands = watch_status(grid.store, grid.manifest, interval, limit)
    else:
        form: Literal["table", "tsv", "json"] = "tsv" if tsv else "table"
        stands = show_status(grid.store, grid.manifest, limit, "json" if as_json else form)
    if check:
        sys.exit(stands)


@app.command("watch")
@takes_a_launched_grid
def watch_grid(
    grid: LaunchedGrid,
    interval: Annotated[
        float, typer.Option(min=0.1, help="seconds between two looks at the cells")
    ] = 10.0,
) -> None:
    """Follow a grid on the whole screen: filter its cells, read their logs, cancel them.

    `tevit watch components`
    """
    from launch.full_screen import watch_full_screen

    watch_full_screen(grid.store, grid.manifest, interval)


@app.command("logs")
@takes_a_launched_grid
def cell_log(
    grid: LaunchedGrid,
    cell: Annotated[str, typer.Argument(help="its name, or the beginning of its signature")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="wait for more")] = False,
    scheduler: Annotated[
        bool, typer.Option("--scheduler", help="what SLURM wrote around the cell instead")
    ] = False,
) -> None:
    """Print the log of a cell's latest attempt.

    `tevit logs components messenger=shift,head.kind=stqi,s0 -f`
    """
    from launch.watch.logs import find_log, follow_log

    signature = grid.manifest.cell(cell).signature
    run = grid.store.run(signature)

    def over() -> bool:
        return not follow or run.state().name not in ("queued", "running")

    for text in follow_log(find_log(grid.store, signature, scheduler=scheduler), over):
        sys.stdout.write(text)
        sys.stdout.flush()


@app.command("cancel")
@takes_a_launched_grid
def cancel_cells(
    grid: LaunchedGrid,
    cells: Annotated[
        list[str] | None, typer.Argument(help="names or signatures; none: every cell of the grid")
    ] = None,
) -> None:
    """Take back the cells that are queued or running; a later launch resumes them.

    `tevit cancel components`

    `tevit cancel components messenger=off,head.kind=stqi,s1`
    """
    from launch.cancel import cancel

    done = cancel(grid.store, grid.manifest.chosen(cells))
    print(f"{len(done.cells)} cells cancelled" if done.cells else "nothing is queued or running")
    if done.problem:
        raise UserError(
            f"the cells will stop by themselves, but SLURM was not told: {done.problem}"
        )


@app.command("hold")
@takes_a_launched_grid
def hold_cells(grid: LaunchedGrid, cells: QueuedCells = None) -> None:
    """Keep queued cells from starting, until they are released; those that run go on.

    `tevit hold components`, and later `tevit release components`
    """
    _hold(grid, cells, release=False)


@app.command("release")
@takes_a_launched_grid
def release_cells(grid: LaunchedGrid, cells: QueuedCells = None) -> None:
    """Let cells that were held start.

    `tevit release components messenger=off,head.kind=stqi,s1`
    """
    _hold(grid, cells, release=True)


def _hold(grid: LaunchedGrid, cells: list[str] | None, *, release: bool) -> None:
    from launch.cancel import hold

    done = hold(grid.store, grid.manifest.chosen(cells), release=release)
    word = "released" if release else "held"
    print(f"{len(done)} cells {word}" if done else "nothing is queued")


@app.command("failures")
@takes_a_launched_grid
def grid_failures(grid: LaunchedGrid) -> None:
    """Show what failed, alike failures together, with the whole traceback of one of them.

    `tevit failures components`
    """
    from rich.console import Console

    from launch.commands import failure_groups
    from launch.watch.display import failure_text

    groups = failure_groups(grid.store, grid.manifest)
    Console(soft_wrap=True).print(failure_text(groups))


@app.command("reproduce")
def reproduce_run(
    run: RunName,
    execute: Annotated[
        bool, typer.Option("--run", help="run it again now, in this process")
    ] = False,
    into: Annotated[Path, typer.Option(help="store for the repeated run")] = Path("reproduced"),
    store: StoreOption = None,
) -> None:
    """Print the exact commands that repeat a run, and every difference from today's environment.

    `tevit reproduce 0123abcd`

    `tevit reproduce runs/runs/0123abcd01234567 --run`
    """
    from launch.commands import run_again
    from launch.records.store import Store
    from launch.reproduce import recipe

    found = Store.default(store).find_run(run)
    made = recipe(found, into.absolute())
    print(f"# {made.origin}")
    print("\n".join(made.commands))
    for difference in made.differences:
        print(f"warning: {difference}", file=sys.stderr)
    if execute and not run_again(found, Store.default(into)):
        sys.exit(1)
