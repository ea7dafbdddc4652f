"""Packed grids."""

from __future__ import annotations

import pytest
from toy_cells import write_toy
from toy_grids import toy_grid


@pytest.fixture
def packed(store, toys, go, fake_slurm):
    """``packed(5, {...}, cells=2)``: a launched grid, and what each of its cells does."""

    def make(count, *toy, cells=2, side_by_side=1, **profile):
        grid = toy_grid(count)
        for cell, what in zip(grid.cells, toy or [{}] * count, strict=True):
            write_toy(store.run(cell.signature).path, **what)
        go(grid, pack={"cells": cells, "side_by_side": side_by_side}, **profile)
        return grid, [store.run(cell.signature) for cell in grid.cells]

    return make
