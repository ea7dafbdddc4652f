"""Run records to tables, plots and a page; :func:`load` brings them into a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from reports.notebook import Loaded


def load(grid: str, store: Path | str | None = None, scale: str | None = None) -> Loaded:
    """As :func:`reports.notebook.load`, imported when it is called."""
    from reports.notebook import load as load_grid

    return load_grid(grid, store, scale)
