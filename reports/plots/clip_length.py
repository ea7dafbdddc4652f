"""Time and memory against the number of frames in a clip, from the cells of a grid."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from benchmarks.figures import FIGURES
from reports.frame.cells import CellRows
from reports.frame.protocol import common_protocol, show_value
from reports.plots.style import Plot
from reports.plots.time_memory import draw_time_and_memory, memory_columns, notes_on
from reports.tables.labels import Names, field_value

_LENGTH = "fps.protocol.clip_length"
_OOM = "fps.oom"


def clip_length(names: Names) -> Plot | None:
    """Milliseconds a frame and peak memory by frames a clip; None for fewer than two lengths."""
    data = pd.DataFrame([row for cell in names.cells for row in _rows(cell, names)])
    if data.empty or data["clip length"].nunique() < 2:
        return None
    frame = pd.concat([cell.rows for cell in names.cells])
    device = show_value(common_protocol(frame, "fps").get("device", "several devices"))
    return Plot(
        "clip_length",
        "Time and memory by clip length",
        data,
        lambda data, canvas: draw_time_and_memory(data, canvas, "clip length", "frames a clip"),
        aspect=0.6,
        notes=(*notes_on(data, device), "Each mark is one run."),
    )


def _rows(cell: CellRows, names: Names) -> list[dict[str, object]]:
    if _LENGTH not in cell.rows:
        return []
    lengths = {show_value(value) for value in cell.column(_LENGTH)}
    measured_by = next((a for a in names.axes if field_value(cell, a) in lengths), None)
    series = replace(names, numeric=measured_by)
    times, used, host = (cell.values(FIGURES[k]) for k in ("latency", "memory", "memory_host"))
    rows = cell.rows[cell.rows[_LENGTH].notna()]
    return [
        {
            "cell": cell.name,
            "series": series.series(cell) if measured_by else names.cell(cell),
            "seed": int(run["seed"]),
            "clip length": int(run[_LENGTH]),
            "ms a frame": times.get(int(run["seed"])),
            **memory_columns(used.get(int(run["seed"])), host.get(int(run["seed"]))),
            "oom": run.get(_OOM),
        }
        for _, run in rows.iterrows()
    ]
