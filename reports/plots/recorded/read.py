"""Which plot a file of records has the data for."""

from __future__ import annotations

from pathlib import Path

from core.errors import UserError
from core.files import read_json
from reports.plots.recorded.curve import curve_plot
from reports.plots.recorded.roofline import roofline_plot
from reports.plots.style import Plot

FILES = "tevit fps --curve, tevit bench train --curve or tevit bench roofline, with --json FILE"


def read_plot(path: Path) -> Plot:
    """The plot of a curve, or of what bounds the parts of models.

    Raises:
        UserError: the file is neither, or has nothing to draw.
    """
    data = read_json(path)
    if isinstance(data, dict):
        if data.get("kind") == "curve":
            return curve_plot(data, path.stem)
        records = data.get("records")
        if isinstance(records, list) and records and _kinds(records) == {"roofline"}:
            return roofline_plot(records, path.stem)
    raise UserError(f"{path}: no file that can be plotted; such are written by {FILES}")


def _kinds(records: list[object]) -> set[object]:
    return {record.get("kind") if isinstance(record, dict) else None for record in records}
