"""What the command line's options stand for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from ablations.grid import Grid, load_grid
from core.config.overrides import parse_assignments, unknown
from core.errors import UserError
from launch.executors import slurm_queries as slurm
from launch.executors.executors import visible_gpus
from launch.executors.profile import DEFAULT, load_profile, make_profile
from launch.records.journal import ExecutorName
from launch.submit.plan import Target


def make_target(executor: str | None, profile: str | None, jobs: int) -> Target:
    """Where cells are to run.

    Args:
        executor: "inline", "local" or "slurm"; none: SLURM where there is one, else local.
        profile: name or file; none: the default one on SLURM, else a GPU a cell if there are any.
        jobs: cells at a time, for the local executor.

    Raises:
        UserError: no such executor or profile.
    """
    chosen = executor or ("slurm" if slurm.is_here() else "local")
    names: tuple[ExecutorName, ...] = get_args(ExecutorName)
    kind = next((name for name in names if name == chosen), None)
    if kind is None:
        raise UserError(unknown("executor", chosen, names))
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: at least one cell at a time")
    if profile is not None or kind == "slurm":
        return Target(kind, load_profile(profile or DEFAULT), jobs)
    return Target(kind, make_profile({"gpus": min(1, len(visible_gpus()))}), jobs)


def read_grid(
    name: str,
    overrides: Iterable[str] | None,
    *,
    scale: str | None = None,
    seeds: str | None = None,
    rename: str | None = None,
) -> Grid:
    """The grid that the command line describes.

    Args:
        seeds: a count n (seeds 0 to n-1), or a list such as ``0,3,4``.

    Raises:
        UserError: a fault in the grid, the overrides or the seeds.
    """
    return load_grid(
        name,
        scale=scale,
        overrides=parse_assignments(overrides or ()),
        seeds=None if seeds is None else parse_seeds(seeds),
        name=rename,
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """``3`` as seeds 0, 1, 2; ``0,5`` as it stands, ``5,`` as the one seed 5.

    Raises:
        UserError: not whole numbers from 0, or one of them twice.
    """
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = []
    if "," not in text and numbers:
        numbers = list(range(numbers[0]))
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise UserError(f"--seeds {text}: expected a count such as 3, or a list such as 0,3,4")
    return tuple(numbers)


def launched_name(grid: str, scale: str | None = None) -> str:
    """Name under which a grid was launched, from that name or its file, and its scale.

    Raises:
        GridError: the file is not a grid.
    """
    if Path(grid).suffix in (".yaml", ".yml"):
        return load_grid(grid, scale=scale).name
    return f"{grid}-{scale}" if scale and not grid.endswith(f"-{scale}") else grid
