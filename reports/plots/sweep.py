"""A figure along one axis of the grid (tokens, queries, clip length), with its seed spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import Figure
from reports.frame.cells import CellRows
from reports.frame.statistics import seed_summary
from reports.plots.legend import MOST_SERIES, aspect_with, name_lines
from reports.plots.style import FAINT, Plot, SeriesLook, cut_note, honest, looks
from reports.tables.labels import Names, field_value


def sweep(names: Names, axis: str, figure: Figure) -> Plot | None:
    """``figure`` along ``axis``: the seeds as dots, their mean as a line, a line a setting of the
    other axes; None where fewer than two values have the figure.

    Args:
        names: what cells, axes and values are called.
        axis: one whose values are numbers.
    """
    cells, names = names.cells, replace(names, numeric=axis)
    rows = [row for cell in cells for row in _rows(cell, axis, figure, names)]
    data = pd.DataFrame(rows, columns=list(rows[0]) if rows else [axis, "series"])
    # a setting of the other axes that has one value alone shows nothing along this one
    data = data[data.groupby("series")[axis].transform("nunique") > 1]
    if data.empty:
        return None
    means = data.groupby("series", sort=False)["mean"].max()
    shown = [str(name) for name in means.nlargest(MOST_SERIES).index]
    notes = ["Small marks: single seeds. Large marks and lines: mean over seeds."]
    if len(means) > MOST_SERIES:
        notes.append(
            f"Grey: the {len(means) - MOST_SERIES} of {len(means)} settings whose highest mean is "
            "lowest; the CSV has all names."
        )
    left_out = sum(bool(cell.mixed(figure.kind)) for cell in cells)
    if left_out:
        notes.append(f"{left_out} cells of mixed protocol are left out (see table).")
    if any(not cell.complete for cell in cells):
        notes.append("Hollow: not all seeds are finished.")
    notes += cut_note(data[figure.key])
    return Plot(
        f"{figure.key.lower()}_by_{axis.replace('.', '_')}",
        f"{figure.label} by {names.head(axis)}",
        data,
        lambda data, canvas: _draw(data, canvas, axis, figure, names.head(axis), shown),
        aspect=aspect_with(len(shown)),
        notes=tuple(notes),
    )


def _rows(cell: CellRows, axis: str, figure: Figure, names: Names) -> list[dict[str, object]]:
    if cell.mixed(figure.kind):
        return []
    values = cell.values(figure)
    summary = seed_summary(list(values.values()))
    if summary is None:
        return []
    shared = {
        "mean": summary.mean,
        "std": summary.std,
        "n": summary.n,
        "seeds planned": cell.planned,
    }
    place = {axis: float(field_value(cell, axis)), "series": names.series(cell)}
    return [{**place, "seed": seed, figure.key: v, **shared} for seed, v in values.items()]


def _draw(
    data: pd.DataFrame, canvas: Canvas, axis: str, figure: Figure, head: str, shown: Sequence[str]
) -> None:
    axes = canvas.subplots()
    styles = looks([name for name in dict.fromkeys(data["series"]) if name in set(shown)])
    for name, rows in data.groupby("series", sort=False):
        if name not in styles:
            means = rows.drop_duplicates(axis).sort_values(axis)
            axes.plot(means[axis], means["mean"], color=FAINT, linewidth=0.5, zorder=1)
    for name, rows in data.groupby("series", sort=False):
        if name in styles:
            _line(axes, rows, axis, figure.key, styles[str(name)])
    number_axis(axes, sorted(data[axis].unique()))
    axes.set_xlabel(head)
    axes.set_ylabel(figure.label)
    honest(axes)
    last = data.sort_values(axis).drop_duplicates("series", keep="last")
    points = zip(map(str, last["series"]), last[axis], last["mean"], strict=True)
    ends = {name: (float(x), float(y)) for name, x, y in points if name in styles}
    name_lines(canvas, axes, styles, ends)


def _line(axes: Axes, rows: pd.DataFrame, axis: str, key: str, style: SeriesLook) -> None:
    means = rows.drop_duplicates(axis).sort_values(axis)
    axes.plot(means[axis], means["mean"], color=style.colour, linestyle=style.line)
    axes.plot(rows[axis], rows[key], style.marker, color=style.colour, markersize=2, alpha=0.55)
    for whole, group in means.groupby(means["n"] == means["seeds planned"]):
        face = style.colour if whole else "white"
        axes.plot(
            group[axis], group["mean"], style.marker, color=style.colour, markerfacecolor=face
        )


def number_axis(axes: Axes, places: Sequence[float]) -> None:
    """A tick at each value measured; on a logarithmic scale where the values span decades."""
    if min(places) > 0 and max(places) >= 8 * min(places):
        axes.set_xscale("log")
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set_xticks([], minor=True)
