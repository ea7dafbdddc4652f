"""What to vary: grids, cells, signatures."""

from ablations.cell import Cell, Measurement
from ablations.faults import Fault, GridError
from ablations.grid import Grid, build_grid, load_grid, shipped_grids

__all__ = [
    "Cell",
    "Fault",
    "Grid",
    "GridError",
    "Measurement",
    "build_grid",
    "load_grid",
    "shipped_grids",
]
