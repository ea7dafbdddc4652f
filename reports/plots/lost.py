"""What the AP is lost to: a stacked bar a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import pandas as pd
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import FIGURES, GROUPS
from reports.frame.cells import CellRows
from reports.plots.stacked import stacked_bars
from reports.plots.style import Plot

_NOTES = (
    "Each part: the AP that is gained if the errors of this kind alone were mended, mean over the "
    "seeds. The parts do not add up to what is missing, since an error hides others.",
)


def lost(cells: Sequence[CellRows], labels: Mapping[str, str]) -> Plot | None:
    """AP lost to each kind of error; None where none was measured.

    Args:
        labels: cell to what it is called in the plot.
    """
    rows = [row for cell in cells for row in _rows(cell, labels[cell.name])]
    if not rows:
        return None
    count = len({row["cell"] for row in rows})
    notes = list(_NOTES)
    if count < len(cells):
        notes.append(f"{len(cells) - count} of {len(cells)} cells lack these figures (see table).")
    return Plot(
        "ap_lost",
        "AP lost to each kind of error",
        pd.DataFrame(rows),
        _draw,
        aspect=min(0.3 + 0.06 * count, 1.3),
        inches=0.9 + 0.11 * count,
        notes=tuple(notes),
    )


def _rows(cell: CellRows, label: str) -> list[dict[str, object]]:
    if cell.mixed("errors"):
        return []
    scored = cell.values(FIGURES["AP"]).values()
    ap = fmean(scored) if scored else None
    found = {key: cell.values(FIGURES[key]) for key in GROUPS["lost"]}
    return [
        {
            "cell": cell.name,
            "label": label,
            "AP": ap,
            "kind": FIGURES[key].column.removeprefix("errors."),
            "AP lost": fmean(values.values()),
            "seeds": len(values),
        }
        for key, values in found.items()
        if values
    ]


def _draw(data: pd.DataFrame, canvas: Canvas) -> None:
    table = data.pivot_table(index="cell", columns="kind", values="AP lost", sort=False)
    table = table.loc[:, table.max() >= 0.05]  # what no bar could show needs no name
    cells = data.drop_duplicates("cell").set_index("cell")
    ends = ["" if pd.isna(ap) else f"AP {ap:.1f}" for ap in cells["AP"]]
    stacked_bars(canvas, table, cells["label"].to_dict(), ends, "points of AP")
