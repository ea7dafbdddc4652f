"""The look that all plots share, and how a plot is saved.

Widths are those of the papers, so that a plot is included at 100 % and its letters keep their
size; they are STIX, which goes with Times, unless another font is asked for.  Series differ by
marker and line style as well as by colour, and the colours differ in lightness, so a plot survives
a grey printer.
"""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.text import Text

from core.errors import UserError
from core.files import write_atomic
from reports.tables.symbols import mathtext

WIDTHS = {"column": 3.25, "text": 5.5}
"""Inches: a column of CVPR, the text of NeurIPS."""

STIX = "STIXGeneral"
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
    "font.size": 8,
    "mathtext.fontset": "stix",
    "text.parse_math": False,  # a dollar in a label is a dollar, but for symbols
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
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
        further: whether it answers no question of the grid and comes after those that do.
        notes: what a reader must know: sizes, devices, what was left out.
    """

    name: str
    title: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame, Figure], None]
    aspect: float = 0.72
    notes: tuple[str, ...] = ()
    inches: float = 0.0
    further: bool = False


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


def styled(font: str = STIX) -> AbstractContextManager[None]:
    """The settings above, for as long as a plot is drawn and saved."""
    return mpl.rc_context({**_SETTINGS, "font.family": [font, "DejaVu Sans"]})


def check_font(font: str) -> None:
    """Refuse a font that is not installed.

    Raises:
        UserError: naming it, and those that are close.
    """
    known = sorted(set(get_font_names()))
    if font not in known:
        close = difflib.get_close_matches(font, known, n=5) or known[:20]
        raise UserError(f"no font {font!r} is installed; such as: {', '.join(close)}")


def cut_note(*values: pd.Series, margin: float = 0.05) -> tuple[str, ...]:
    """What the stroke of :func:`honest` means, where it cuts the axis of any of ``values``.

    Args:
        values: what is drawn along an axis, each.
        margin: of the axis beyond them, as a share of their span.
    """
    for drawn in values:
        low, high = float(drawn.min()), float(drawn.max())
        apart = margin * (high - low)
        if _spanning(low - apart, high + apart)[0] > 0:
            return ("A stroke through an axis: it does not begin at zero.",)
    return ()


def _spanning(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis that spans a fifth of its values at least."""
    missing = max(0.2 * abs(low + high) / 2 - (high - low), 0)
    return low - missing / 2, high + missing / 2


def honest(axes: Axes, *, x: bool = False) -> None:
    """Keep a small difference small: an axis spans a fifth of its values at least, and where it
    leaves zero out it is marked as cut (:func:`cut_note`).  Call it when everything is drawn.

    Args:
        x: whether that goes for the horizontal axis, too.
    """
    for name in ("y", "x") if x else ("y",):
        low, high = sorted(getattr(axes, f"get_{name}lim")())
        if getattr(axes, f"get_{name}scale")() != "linear" or low * high < 0:
            continue
        if (wide := _spanning(low, high)) != (low, high):
            low, high = wide
            getattr(axes, f"set_{name}lim")(low, high)
        if low > 0:
            place = (0, 0.035) if name == "y" else (0.03, 0)
            axes.plot(
                *([value] for value in place),
                transform=axes.transAxes,
                clip_on=False,
                linestyle="none",
                marker=((-1, -0.6), (1, 0.6)) if name == "y" else ((-0.6, -1), (0.6, 1)),
                color=INK,
                markersize=6,
                markeredgewidth=0.7,
                zorder=5,
            )


def draw(plot: Plot, width: float) -> Figure:
    """The plot as a figure of ``width`` inches; call inside :func:`styled`."""
    figure = Figure(figsize=(width, max(width * plot.aspect, plot.inches)))
    FigureCanvasAgg(figure)
    plot.draw(plot.data, figure)
    for text in figure.findobj(Text):
        if (symbols := mathtext(text.get_text())) is not None:
            text.set_parse_math(True)
            text.set_text(symbols)
    return figure


def save(
    plot: Plot, folder: Path, font: str = STIX, kinds: Sequence[str] = ("pdf", "png")
) -> list[Path]:
    """Write the data as CSV, the plot as PDF at every width of :data:`WIDTHS`, and as the other
    ``kinds``, which are scaled where they are shown, at that of the text."""
    paths = [folder / f"{plot.name}.csv"]
    write_atomic(paths[0], plot.data.to_csv(index=False))
    with styled(font):
        for label, width in WIDTHS.items():
            figure = draw(plot, width)
            for kind in kinds if label == "text" else ("pdf",):
                paths.append(folder / f"{plot.name}_{label}.{kind}")
                write_atomic(paths[-1], _bytes(figure, kind))
                figure.set_layout_engine("none")  # the layout of the first one holds
    return paths


def svg(plot: Plot) -> str:
    """The plot as an SVG element whose letters are text, for a page, which has its own font; as
    wide as a column, so that it is read on a telephone, too."""
    with styled("DejaVu Sans"):
        text = _bytes(draw(plot, WIDTHS["column"]), "svg").decode()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)


def png(plot: Plot) -> bytes:
    """The plot as a PNG, for where SVG cannot be shown."""
    with styled():
        return _bytes(draw(plot, WIDTHS["text"]), "png")


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # without a date, the same data gives the same file
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    transparent = kind == "svg"
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata, transparent=transparent)
    return buffer.getvalue()
