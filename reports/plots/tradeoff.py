"""AP against a cost or a speed, with a Pareto front for each way of measuring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from benchmarks.figures import FIGURES, Better, Figure
from reports.frame.cells import CellRows
from reports.frame.protocol import common_protocol, protocol_groups, show_value
from reports.frame.statistics import difference_by_seed, pareto_front, seed_summary
from reports.plots.legend import MOST_SERIES, aspect_with, label_points, legend_above
from reports.plots.style import FAINT, GRID, INK, Plot, SeriesLook, cut_note, honest, look, looks
from reports.tables.labels import Names

_AP = FIGURES["AP"]
_MOST_POINTS = 24  # that can be named
_MARGIN = 0.12  # beyond the points, for their names


def tradeoff(names: Names, figure: Figure, cheaper: Better) -> Plot | None:
    """AP against ``figure``, a point a cell; None where fewer than two cells have both.

    Where an axis of the grid has numbers, the points of one setting of the other axes share
    their look and its values stand beside them.  Cells that were measured by different protocols
    (devices, versions, ...) have a front for each.

    Args:
        names: what cells, axes and values are called.
        figure: a named figure, such as ``FIGURES["fps"]``.
        cheaper: which end of the figure is the better one.
    """
    rows = [row for cell in names.cells if (row := _point(cell, names, figure))]
    if len(rows) < 2:
        return None
    data = pd.DataFrame(rows)
    frame = pd.concat([cell.rows for cell in names.cells])
    groups = [protocol_groups(frame, kind) for kind in ("ap", figure.kind)]
    said = [", ".join(group[c] for group in groups if group.get(c)) for c in data["cell"]]
    data["protocol"] = said
    _mark_fronts(data, names, figure, cheaper)
    label = _axis_label(figure, frame)
    return Plot(
        f"ap_{figure.key}",
        f"AP against {label}",
        data,
        lambda data, canvas: _draw(data, canvas, figure, label),
        aspect=aspect_with(len(_named(data))),
        notes=_notes(data, figure, names),
    )


def _point(cell: CellRows, names: Names, figure: Figure) -> dict[str, object] | None:
    if cell.mixed("ap") or cell.mixed(figure.kind):
        return None
    quality = seed_summary(list(cell.values(_AP).values()))
    cost = seed_summary(list(cell.values(figure).values()))
    if quality is None or cost is None or not np.isfinite([quality.mean, cost.mean]).all():
        return None
    return {
        "cell": cell.name,
        "name": names.cell(cell),
        "series": names.series(cell),
        "point": names.point(cell),
        "AP": quality.mean,
        "AP std": quality.std,
        "n": quality.n,
        "seeds planned": cell.planned,
        figure.key: cost.mean,
        f"{figure.key} std": cost.std,
    }


def _mark_fronts(data: pd.DataFrame, names: Names, figure: Figure, cheaper: Better) -> None:
    """Add ``pareto`` (on the front of the means) and ``tied`` (not on it, but no cell that is at
    least as cheap has an AP that the table's test tells from its own)."""
    sign = 1 if cheaper == "low" else -1
    front: set[str] = set()
    tied: set[str] = set()
    aps = {cell.name: cell.values(_AP) for cell in names.cells}
    for _, group in data.groupby("protocol", sort=False):
        group_names = [str(name) for name in group["cell"]]
        points = list(zip(group[figure.key], group["AP"], strict=True))
        front |= {group_names[place] for place in pareto_front(points, cheaper)}
        for name, (cost, ap) in zip(group_names, points, strict=True):
            pairs = zip(group_names, points, strict=True)
            rivals = [n for n, (c, a) in pairs if n != name and sign * (c - cost) <= 0 and a >= ap]
            found = [difference_by_seed(aps[rival], aps[name]) for rival in rivals]
            if not any(d is None or d.low is None or d.distinguishable for d in found):
                tied.add(name)
    data["pareto"] = data["cell"].isin(front)
    data["tied"] = data["cell"].isin(tied - front)


def _notes(data: pd.DataFrame, figure: Figure, names: Names) -> tuple[str, ...]:
    cells = names.cells
    front = data[data["pareto"]]
    line = "Line: Pareto front of the means."
    if len(front) == 1:
        line = f"The Pareto front of the means is {front['name'].iloc[0]} alone."
    notes = [f"{line} Bars: standard deviation over seeds."]
    ends = [
        pd.concat([data[name] + sign * data[f"{name} std"].fillna(0) for sign in (-1, 1)])
        for name in ("AP", figure.key)
    ]
    notes += cut_note(*ends, margin=_MARGIN)
    if data["tied"].any() or _many(data):
        look = "Grey: told from it" if _many(data) else "Ring: not told from it"
        notes.append(f"{look} in AP by the table's test.")
    if names.numeric:
        notes.append(f"Numbers: {names.head(names.numeric)}.")
    if _many(data):
        notes.append("Named: cells on the front; the CSV has all names.")
    if len(data) < len(cells):
        notes.append(f"{len(cells) - len(data)} of {len(cells)} cells lack a figure (see table).")
    if any(not cell.complete for cell in cells):
        notes.append("Hollow: not all seeds are finished.")
    if data["protocol"].nunique() > 1:
        notes.append(
            f"{figure.label} was not measured alike in all cells (see table): one front for each "
            f"of {'; '.join(dict.fromkeys(map(str, data['protocol'])))}."
        )
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
    data = data.assign(x=data[figure.key] * scale, bar=data[f"{figure.key} std"] * scale)
    many = _many(data)
    styles = looks(_named(data))
    for _, row in data.iterrows():
        _mark(axes, row, styles.get(str(row["name" if many else "series"])), many)
    labels = []
    several = data["protocol"].nunique() > 1
    for protocol, group in data.groupby("protocol", sort=False):
        front = group[group["pareto"]].sort_values("x")
        axes.plot(front["x"], front["AP"], color=FAINT, linewidth=0.5, zorder=1)
        if several:
            last = front.iloc[-1]
            labels.append((float(last["x"]), float(last["AP"]), str(protocol).partition(" (")[0]))
    if not many or len(styles) == 1:  # a legend of one names nothing
        named = data[data["pareto"]] if many else data
        texts = map(str, named["name" if many else "point"])
        labels += list(zip(named["x"], named["AP"], texts, strict=True))
    axes.set_xlabel(label + unit)
    axes.set_ylabel("AP")
    axes.margins(_MARGIN)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    honest(axes, x=True)
    legend_above(canvas, styles, lines=False)
    label_points(canvas, axes, [entry for entry in labels if entry[2]])


def _many(data: pd.DataFrame) -> bool:
    return len(data) > _MOST_POINTS or data["series"].nunique() > MOST_SERIES


def _named(data: pd.DataFrame) -> list[str]:
    """What the legend names: the series, or of many points the first ones on the front, by AP."""
    if not _many(data):
        return list(dict.fromkeys(map(str, data["series"])))
    front = data[data["pareto"]].sort_values("AP", ascending=False)
    return list(dict.fromkeys(map(str, front["name"])))[:MOST_SERIES]


def _mark(axes: Axes, row: pd.Series, style: SeriesLook | None, many: bool) -> None:
    near = bool(row["pareto"] or row["tied"])
    if style is None:
        style = replace(look(0), colour=INK if near else GRID)
    axes.errorbar(
        row["x"],
        row["AP"],
        xerr=_bar(row["bar"]) if near or not many else None,
        yerr=_bar(row["AP std"]) if near or not many else None,
        color=style.colour,
        marker=style.marker,
        markerfacecolor=style.colour if row["n"] == row["seeds planned"] else "white",
        linestyle="none",
        elinewidth=0.7,
        zorder=2 + near,
    )
    if row["tied"] and not many:
        axes.plot(row["x"], row["AP"], "o", markersize=9, color=INK, fillstyle="none", mew=0.5)


def _bar(std: float | None) -> float | None:
    return None if std is None or pd.isna(std) else float(std)
