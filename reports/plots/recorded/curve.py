"""Time and memory along a curve that ``tevit fps --curve`` measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.speed.curves import curve_rows
from core.errors import UserError
from reports.plots.style import Plot
from reports.plots.time_memory import draw_time_and_memory, memory_columns, notes_on

_LABELS = {
    "clip_length": ("clip_length", "frames a clip"),
    "size": ("pixels", "pixels a frame"),
    "queries": ("queries", "queries"),
}


def curve_plot(curve: Mapping[str, Any], name: str) -> Plot:
    """Milliseconds a frame (with post-processing) and peak memory along the curve's axis.

    Args:
        curve: a record of kind ``curve``.
        name: stem of the plot's files.

    Raises:
        UserError: the curve has no points.
    """
    x, label = _LABELS[curve["axis"]]
    data = pd.DataFrame([_row(row, x) for row in curve_rows(dict(curve))])
    if data.empty:
        raise UserError(f"curve {name}: it has no points")
    devices = {str(point["record"]["protocol"].get("device")) for point in curve["points"]}
    return Plot(
        name,
        f"Time and memory by {label}",
        data,
        lambda data, canvas: draw_time_and_memory(data, canvas, x, label),
        aspect=0.6,
        notes=(*notes_on(data, ", ".join(sorted(devices))), *_doubts(data)),
    )


def _doubts(data: pd.DataFrame) -> list[str]:
    """Points that were taken on a machine that did not hold still."""
    suspect = data["drift"].dropna()
    if suspect.empty:
        return []
    first = str(suspect.iloc[0]).partition("; ")[0]
    return [f"Suspect: {len(suspect)} of {len(data)} points, such as: {first}."]


def _row(row: Mapping[str, Any], x: str) -> dict[str, object]:
    end = "postprocess" if row["fps_postprocess"] else "model"
    rate = row[f"fps_{end}"]
    low, high = ("low", "high") if end == "model" else ("low_postprocess", "high_postprocess")
    allocated, host = (
        None if row[key] is None else row[key] / 2**20 for key in ("allocated", "host_peak")
    )
    return {
        "series": row["name"],
        x: row["pixels"] if x == "pixels" else int(row["value"]),
        "ms a frame": 1000 / rate if rate else None,
        "ms low": 1000 / row[high] if row[high] else None,
        "ms high": 1000 / row[low] if row[low] else None,
        **memory_columns(allocated, host),
        "oom": row["oom"],
        "drift": row["drift"],
    }
