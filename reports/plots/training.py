"""Training curves: the loss of every run, and the mean of each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure as Canvas

from reports.frame.runs import CellRun
from reports.plots.legend import legend_above
from reports.plots.style import Plot, looks

_SMOOTHING = 0.15
_MOST_CELLS = 8


def training(runs: Sequence[CellRun], labels: Mapping[str, str]) -> Plot | None:
    """The loss by step; None where no run has a history.

    Args:
        labels: cell to what it is called in the plot.
    """
    data = pd.DataFrame([row for run in runs for row in _rows(run, labels[run.cell])])
    if data.empty:
        return None
    data["smoothed"] = data.groupby(["cell", "seed"], sort=False)["loss"].transform(
        lambda loss: loss.ewm(alpha=_SMOOTHING).mean()
    )
    notes = ["Thin: single runs. Thick: mean over seeds. Both smoothed (exponential, 0.15)."]
    cells = data["cell"].nunique()
    if cells > _MOST_CELLS:
        notes.append(f"Of {cells} cells the first {_MOST_CELLS} are drawn; the CSV has all.")
    aspect = 0.72 + 0.04 * max(min(cells, _MOST_CELLS) - 4, 0)
    return Plot("training", "Training loss", data, _draw, aspect, tuple(notes))


def _rows(run: CellRun, label: str) -> list[dict[str, object]]:
    keep = ("step", "loss", "lr", "grad_norm", "frames_per_s")
    return [
        {"cell": run.cell, "label": label, "seed": run.seed}
        | {name: line.get(name) for name in keep}
        | dict(line.get("losses") or {})
        for line in run.history()
        if isinstance(line.get("loss"), int | float)
    ]


def _draw(data: pd.DataFrame, canvas: Canvas) -> None:
    axes = canvas.subplots()
    shown = list(dict.fromkeys(data["label"]))[:_MOST_CELLS]
    styles = looks(shown)
    for name in shown:
        rows, style = data[data["label"] == name], styles[name]
        for _, run in rows.groupby("seed"):
            axes.plot(run["step"], run["smoothed"], color=style.colour, linewidth=0.4, alpha=0.5)
        mean = rows.groupby("step")["smoothed"].mean()
        every = max(len(mean) // 6, 1)
        axes.plot(
            mean.index,
            mean,
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            markersize=3.5,
            markevery=(every // 2, every),
        )
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    if data["smoothed"].min() > 0 and data["smoothed"].max() > 10 * data["smoothed"].min():
        axes.set_yscale("log")
    legend_above(canvas, styles)
