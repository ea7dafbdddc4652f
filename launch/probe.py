"""A few steps of the dearest cell of a grid, run as any other cell: what tells prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ablations.cell import Cell
from ablations.grid import Grid
from core.config.overrides import override
from launch.costs import Costs
from launch.price.observed import load_of
from launch.price.price import Price
from launch.submit.plan import LaunchPlan

STEPS = 20


def probe_of(plan: LaunchPlan, price: Price, costs: Mapping[str, Costs]) -> Grid | None:
    """A grid of one cell: the dearest of unknown price, with :data:`STEPS` training steps.

    It measures all that the cell will measure, so its time tells what that takes, too.

    Returns:
        None: the price of every cell is known.
    """
    cells = [c for batch in plan.batches for c in batch.cells if c.name in price.unknown]
    if not cells:
        return None
    dearest = max(cells, key=lambda cell: _size(cell, costs))
    steps = min(STEPS, dearest.config.train.steps)
    cell = Cell(
        f"probe-{dearest.name}",
        override(dearest.config, {"train.steps": steps}),
        {},
        dearest.measure,
    )
    return replace(
        plan.grid,
        name=f"{plan.grid.name}-probe",
        description=f"{steps} steps of {dearest.name}, which tell what {plan.grid.name} costs",
        cells=(cell,),
        axes={},
        measure=tuple(m for m in plan.grid.measure if m in dearest.measure),
        table=None,
        limits=None,
        reserve=(),
    )


def _size(cell: Cell, costs: Mapping[str, Costs]) -> tuple[float, float]:
    """How dear: multiply-adds of all steps, if they are counted, and pixels."""
    known = costs.get(cell.signature, Costs()).multiply_adds
    load, data, train = load_of(cell.config, known), cell.config.data, cell.config.train
    pixels = data.clip_length * train.clips * max(a * b for a, b in data.train_sizes)
    return (load.step_work or 0.0) * train.steps, float(pixels * train.steps)
