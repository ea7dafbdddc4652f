"""Grids of toy cells (see toy_cells)."""

from __future__ import annotations

from ablations.cell import Cell
from ablations.grid import Grid
from core import preset
from launch.executors.base import Target
from launch.executors.profile import make_profile
from launch.executors.slurm import Slurm

TOY = "toy_cells:count_steps"


def toy_grid(count=3, name="toys", measure=("ap",)):
    """A grid of ``count`` cells that differ in the seed."""
    config = preset("tiny", {"train.clips": 4})
    cells = tuple(
        Cell(f"a=x,s{k}", config.model_copy(update={"seed": k}), {"a": "x"}, measure)
        for k in range(count)
    )
    return Grid(name, "toy cells", cells, {"a": ("x",)}, measure, None)


def slurm_target(**profile):
    values = {"gpus": 0, "time": 60, **profile}
    return Target(Slurm(), make_profile(values), function=TOY)
