"""Stacked bars, one a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas

from reports.plots.legend import patches_above
from reports.plots.style import INK, looks


def stacked_bars(
    canvas: Canvas, table: pd.DataFrame, labels: Mapping[Any, str], ends: Sequence[str], unit: str
) -> None:
    """Draw a bar a row of ``table``, from above, a part a column.

    Args:
        table: by cell and part; what is absent is none.
        labels: cell to what it is called.
        ends: what stands behind each bar.
        unit: below the bars.
    """
    axes = canvas.subplots()
    places = range(len(table))[::-1]
    styles = looks(list(table.columns))
    left = pd.Series(0.0, index=table.index)
    for part in table.columns:
        style, width = styles[str(part)], table[part].fillna(0)
        axes.barh(
            places,
            width,
            left=left,
            height=0.62,
            facecolor=style.colour,
            edgecolor="white",
            hatch=style.hatch,
            linewidth=0.4,
        )
        left = left + width
    for place, total, end in zip(places, left, ends, strict=True):
        axes.text(total, place, f" {end}", va="center", fontsize=6.5, color=INK)
    axes.set_yticks(places, [labels[cell] for cell in table.index])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlim(0, (float(left.max()) or 1.0) * 1.18)
    axes.set_xlabel(unit)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    patches_above(canvas, styles)
