"""Where the multiply-adds go: a stacked bar a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure as Canvas

from reports.frame.cells import CellRows
from reports.plots.stacked import stacked_bars
from reports.plots.style import Plot

_PREFIX = "flops.by_module."
_NAMES = {"box_head": "box heads", "mask_head": "mask head", "roi_align": "RoIAlign"}


def modules(cells: Sequence[CellRows], labels: Mapping[str, str]) -> Plot | None:
    """Multiply-adds a frame by part of the model; None where none were counted.

    Args:
        labels: cell to what it is called in the plot.
    """
    rows = [row for cell in cells for row in _rows(cell, labels[cell.name])]
    if not rows:
        return None
    count = len({row["cell"] for row in rows})
    notes = ["The stages of the box head are added up; the CSV has each of them."]
    if count < len(cells):
        notes.append(f"{len(cells) - count} of {len(cells)} cells lack a count (see table).")
    return Plot(
        "flops_by_module",
        "Multiply-adds a frame by module",
        pd.DataFrame(rows),
        _draw,
        aspect=min(0.25 + 0.06 * count, 1.3),
        inches=0.7 + 0.11 * count,
        notes=tuple(notes),
        further=True,
    )


def _rows(cell: CellRows, label: str) -> list[dict[str, object]]:
    if cell.mixed("flops"):
        return []
    rows = []
    for column in cell.rows.columns:
        values = cell.column(column) if column.startswith(_PREFIX) else []
        if values:
            module = column.removeprefix(_PREFIX)
            part = re.sub(r"\.\d+$", "", module)
            rows.append(
                {
                    "cell": cell.name,
                    "label": label,
                    "module": module,
                    "part": _NAMES.get(part, part),
                    "multiply-adds (G)": float(str(values[0])) * 1e-9,
                }
            )
    return rows


def _draw(data: pd.DataFrame, canvas: Canvas) -> None:
    table = data.pivot_table(
        index="cell", columns="part", values="multiply-adds (G)", aggfunc="sum", sort=False
    )
    unit = "G"
    labels = data.drop_duplicates("cell").set_index("cell")["label"].to_dict()
    if table.sum(axis=1).max() < 1:
        table, unit = table * 1000, "M"
    totals = table.sum(axis=1)
    digits = 1 if totals.max() >= 10 else 2
    ends = [f"{total:.{digits}f}" for total in totals]
    stacked_bars(canvas, table, labels, ends, f"multiply-adds a frame ({unit})")
