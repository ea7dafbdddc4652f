"""What bounds the parts of a model: their speed under the roofs of memory and of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from core.errors import UserError
from reports.plots.legend import label_points, legend_above
from reports.plots.style import FAINT, INK, Plot, looks

WHOLE = "whole model"
_X, _Y = "multiply-adds a byte", "multiply-adds a second (G)"


def roofline_plot(records: Sequence[Mapping[str, Any]], name: str) -> Plot:
    """Multiply-adds a second of each part by its multiply-adds a byte.

    Args:
        records: of kind ``roofline``.
        name: stem of the plot's files.

    Raises:
        UserError: nothing in them multiplies.
    """
    data = pd.DataFrame([row for record in records for row in _rows(record)])
    if data.empty:
        raise UserError(f"roofline {name}: no part of it multiplies")
    devices = sorted({str(record["protocol"].get("device")) for record in records})
    doubts = [d for record in records for d in record.get("environment", {}).get("drift", [])]
    notes = [
        f"Measured on {', '.join(devices)}.",
        "Percent: of the model's time. What stays in caches may lie above the roof of memory.",
        *([f"Suspect: {doubts[0]}."] if doubts else []),
    ]
    return Plot(name, "What bounds each part", data, _draw, aspect=0.72, notes=tuple(notes))


def _rows(record: Mapping[str, Any]) -> list[dict[str, object]]:
    machine, whole = record["machine"], record["figures"]
    parts = {**record["parts"], WHOLE: whole}
    return [
        {
            "model": record["name"],
            "part": part.replace("_", " "),
            _X: values["multiply_adds"] / values["bytes"],
            _Y: values["multiply_adds"] / values["ms"] / 1e6,
            "ms a frame": values["ms"],
            "least ms": values["least_ms"],
            "share of time": values["ms"] / whole["ms"],
            "precision": record["protocol"].get("precision"),
            "matmul rate (G)": machine["matmul_rate"] / 1e9,
            "library": machine["matmul_library"],
            "memory (GB/s)": machine["bandwidth"] / 1e9,
        }
        for part, values in parts.items()
        if values["multiply_adds"]
    ]


def _draw(data: pd.DataFrame, canvas: Canvas) -> None:
    axes = canvas.subplots()
    styles = looks(list(data["model"]))
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = 0.1 * data[_X].min(), 2 * data[_X].max()
    roofs = data.drop_duplicates("precision")
    several = len(roofs) > 1
    top = roofs["matmul rate (G)"].max()
    ridge = top / roofs["memory (GB/s)"].max()
    axes.set_xlim(low, max(high, 8 * ridge))
    axes.set_ylim(
        0.5 * min(data[_Y].min(), low * roofs["memory (GB/s)"].min()), 2 * max(top, data[_Y].max())
    )
    _name_memory(axes, roofs["memory (GB/s)"].max(), left=low, right=ridge)
    for _, machine in roofs.iterrows():
        _roofs(axes, machine, several)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    points, biggest = [], []
    for model, rows in data.groupby("model", sort=False):
        style = styles[str(model)]
        for _, row in rows.iterrows():
            whole = row["part"] == WHOLE
            axes.plot(
                row[_X],
                row[_Y],
                style.marker,
                color=style.colour,
                markersize=6 if whole else 4,
                markerfacecolor="white" if whole else style.colour,
            )
            text = WHOLE if whole else f"{row['part']} {row['share of time']:.0%}"
            points.append((float(row[_X]), float(row[_Y]), text))
            biggest.append(-float(row["ms a frame"]))
    axes.set_xlabel(_X)
    axes.set_ylabel(_Y)
    legend_above(canvas, styles, lines=False)
    # where names do not all fit, those of what takes the most time come first
    label_points(canvas, axes, [point for _, point in sorted(zip(biggest, points, strict=True))])


def _roofs(axes: Axes, machine: pd.Series, several: bool) -> None:
    """The slope of memory and the level of products, which is named."""
    (left, right), bottom = axes.get_xlim(), axes.get_ylim()[0]
    rate, width = machine["matmul rate (G)"], machine["memory (GB/s)"]
    ridge = rate / width
    axes.plot([left, ridge, right], [left * width, rate, rate], color=INK, linewidth=0.9, zorder=1)
    axes.plot([ridge, ridge], [bottom, rate], color=FAINT, linewidth=0.6, linestyle=":", zorder=1)
    precision = f", {machine['precision']}" if several else ""
    axes.annotate(
        f"products{precision}: {rate:.3g} G/s ({machine['library']})",
        (right, rate),
        (0, 2),
        textcoords="offset points",
        ha="right",
        fontsize=6.5,
    )


def _name_memory(axes: Axes, width: float, left: float, right: float) -> None:
    """The name of the slope, above the upper half of it."""
    x = left ** (1 / 3) * right ** (2 / 3)
    axes.annotate(
        f"memory: {width:.3g} GB/s",
        (x, x * width),
        (-4, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=6.5,
    )
