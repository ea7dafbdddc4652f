"""The look that all plots share, and how a plot is saved.

Widths are those of the papers, so that a plot is included at 100 % and its letters keep their
size.  Series differ by marker and line style as well as by colour, and the colours differ in
lightness, so a plot survives a grey printer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from core.files import write_atomic

WIDTHS = {"column": 3.25, "text": 5.5}
"""Inches: a column of CVPR, the text of NeurIPS."""

DPI = 300
INK = "#1a1a1a"
FAINT = "#8c8c8c"
GRID = "#d9d9d9"


@dataclass(frozen=True)
class SeriesLook:
    """How one series is drawn."""

    colour: str
    marker: str
    line: Any
    hatch: str


COLOURS = ("#0b3c5d", "#c43b4e", "#eab64d", "#4fa79a", "#5b3a8c", "#9aa5b1", "#5b2333", "#1f77b4")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
_HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++", "oo")

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "text.parse_math": False,  # a dollar in a label is a dollar
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "tevit",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}


@dataclass(frozen=True)
class Plot:
    """A plot that can be drawn at any width.

    Attributes:
        name: stem of its files.
        title: what it shows, for captions; nothing is printed inside the plot.
        data: what is drawn, one row a mark, saved beside it.
        draw: ``draw(data, figure)`` fills a figure of the right width.
        aspect: height by width.
        inches: least height, such as many rows need at any width.
        notes: what a reader must know: sizes, devices, what was left out.
    """

    name: str
    title: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame, Figure], None]
    aspect: float = 0.72
    notes: tuple[str, ...] = ()
    inches: float = 0.0


def look(index: int) -> SeriesLook:
    """The look of series number ``index``; after eight the pairs change."""
    return SeriesLook(
        COLOURS[index % len(COLOURS)],
        _MARKERS[(index + index // len(COLOURS)) % len(_MARKERS)],
        _LINES[index % len(_LINES)],
        _HATCHES[index % len(_HATCHES)],
    )


def looks(names: Sequence[str]) -> dict[str, SeriesLook]:
    """A look a name, in the order of first appearance."""
    return {name: look(index) for index, name in enumerate(dict.fromkeys(names))}


def styled() -> AbstractContextManager[None]:
    """The settings above, for as long as a plot is drawn and saved."""
    return mpl.rc_context(_SETTINGS)


def draw(plot: Plot, width: float) -> Figure:
    """The plot as a figure of ``width`` inches; call inside :func:`styled`."""
    figure = Figure(figsize=(width, max(width * plot.aspect, plot.inches)))
    FigureCanvasAgg(figure)
    plot.draw(plot.data, figure)
    return figure


def save(plot: Plot, folder: Path) -> list[Path]:
    """Write the data as CSV and the plot as PDF and PNG at every width of :data:`WIDTHS`."""
    paths = [folder / f"{plot.name}.csv"]
    write_atomic(paths[0], plot.data.to_csv(index=False))
    with styled():
        for label, width in WIDTHS.items():
            figure = draw(plot, width)
            for kind in ("pdf", "png"):
                paths.append(folder / f"{plot.name}_{label}.{kind}")
                write_atomic(paths[-1], _bytes(figure, kind))
                figure.set_layout_engine("none")  # the layout of the first one holds
    return paths


def svg(plot: Plot, width: float = WIDTHS["text"]) -> str:
    """The plot as an SVG element whose letters are text, for a page."""
    with styled():
        text = _bytes(draw(plot, width), "svg").decode()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # without a date, the same data gives the same file
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    transparent = kind == "svg"
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata, transparent=transparent)
    return buffer.getvalue()
