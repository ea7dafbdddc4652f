"""What to vary: grids, cells, signatures."""
