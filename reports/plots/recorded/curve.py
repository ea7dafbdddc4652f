"""Time or speed, and memory along a curve that was measured with ``--curve``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.speed.curves import curve_rows, is_of_training
from core.errors import UserError
from reports.plots.style import Plot
from reports.plots.time_memory import SPEED, TIME, draw_time_and_memory, memory_columns, notes_on

_LABELS = {
    "clip_length": ("clip_length", "frames a clip"),
    "size": ("pixels", "pixels a frame"),
    "queries": ("queries", "queries"),
    "batch": ("batch", "clips a call"),
}


def curve_plot(curve: Mapping[str, Any], name: str) -> Plot:
    """Milliseconds a frame (with post-processing) and peak memory along the curve's axis.

    Along ``batch``, which is there for throughput, frames a second in place of milliseconds.

    Args:
        curve: a record of kind ``curve``.
        name: stem of the plot's files.

    Raises:
        UserError: the curve has no points.
    """
    x, label = _LABELS[curve["axis"]]
    first = SPEED if x == "batch" else TIME
    if is_of_training(dict(curve)):
        label = "clips a training step"
    data = pd.DataFrame([_row(row, x) for row in curve_rows(dict(curve))])
    if data.empty:
        raise UserError(f"curve {name}: it has no points")
    devices = {str(point["record"]["protocol"].get("device")) for point in curve["points"]}
    return Plot(
        name,
        f"{'Speed' if first == SPEED else 'Time'} and memory by {label}",
        data,
        lambda data, canvas: draw_time_and_memory(data, canvas, x, label, first),
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
    rate, low, high = (row.get(key) for key in ("fps", "low", "high"))
    if "fps" not in row:
        rate = row["fps_postprocess"] or row["fps_model"]
        if row["fps_postprocess"]:
            low, high = row["low_postprocess"], row["high_postprocess"]
    allocated, host = (
        None if row[key] is None else row[key] / 2**20 for key in ("allocated", "host_peak")
    )
    ends = {"frames low": low, "frames high": high}
    if x != "batch":
        ends = {"ms low": 1000 / high if high else None, "ms high": 1000 / low if low else None}
    return {
        "series": row["name"],
        x: row["pixels"] if x == "pixels" else int(row["value"]),
        **({SPEED: rate} if x == "batch" else {TIME: 1000 / rate if rate else None}),
        **ends,
        **memory_columns(allocated, host),
        "oom": row["oom"],
        "drift": row["drift"],
    }
