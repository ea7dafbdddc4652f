"""Every cell's difference to the baseline with its interval, by which its verdict is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure as Canvas

from reports.plots.style import COLOURS, FAINT, GRID, INK, Plot
from reports.tables.labels import Names, is_number
from reports.tables.model import Row, Table

FOREST = "differences"
_MARKS = {
    "better": (COLOURS[3], "o", "full"),
    "worse": (COLOURS[1], "s", "full"),
    "no different": (INK, "D", "none"),
    "undecided": (FAINT, "o", "none"),
}
"""Verdict to colour, marker and filling, which tell it without colour too."""
_MANY = 40


def forest(table: Table, names: Names, delta: float) -> Plot | None:
    """A row a cell with a verdict, in the order of ``table``; None where none has one.

    Args:
        table: with a column of verdicts.
        names: what cells are called.
        delta: differences up to this size are of no interest; shown as a band.
    """
    columns = [place for place, c in enumerate(table.columns) if c.part == "verdict"]
    ours = [group for group in table.groups if not group[0].published]
    grouped = all(len({row.labels[0] for row in group}) == 1 for group in ours) and len(ours) > 1
    rows = [
        {
            "cell": row.cell,
            "name": _within(table, row) if grouped else names.by_cell[row.cell],
            "group": f"{table.fields[0]} {row.labels[0].text}" if grouped else "",
            "difference": verdict.mean,
            "low": verdict.low,
            "high": verdict.high,
            "verdict": verdict.kind,
            "seeds": verdict.seeds,
        }
        for row in table.rows
        for place in columns[:1]
        if row.cell in names.by_cell and (verdict := row.entries[place].verdict) is not None
    ]
    if not rows:
        return None
    label = table.columns[columns[0]].figure.label
    head = f"difference in {label} to the baseline"
    return Plot(
        FOREST,
        f"{head[0].upper()}{head[1:]}",
        pd.DataFrame(rows),
        lambda data, canvas: _draw(data, canvas, head, delta),
        aspect=0.3,
        inches=0.75 + (0.115 if len(rows) > _MANY else 0.17) * _lines(rows),
        notes=(
            f"Corrected intervals, from which the verdicts follow. Band: ±{delta:g} {label}.",
            "Filled: told from the baseline; diamond: no different; hollow: undecided.",
        ),
    )


def _within(table: Table, row: Row) -> str:
    """The row's name without its group; a number has its label's head before it."""
    pairs = zip(table.fields[1:], row.labels[1:], strict=True)
    return ", ".join(f"{h} {la.text}" if is_number(la.text) else la.text for h, la in pairs)


def _lines(rows: Sequence[Mapping[str, object]]) -> int:
    """Rows and the headings of their groups."""
    groups = {row["group"] for row in rows} - {""}
    return len(rows) + len(groups)


def _draw(data: pd.DataFrame, canvas: Canvas, head: str, delta: float) -> None:
    axes = canvas.subplots()
    labels: list[str] = []
    axes.axvspan(-delta, delta, color=GRID, alpha=0.5, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.6)
    for _, row in data.iterrows():
        if row["group"] and row["group"] not in labels:
            labels.append(str(row["group"]))
        place = len(labels)
        labels.append(str(row["name"]))
        colour, marker, fill = _MARKS[row["verdict"]]
        axes.hlines(place, row["low"], row["high"], color=colour, linewidth=1.2)
        axes.plot(row["difference"], place, marker, color=colour, fillstyle=fill, markersize=5)
    axes.set_yticks(range(len(labels)))
    for text, label in zip(axes.set_yticklabels(labels), labels, strict=True):
        text.set_fontsize(6 if len(data) > _MANY else 7)
        text.set_fontweight("bold" if label in set(data["group"]) else "normal")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(head)
