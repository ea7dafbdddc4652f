"""Time and memory against the number of frames in a clip."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from reports.cells import CellRows
from reports.figures import FIGURES
from reports.plots.legend import legend_above
from reports.plots.style import Look, Plot, looks
from reports.plots.words import Words
from reports.protocol import common_protocol, show_value
from reports.row_fields import field_value

_LENGTH = "fps.protocol.clip_length"
_OOM = "fps.oom"


def clip_length(cells: Sequence[CellRows], words: Words) -> Plot | None:
    """Milliseconds a frame and peak memory by frames a clip; None for fewer than two lengths."""
    rows = [row for cell in cells for row in _rows(cell, words)]
    data = pd.DataFrame(rows)
    if data.empty or data["clip length"].nunique() < 2:
        return None
    frame = pd.concat([cell.rows for cell in cells])
    device = show_value(common_protocol(frame, "fps").get("device", "several devices"))
    notes = (f"Measured on {device}.", "Each mark is one run. Cross: out of memory.")
    return Plot(
        "clip_length", "Time and memory by clip length", data, _draw, aspect=0.6, notes=notes
    )


def _rows(cell: CellRows, words: Words) -> list[dict[str, object]]:
    if _LENGTH not in cell.rows:
        return []
    lengths = {show_value(value) for value in cell.column(_LENGTH)}
    measured_by = next((a for a in words.axes if field_value(cell, a) in lengths), None)
    names = Words(words.axes, measured_by, words.labels)
    times, used, host = (cell.values(FIGURES[k]) for k in ("latency", "memory", "memory_host"))
    return [
        {
            "cell": cell.name,
            "series": names.series(cell) if measured_by else names.cell(cell),
            "seed": int(run["seed"]),
            "clip length": int(run[_LENGTH]),
            "ms a frame": times.get(int(run["seed"])),
            "memory (MiB)": used.get(int(run["seed"]), host.get(int(run["seed"]))),
            "oom": run.get(_OOM),
        }
        for _, run in cell.rows[cell.rows[_LENGTH].notna()].iterrows()
    ]


def _draw(data: pd.DataFrame, canvas: Canvas) -> None:
    styles = looks(list(data["series"]))
    places = _apart(sorted(int(length) for length in data["clip length"].unique()))
    both = canvas.subplots(1, 2)
    for axes, column in zip(both, ("ms a frame", "memory (MiB)"), strict=True):
        for name, rows in data.groupby("series", sort=False):
            _line(axes, rows, column, styles[str(name)])
        axes.set_xlabel("frames a clip")
        axes.set_ylabel(column)
        axes.set_ylim(bottom=0)
        axes.set_xticks(places, [str(place) for place in places])
    legend_above(canvas, styles)


def _apart(places: list[int]) -> list[int]:
    """Those of the lengths whose ticks do not run into each other, the longest among them."""
    kept: list[int] = []
    for place in reversed(places):
        if not kept or kept[-1] - place >= 0.09 * places[-1]:
            kept.append(place)
    return kept[::-1]


def _line(axes: Axes, rows: pd.DataFrame, column: str, style: Look) -> None:
    known = rows[rows["oom"].isna()].dropna(subset=[column])
    mean = known.groupby("clip length")[column].mean()
    axes.plot(mean.index, mean, color=style.colour, linestyle=style.line)
    axes.plot(known["clip length"], known[column], style.marker, color=style.colour, markersize=3)
    missing = rows[rows["oom"].notna()]["clip length"].unique()
    at_the_bottom = axes.get_xaxis_transform()
    axes.plot(
        missing, [0.04] * len(missing), "x", color=style.colour, transform=at_the_bottom, mew=1.2
    )
