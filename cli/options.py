"""Arguments and options that several commands have, and what they stand for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import UserError
from core.files import check_writable

if TYPE_CHECKING:
    from launch.executors.base import Target
    from launch.price.price import Budget
    from launch.records.store import Manifest, Store
    from launch.submit.plan import LaunchRequest


def a_file(path: Path | None) -> Path | None:
    """An option's callback: a file that the command will write, refused before it begins."""
    if path is not None:
        check_writable(path)
    return path


def a_folder(path: Path | None) -> Path | None:
    """The same of a folder for the files that it will write."""
    if path is not None:
        check_writable(path, folder=True)
    return path


def refuse_to_overwrite(out: Path | None, *read: Path | None) -> None:
    """Check that what is to be written is none of the files that are read.

    Raises:
        UserError: it is.
    """
    for path in read:
        if out and path and out.exists() and path.exists() and out.samefile(path):
            raise UserError(f"{out}: is what is to be read; name another file to write")


Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Switches by name: head.kind=per_frame messenger.tokens=16"),
]

DataRoot = Annotated[
    str | None,
    typer.Option("--data", help="'synthetic', or a folder in YouTube-VIS format (data.root)"),
]

GridName = Annotated[
    str, typer.Argument(metavar="GRID", help="name of a launched grid, or its file")
]
QueuedCells = Annotated[
    list[str] | None, typer.Argument(help="names or signatures; none: all that are queued")
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="folder of the runs; none: $TEVIT_RUNS, or ./runs")
]
Scale = Annotated[str | None, typer.Option(help="a scale of the grid, such as tiny")]
RunName = Annotated[str, typer.Argument(help="signature, its beginning, or a run folder")]
AllRows = Annotated[bool, typer.Option("--all", help="every cell, however many")]


@dataclass(frozen=True)
class Scored:
    """What ``ap`` and ``diagnose`` are told of what to score, and where to write it."""

    ground_truth: Annotated[Path, typer.Argument(help="annotations in YouTube-VIS format")]
    results: Annotated[Path, typer.Argument(help="predictions, as `tevit predict` writes them")]
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the record to this file", callback=a_file)
    ] = None
    split: Annotated[
        Path | None,
        typer.Option(help="recorded split: score its held-out videos (a run folder's split.json)"),
    ] = None
    against: Annotated[
        Path | None,
        typer.Option(help="other predictions: print the differences with their intervals"),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="seed of the resamples")] = 0

    def refuse_to_overwrite(self, *read: Path | None) -> None:
        """Check that the record is none of the files that are read, ``read`` among them.

        Raises:
            UserError: it is.
        """
        inputs = (self.ground_truth, self.results, self.split, self.against)
        refuse_to_overwrite(self.json_file, *inputs, *read)


@dataclass(frozen=True)
class Asked:
    """What ``plan`` and ``launch`` are asked for."""

    request: LaunchRequest
    budget: Budget | None = None


def ask_for(
    grid: Annotated[str, typer.Argument(metavar="GRID", help="a shipped grid, or a YAML file")],
    overrides: Overrides = None,
    scale: Scale = None,
    seeds: Annotated[str | None, typer.Option(help="in place of the grid's: 3, or 0,3,4")] = None,
    name: Annotated[str | None, typer.Option("--name", help="in place of the grid's own")] = None,
    executor: Annotated[
        str | None, typer.Option(help="inline, local or slurm; none: slurm where it is, else local")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="what a cell asks for: default, cpu, four_gpus, or a YAML file"),
    ] = None,
    jobs: Annotated[int, typer.Option(help="cells at a time, of the local executor")] = 1,
    retry: Annotated[
        list[str] | None,
        typer.Option(help="also after this cause: error, out-of-memory, ..., all; or none at all"),
    ] = None,
    max_attempts: Annotated[
        int, typer.Option(help="attempts that get no further before giving up")
    ] = 3,
    budget: Annotated[
        str | None,
        typer.Option(help="refuse what will exceed this many device hours, such as 100h"),
    ] = None,
    new_code: Annotated[
        bool,
        typer.Option("--new-code", help="what stands here also for runs that other code has begun"),
    ] = False,
    store: StoreOption = None,
) -> Asked:
    """The options that describe a grid to run, read.

    Raises:
        UserError: a fault in the grid, the overrides, the seeds, the profile or the rules.
    """
    from ablations.grid import load_grid
    from ablations.table_spec import parse_specs
    from core.config.overrides import parse_assignments
    from launch.price.price import parse_budget
    from launch.records.store import Store
    from launch.submit.plan import LaunchRequest
    from launch.submit.retry import parse_rules
    from reports.tables.published import choose, load_published

    chosen = load_grid(
        grid,
        scale=scale,
        overrides=parse_assignments(overrides or ()),
        seeds=None if seeds is None else parse_seeds(seeds),
        name=name,
    )
    for table in parse_specs(chosen.table, grid):
        choose(table.published, load_published())
    where = Store.default(store)
    if chosen.limits is not None:
        from launch.rounds import with_earlier_rounds

        chosen = with_earlier_rounds(where, chosen)
    target = replace(make_target(executor, profile, jobs), new_code=new_code)
    rules = parse_rules(retry or (), max_attempts)
    return Asked(LaunchRequest(where, chosen, target, rules), parse_budget(budget))


def takes(
    ask: Callable[..., object],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of ``ask``, whose answer is its first parameter.

    Typer reads a command's options from its signature, so that is what is put together here.
    """
    shared = inspect.signature(ask, eval_str=True).parameters

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(command, eval_str=True).parameters.values()

        @functools.wraps(command)
        def run(**given: Any) -> None:
            asked = ask(**{name: given.pop(name) for name in shared})
            command(asked, **given)

        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*shared.values(), *own)]
        vars(run)["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


takes_a_grid = takes(ask_for)


@dataclass(frozen=True)
class LaunchedGrid:
    """A store, and the manifest of a grid that was launched in it."""

    store: Store
    manifest: Manifest


def launched(grid: GridName, scale: Scale = None, store: StoreOption = None) -> LaunchedGrid:
    """What ``status`` and others that follow a launch are asked about.

    Raises:
        UserError: it was not launched.
    """
    from ablations.grid import launched_name
    from launch.records.store import Store

    where = Store.default(store)
    return LaunchedGrid(where, where.manifest(launched_name(grid, scale)))


takes_a_launched_grid = takes(launched)


def make_target(executor: str | None, profile: str | None, jobs: int) -> Target:
    """Where cells are to run.

    Args:
        executor: its name; none: SLURM where there is one, else local.
        profile: name or file; none: the executor's own default.
        jobs: cells at a time, for the local executor.

    Raises:
        UserError: no such executor or profile.
    """
    from launch.executors.base import Target
    from launch.executors.table import find_executor

    if jobs < 1:
        raise UserError(f"--jobs {jobs}: at least one cell at a time")
    chosen = find_executor(executor)
    return Target(chosen, chosen.profile(profile), jobs)


def parse_seeds(text: str) -> tuple[int, ...]:
    """``3`` as seeds 0, 1, 2; ``0,5`` as it stands, ``5,`` as the one seed 5.

    Raises:
        UserError: not whole numbers from 0, one of them twice, or too many.
    """
    from ablations.analysis.limits import MOST_SEEDS

    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = []
    if "," not in text and numbers:
        if numbers[0] > MOST_SEEDS:
            raise UserError(f"--seeds {text}: at most {MOST_SEEDS} seeds")
        numbers = list(range(numbers[0]))
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise UserError(f"--seeds {text}: expected a count such as 3, or a list such as 0,3,4")
    return tuple(numbers)


def log_to_stderr(main_process: bool = True) -> None:
    """Progress as log lines on the terminal; of helping processes only warnings."""
    import logging

    level = logging.INFO if main_process else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")
