"""What to vary: grids, cells, signatures."""

from ablations.cell import Cell
from ablations.grid import Grid, build_grid, load_grid, shipped_grids
from ablations.grid_file import GridError, GridFault

__all__ = [
    "Cell",
    "GridFault",
    "Grid",
    "GridError",
    "build_grid",
    "load_grid",
    "shipped_grids",
]
