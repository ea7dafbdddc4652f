"""What to vary: grids, cells, signatures."""

from ablations.cell import Cell, Measurement
from ablations.grid import Grid, build_grid, load_grid, shipped_grids
from ablations.grid_file import Fault, GridError

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
