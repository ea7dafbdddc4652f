"""The legend above a plot, where it can hide no mark."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.plots.style import INK, SeriesLook

_LETTERS = 62  # that fit into three inches beside the handles


def legend_above(figure: Figure, styles: Mapping[str, SeriesLook], *, lines: bool = True) -> None:
    """Name the series; nothing where there is one alone.

    Args:
        styles: series to its look.
        lines: whether the series are drawn as lines or as marks alone.
    """
    handles = [
        Line2D([], [], color=s.colour, marker=s.marker, linestyle=s.line if lines else "none")
        for s in styles.values()
    ]
    _place(figure, handles, list(styles))


def patches_above(figure: Figure, styles: Mapping[str, SeriesLook]) -> None:
    """As :func:`legend_above`, for bars."""
    handles = [Patch(facecolor=s.colour, hatch=s.hatch, edgecolor="white") for s in styles.values()]
    _place(figure, handles, list(styles))


def _place(
    figure: Figure, handles: list[Artist] | list[Line2D] | list[Patch], names: list[str]
) -> None:
    if len(names) < 2:
        return
    longest = max(map(len, names)) + 8
    fitting = int(_LETTERS * float(figure.get_size_inches()[0]) / 3 // longest)
    figure.legend(
        handles=list(handles),
        labels=names,
        loc="outside upper left",
        ncols=max(1, min(fitting, len(names), 5)),
        columnspacing=1.2,
        labelcolor=INK,
    )
