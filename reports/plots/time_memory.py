"""Time or speed, and peak memory side by side, against whatever makes the input larger."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from reports.plots.legend import legend_above
from reports.plots.style import SeriesLook, looks

TIME, SPEED, MEMORY = "ms a frame", "frames a second", "peak memory (MiB)"


def draw_time_and_memory(
    data: pd.DataFrame, canvas: Canvas, x: str, label: str, first: str = TIME
) -> None:
    """Two plots with a line a series.

    Args:
        data: a row a measurement: ``series``, the column ``x``, ``first``, :data:`MEMORY` and
            ``oom``; and the ends of intervals, ``ms low`` and ``ms high`` (of a speed ``frames
            low``, ``frames high``), where they are known.
        label: what ``x`` is called.
        first: :data:`TIME` or :data:`SPEED`, which is the plot on the left.
    """
    styles = looks(list(data["series"]))
    places = _apart(sorted(int(place) for place in data[x].unique()))
    both = canvas.subplots(1, 2)
    for axes, column in zip(both, (first, MEMORY), strict=True):
        for name, rows in data.groupby("series", sort=False):
            _line(axes, rows, x, column, styles[str(name)])
        axes.set_xlabel(label)
        axes.set_ylabel(column)
        axes.set_ylim(bottom=0)
        axes.set_xticks(places, [str(place) for place in places])
    legend_above(canvas, styles)


def notes_on(data: pd.DataFrame, device: str) -> tuple[str, ...]:
    """Device, kind of memory, and what a cross means."""
    notes = [f"Measured on {device}."]
    if data["memory of"].nunique() == 1:
        notes.append(f"Memory: {data['memory of'].iloc[0]}.")
    if data["oom"].notna().any():
        notes.append("Cross: out of memory.")
    return tuple(notes)


def memory_columns(allocated: float | None, host: float | None) -> dict[str, object]:
    """Peak memory in MiB: what the GPU's allocator gave, or else what the process held."""
    memory = host if allocated is None else allocated
    kind = "resident memory of the process" if allocated is None else "allocated on the GPU"
    return {MEMORY: memory, "memory of": None if memory is None else kind}


def _apart(places: list[int]) -> list[int]:
    """Those of the places whose ticks do not run into each other, the last among them."""
    kept: list[int] = []
    for place in reversed(places):
        if not kept or kept[-1] - place >= 0.09 * places[-1]:
            kept.append(place)
    return kept[::-1]


def _line(axes: Axes, rows: pd.DataFrame, x: str, column: str, style: SeriesLook) -> None:
    known = rows[rows["oom"].isna() & np.isfinite(rows[column].astype(float))]
    mean = known.groupby(x)[column].mean()
    axes.plot(mean.index, mean, color=style.colour, linestyle=style.line)
    axes.plot(known[x], known[column], style.marker, color=style.colour, markersize=3)
    low, high = (f"{column.split()[0]} {end}" for end in ("low", "high"))
    if low in known:
        ends = known.dropna(subset=[low, high])
        axes.vlines(ends[x], ends[low], ends[high], color=style.colour, linewidth=1)
    missing = rows[rows["oom"].notna()][x].unique()
    at_the_bottom = axes.get_xaxis_transform()
    axes.plot(
        missing, [0.04] * len(missing), "x", color=style.colour, transform=at_the_bottom, mew=1.2
    )
