"""How a figure is printed, apart from the markup of Markdown, LaTeX or HTML."""

from __future__ import annotations

from dataclasses import dataclass

from reports.frame.statistics import Difference
from reports.tables.model import Column, Entry, Row

MINUS = "−"


@dataclass(frozen=True)
class Pieces:
    """The parts of an entry, for a renderer to set.

    Attributes:
        main: the figure, or the words that stand in its place.
        spread: standard deviation over seeds, or the interval of a difference; may be empty.
        kind: what ``spread`` is.
        words: whether ``main`` is words.
        n: said where it is not the row's number of seeds; may be empty.
    """

    main: str
    spread: str = ""
    kind: str = "std"
    words: bool = False
    n: str = ""


def number(value: float, decimals: int, *, sign: bool = False) -> str:
    """``value`` rounded, with a true minus; ``-0.0`` is ``0.0``.

    Example:
        >>> number(-1.25, 1, sign=True), number(0.0, 1, sign=True)
        ('−1.2', '0.0')
    """
    text = f"{abs(value):,.{decimals}f}".replace(",", "\u2009" if abs(value) >= 10_000 else "")
    if not float(f"{value:.{decimals}f}"):
        return text
    return f"{MINUS}{text}" if value < 0 else f"+{text}" if sign else text


def pieces(entry: Entry, column: Column, row: Row) -> Pieces:
    """The parts of what ``entry`` says."""
    if entry.text is not None:
        return Pieces(entry.text, words=True)
    if entry.difference is not None:
        return _difference(entry.difference, column.decimals, row)
    if entry.mixed:
        shown = [number(value, column.decimals) for value in entry.values.values()]
        return Pieces(" / ".join(shown) or "mixed", words=not shown)
    summary = entry.summary
    if summary is None:
        return Pieces("", words=True)
    if row.published:
        return Pieces(_as_published(summary.mean, column.decimals))
    main = number(summary.mean, column.decimals)
    figure = column.figure
    n = "" if figure.exact else _seeds_unlike(row, summary.n)
    if summary.std is None or not figure.spread or (figure.exact and summary.std == 0):
        return Pieces(main, n=n)
    return Pieces(main, number(summary.std, column.decimals), n=n)


def _as_published(value: float, decimals: int) -> str:
    """No more digits than the source gives."""
    given = len(str(value).partition(".")[2])
    return number(value, min(decimals, given))


def _seeds_unlike(row: Row, n: int) -> str:
    """``n`` where it is not the number of finished seeds that the row gives."""
    several_cells = "," in row.seeds
    return "" if several_cells or row.seeds.partition("/")[0] == str(n) else f"n={n}"


def _difference(difference: Difference, decimals: int, row: Row) -> Pieces:
    main = number(difference.mean, decimals, sign=True)
    n = "" if row.seeds == str(difference.n) else f"n={difference.n}"
    if difference.low is None or difference.high is None:
        return Pieces(main, kind="interval", n=n)
    low, high = (number(v, decimals, sign=True) for v in (difference.low, difference.high))
    return Pieces(main, f"[{low}, {high}]", "interval", n=n)
