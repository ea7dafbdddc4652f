"""Two axes together: the mean along one, a line a value of the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from ablations.analysis.effects import Run
from ablations.analysis.intervals import estimate_of
from benchmarks.figures import Figure
from reports.findings.runs import comparable_runs
from reports.plots.legend import aspect_with, name_lines
from reports.plots.style import Plot, cut_note, honest, looks
from reports.tables.labels import Names, is_number

_LEVEL = 0.95
_MOST = 6
"""Values of an axis that still make a line each, or a place each."""
_APART = 0.04  # between lines at one place, so that bars do not cover each other


def effects_plots(names: Names, figure: Figure) -> list[Plot]:
    """A plot for every two crossed axes of few values, three at most; empty without two seeds.

    Args:
        names: what cells, axes and values are called.
    """
    runs = comparable_runs(names, figure)
    axes = [axis for axis in names.axes if 1 < len({r.settings[axis] for r in runs}) <= _MOST]
    found = []
    for lines, along in combinations(axes, 2):
        data = _data(runs, along, lines, names)
        if data is not None:
            found.append(_plot(data, along, lines, names, figure))
    return found[:3]


def _data(runs: Sequence[Run], along: str, lines: str, names: Names) -> pd.DataFrame | None:
    """Mean over seeds of the seeds' means over all other axes; none where a place is empty or has
    a single seed, or where the cells behind the places differ in the other axes."""
    rows, others = [], set()
    for line in dict.fromkeys(run.settings[lines] for run in runs):
        for value in dict.fromkeys(run.settings[along] for run in runs):
            here = [r for r in runs if (r.settings[lines], r.settings[along]) == (line, value)]
            others.add(
                frozenset(
                    tuple((k, v) for k, v in r.settings.items() if k not in (lines, along))
                    for r in here
                )
            )
            seeds = dict.fromkeys(run.seed for run in here)
            means = [float(np.mean([r.value for r in here if r.seed == seed])) for seed in seeds]
            estimate = estimate_of(means)
            if estimate is None:
                return None
            low, high = estimate.interval(1 - _LEVEL)
            place = {"series": names.said(lines, line), "value": names.values(along)[value]}
            rows.append(
                {**place, "mean": estimate.mean, "low": low, "high": high, "seeds": len(means)}
            )
    return pd.DataFrame(rows) if len(others) == 1 else None


def _plot(data: pd.DataFrame, along: str, lines: str, names: Names, figure: Figure) -> Plot:
    head = names.head(along)
    return Plot(
        f"effects_{along}_by_{lines}".replace(".", "_"),
        f"{figure.label} by {head} and {names.head(lines)}",
        data,
        lambda data, canvas: _draw(data, canvas, head, figure.label),
        aspect=aspect_with(data["series"].nunique()),
        notes=(
            "Parallel lines: the gains add up.",
            f"Bars: {100 * _LEVEL:g} % t interval of each mean over seeds, which is wider than "
            "that of their paired difference.",
            *cut_note(pd.concat([data["low"], data["high"]])),
        ),
    )


def _draw(data: pd.DataFrame, canvas: Canvas, head: str, label: str) -> None:
    axes = canvas.subplots()
    values = list(dict.fromkeys(data["value"]))
    styles = looks(list(data["series"]))
    for number, (name, rows) in enumerate(data.groupby("series", sort=False)):
        style = styles[str(name)]
        apart = _APART * (number - (len(styles) - 1) / 2)
        x = [values.index(value) + apart for value in rows["value"]]
        errors = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        axes.errorbar(
            x,
            rows["mean"],
            yerr=errors,
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
            elinewidth=0.7,
        )
    axes.set_xticks(range(len(values)), values)
    axes.set_xlim(-0.25, len(values) - 0.75)
    axes.grid(axis="x", visible=False)
    if all(map(is_number, values)) or len(values) > 2:
        axes.set_xlabel(head)
    axes.set_ylabel(label)
    honest(axes)
    last = data[data["value"] == values[-1]]
    right = len(values) - 1 + _APART * (len(styles) - 1) / 2  # beyond the last line's marker, too
    ends = {str(r["series"]): (right, float(r["mean"])) for _, r in last.iterrows()}
    name_lines(canvas, axes, styles, ends)
