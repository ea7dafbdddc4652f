"""The legend above a plot, where it can hide no mark, and names beside points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import Bbox, ScaledTranslation

from reports.plots.style import FAINT, INK, SeriesLook

MOST_SERIES = 8
"""More of them no legend can tell apart."""

_LETTERS = 62  # that fit into three inches beside the handles
_AROUND = [
    (x, y, {-1: "right", 0: "center", 1: "left"}[x], {-1: "top", 0: "center", 1: "bottom"}[y])
    for x, y in ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
]


def aspect_with(series: int) -> float:
    """Height by width of a plot that leaves its axes room below a legend of so many series."""
    return 0.72 + 0.04 * max(series - 4, 0)


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


def name_lines(
    figure: Figure,
    axes: Axes,
    styles: Mapping[str, SeriesLook],
    ends: Mapping[str, tuple[float, float]],
) -> None:
    """The name of each of a few series at its right end where all fit, else a legend above.

    Args:
        ends: series to the last point of its line, in the units of the axes.
    """
    if len(styles) < 2:
        return
    low, high = axes.get_ylim()
    height = 0.6 * 72 * float(figure.get_size_inches()[1])
    room = 0.38 * 72 * float(figure.get_size_inches()[0])
    if len(styles) > 4 or len(styles) * 8 > height or max(map(len, styles)) * 3.6 > room:
        legend_above(figure, styles)
        return
    at = {name: (y - low) / (high - low) * height for name, (_, y) in ends.items()}
    placed = _apart(at, 8, height)
    for name, (x, y) in ends.items():
        look, up = styles[name], placed[name] - at[name]
        beside = ScaledTranslation(9 / 72, up / 72, figure.dpi_scale_trans)
        mark = Line2D([x], [y], color=look.colour, marker=look.marker, markersize=3.5)
        mark.set(transform=axes.transData + beside, clip_on=False)
        axes.add_artist(mark)  # whose name it is, where lines end close together
        axes.annotate(
            name,
            (x, y),
            (14, up),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=INK,
            annotation_clip=False,
        )


def _apart(at: Mapping[str, float], gap: float, height: float) -> dict[str, float]:
    """Places moved as little as it takes that they are ``gap`` apart and inside ``height``."""
    placed: dict[str, float] = {}
    last = -gap
    for name in sorted(at, key=at.__getitem__):
        last = placed[name] = max(at[name], last + gap)
    over = max(last - height, 0)
    return {name: place - over for name, place in placed.items()}


def patches_above(figure: Figure, styles: Mapping[str, SeriesLook]) -> None:
    """As :func:`legend_above`, for bars."""
    handles = [Patch(facecolor=s.colour, hatch=s.hatch, edgecolor="white") for s in styles.values()]
    _place(figure, handles, list(styles))


def label_points(figure: Figure, axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write each text beside its point where it covers no other, or leave it out; call it last.

    Args:
        points: x and y in the units of the axes, and the text.
    """
    figure.draw_without_rendering()  # settles the layout
    room = axes.get_window_extent()
    pixel = figure.dpi / 72
    taken = [
        Bbox.from_bounds(x - 3 * pixel, y - 3 * pixel, 6 * pixel, 6 * pixel)
        for line in axes.lines
        if line.get_marker() not in ("None", "none", None, "")
        for x, y in axes.transData.transform(line.get_xydata())
    ]
    named: list[Bbox] = []
    for x, y, text in points:
        tried = []
        for far, (right, up, ha, va) in product((4, 13, 24), _AROUND):
            note = axes.annotate(
                text,
                (x, y),
                (far * right, far * up),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=6,
                color=INK,
                arrowprops={"arrowstyle": "-", "lw": 0.4, "color": FAINT} if far > 4 else None,
            )
            note.set_in_layout(False)
            note.get_window_extent()  # settles where it stands; the next leaves out its line
            box = Text.get_window_extent(note)
            outside = box.width * box.height - _common(box, room)
            covered = outside + sum(_common(box, other) for other in named)
            marks = sum(_common(box, other) for other in taken)
            tried.append(((covered, marks + far), note, box))
        best = min(tried, key=lambda attempt: attempt[0])
        for attempt in tried:
            if attempt is not best or attempt[0][0] > 0.02 * best[2].width * best[2].height:
                attempt[1].remove()  # a name that would cover another one is left out
        named.append(best[2])


def _common(a: Bbox, b: Bbox) -> float:
    both = Bbox.intersection(a, b)
    return 0.0 if both is None else float(both.width * both.height)


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
