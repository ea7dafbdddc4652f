"""AP against a cost or a speed, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from benchmarks.figures import FIGURES, Better, Figure
from reports.frame.cells import CellRows
from reports.frame.protocol import common_protocol, differs_between, show_value
from reports.frame.statistics import pareto_front, seed_summary
from reports.plots.legend import legend_above
from reports.plots.style import FAINT, INK, Plot, looks
from reports.tables.labels import Names

_AP = FIGURES["AP"]


def tradeoff(
    cells: Sequence[CellRows], names: Names, figure: Figure, cheaper: Better
) -> Plot | None:
    """AP against ``figure``, a point a cell; None where fewer than two cells have both.

    Where an axis of the grid has numbers, the points of one setting of the other axes share
    their look and its values stand beside them.

    Args:
        names: what cells, axes and values are called.
        figure: a named figure, such as ``FIGURES["fps"]``.
        cheaper: which end of the figure is the better one.
    """
    rows = [row for cell in cells if (row := _point(cell, names, figure))]
    if len(rows) < 2:
        return None
    data = pd.DataFrame(rows)
    data["pareto"] = False
    front = pareto_front(list(zip(data[figure.key], data["AP"], strict=True)), cheaper)
    data.loc[data.index[front], "pareto"] = True
    label = _axis_label(figure, pd.concat([cell.rows for cell in cells]))
    return Plot(
        f"ap_{figure.key}",
        f"AP against {label}",
        data,
        lambda data, canvas: _draw(data, canvas, figure, label),
        notes=_notes(cells, rows, figure, names),
    )


def _point(cell: CellRows, names: Names, figure: Figure) -> dict[str, object] | None:
    if cell.mixed("ap") or cell.mixed(figure.kind):
        return None
    quality = seed_summary(list(cell.values(_AP).values()))
    cost = seed_summary(list(cell.values(figure).values()))
    if quality is None or cost is None:
        return None
    return {
        "cell": cell.name,
        "series": names.series(cell),
        "point": names.point(cell),
        "AP": quality.mean,
        "AP std": quality.std,
        "n": quality.n,
        "seeds planned": cell.planned,
        figure.key: cost.mean,
        f"{figure.key} std": cost.std,
    }


def _notes(
    cells: Sequence[CellRows], rows: Sequence[object], figure: Figure, names: Names
) -> tuple[str, ...]:
    notes = ["Line: Pareto front. Bars: standard deviation over seeds."]
    if names.numeric:
        notes.append(f"Numbers: {names.head(names.numeric)}.")
    if len(rows) < len(cells):
        notes.append(f"{len(cells) - len(rows)} of {len(cells)} cells lack a figure (see table).")
    if any(not cell.complete for cell in cells):
        notes.append("Hollow: not all seeds are finished.")
    if differs_between(pd.concat([cell.rows for cell in cells]), figure.kind)[1]:
        notes.append(f"{figure.label} was not measured alike in all cells (see table).")
    return tuple(notes)


def _axis_label(figure: Figure, frame: pd.DataFrame) -> str:
    if figure.kind != "fps":
        return {"macs": "multiply-adds a frame"}.get(figure.key, figure.label)
    device = common_protocol(frame, "fps").get("device")
    where = "" if device is None else f" on {show_value(device).partition(' (')[0]}"
    return {"fps": "frames a second"}.get(figure.key, figure.label) + where


def _draw(data: pd.DataFrame, canvas: Canvas, figure: Figure, label: str) -> None:
    axes = canvas.subplots()
    scale, unit = (1000, " (M)") if data[figure.key].max() < 1 else (1, " (G)")
    if figure.key != "macs":
        scale, unit = 1, ""
    front = data[data["pareto"]].sort_values(figure.key)
    axes.plot(front[figure.key] * scale, front["AP"], color=FAINT, linewidth=1.0, zorder=1)
    styles = looks(list(data["series"]))
    for _, row in data.iterrows():
        style = styles[str(row["series"])]
        whole = row["n"] == row["seeds planned"]
        place = (row[figure.key] * scale, row["AP"])
        axes.errorbar(
            *place,
            xerr=_bar(row[f"{figure.key} std"], scale),
            yerr=_bar(row["AP std"]),
            color=style.colour,
            marker=style.marker,
            markerfacecolor=style.colour if whole else "white",
            linestyle="none",
            elinewidth=0.7,
            zorder=2,
        )
        axes.annotate(
            str(row["point"]), place, (3, 3), textcoords="offset points", fontsize=6, color=INK
        )
    axes.set_xlabel(label + unit)
    axes.set_ylabel("AP")
    axes.margins(0.1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    legend_above(canvas, styles, lines=False)


def _bar(std: float | None, scale: float = 1) -> float | None:
    return None if std is None or pd.isna(std) else float(std) * scale
