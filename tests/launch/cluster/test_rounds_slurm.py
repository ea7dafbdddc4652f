"""Seeds until cells are decided, on a real SLURM."""

from __future__ import annotations

import pytest
from toy_cells import expected_ap, write_toy
from toy_grids import slurm_target

from ablations.grid import build_grid
from launch.commands import LaunchOptions, run_rounds
from launch.records.summary import recorded_ap
from launch.rounds import comparison, standing
from launch.submit.plan import LaunchRequest
from launch.submit.retry import parse_rules

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("real_slurm")]

QUERIES, MOST = (5, 10), 4


def test_rounds_of_seeds_are_submitted_one_after_the_other(store):
    """The toy cells' AP differ without rule, so the cell stays undecided to its last seed."""
    grid = build_grid(
        {
            "base": "tiny",
            "axes": {"head.queries": list(QUERIES)},
            "seeds": {"first": 3, "most": MOST, "until": 1.0},
            "measure": ["ap"],
            "table": {"baseline": {"head.queries": QUERIES[0]}},
        },
        name="rounds",
    )
    cells = [*grid.cells, *grid.reserve]
    steps = {cell.signature: 3 + k for k, cell in enumerate(cells)}
    for signature, count in steps.items():
        write_toy(store.run(signature).path, steps=count)
    target = slurm_target(cpus=1, memory="300M")
    assert run_rounds(
        LaunchRequest(store, grid, target, parse_rules([])), LaunchOptions(interval=0.5)
    )
    assert len(cells) == len(QUERIES) * MOST
    for signature, count in steps.items():
        run = store.run(signature)
        assert len(run.attempts()) == 1
        assert recorded_ap(run) == expected_ap(count)
    assert not standing(store, comparison(grid)).further
