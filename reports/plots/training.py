"""Training curves: the loss of every run, and the mean of each cell; AP where it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullFormatter

from reports.frame.runs import CellRun
from reports.plots.legend import MOST_SERIES, aspect_with, legend_above
from reports.plots.style import FAINT, Plot, SeriesLook, looks

_SMOOTHING = 0.15


def training(runs: Sequence[CellRun], labels: Mapping[str, str]) -> Plot | None:
    """The loss, and below it the held-out AP, by step; None where no run has a history.

    Args:
        labels: cell to what it is called in the plot.
    """
    data = pd.DataFrame([row for run in runs for row in _rows(run, labels[run.cell])])
    if data.empty:
        return None
    data["smoothed"] = data.groupby(["cell", "seed"], sort=False)["loss"].transform(
        lambda loss: loss.ewm(alpha=_SMOOTHING).mean()
    )
    notes = ["Thin: single runs. Thick: mean over seeds. The loss is smoothed (exponential, 0.15)."]
    cells = data["cell"].nunique()
    if cells > MOST_SERIES:
        notes.append(f"Grey: all {cells} cells; named: the lowest and the highest last loss.")
    aspect = aspect_with(len(_shown(data)))
    title = "Training loss"
    if scored := [name for name in ("AP", "AP of the average") if name in data]:
        title, aspect = "Training loss and AP of the held-out videos", 1.4 * aspect
        if len(scored) > 1:
            notes.append("Without marks: AP of the moving average of the weights, mean over seeds.")
    return Plot("training", title, data, _draw, aspect, tuple(notes), further=True)


def _rows(run: CellRun, label: str) -> list[dict[str, object]]:
    keep = ("step", "loss", "lr", "grad_norm", "frames_per_s")
    return [
        {"cell": run.cell, "label": label, "seed": run.seed}
        | {name: line.get(name) for name in keep}
        | dict(line.get("losses") or {})
        | {
            name: 100 * scores["AP"]
            for name, key in (("AP", "heldout"), ("AP of the average", "heldout_ema"))
            if (scores := line.get(key) or {}).get("AP") is not None
        }
        for line in run.history()
        if isinstance(line.get("loss"), int | float)
    ]


def _shown(data: pd.DataFrame) -> dict[str, str]:
    """Cells that have a look of their own, to what they are called: all, or of many two."""
    labels = {str(k): str(v) for k, v in data.drop_duplicates("cell")[["cell", "label"]].to_numpy()}
    if len(labels) <= MOST_SERIES:
        return labels
    last = data.groupby(["cell", "seed"], sort=False)["smoothed"].last().groupby("cell").mean()
    return {str(cell): labels[str(cell)] for cell in (last.idxmin(), last.idxmax())}


def _draw(data: pd.DataFrame, canvas: Canvas) -> None:
    axes, *below = canvas.subplots(2 if "AP" in data else 1, sharex=True, squeeze=False)[:, 0]
    shown = _shown(data)
    styles = looks(list(shown.values()))
    for cell, rows in data.groupby("cell", sort=False):
        if cell not in shown:
            for place, column in zip((axes, *below), ("smoothed", "AP"), strict=False):
                mean = rows.groupby("step")[column].mean().dropna()
                place.plot(mean.index, mean, color=FAINT, linewidth=0.4, zorder=1)
    for cell, label in shown.items():
        rows, style = data[data["cell"] == cell], styles[label]
        _curve(axes, rows, "smoothed", style)
        for lower in below:
            _curve(lower, rows.dropna(subset="AP"), "AP", style)
            if "AP of the average" in rows:
                mean = rows.groupby("step")["AP of the average"].mean().dropna()
                lower.plot(mean.index, mean, color=style.colour, linewidth=0.9)
    for lower in below:
        lower.set_ylabel("held-out AP")
    (below or [axes])[-1].set_xlabel("step")
    axes.set_ylabel("training loss")
    if data["smoothed"].min() > 0 and data["smoothed"].max() > 10 * data["smoothed"].min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    legend_above(canvas, styles)


def _curve(axes: Axes, rows: pd.DataFrame, column: str, style: SeriesLook) -> None:
    """One cell: its runs thin, their mean thick."""
    for _, run in rows.groupby("seed"):
        axes.plot(run["step"], run[column], color=style.colour, linewidth=0.4, alpha=0.5)
    mean = rows.groupby("step")[column].mean()
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
