"""Stacked bars, one a cell: what the AP is lost to, and where the multiply-adds go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import pandas as pd
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import FIGURES, GROUPS
from reports.frame.cells import CellRows
from reports.plots.legend import patches_above
from reports.plots.style import INK, Plot, looks

_MODULE = "flops.by_module."
_PARTS = {"box_head": "box heads", "mask_head": "mask head", "roi_align": "RoIAlign"}
_LOST = (
    "Each part: the AP that is gained if the errors of this kind alone were mended, mean over the "
    "seeds. The parts do not add up to what is missing, since an error hides others."
)
_STAGES = "The stages of the box head are added up; the CSV has each of them."


def lost(cells: Sequence[CellRows], labels: Mapping[str, str]) -> Plot | None:
    """AP lost to each kind of error; None where none was measured.

    Args:
        labels: cell to what it is called in the plot.
    """
    rows = [row for cell in cells for row in _lost(cell, labels[cell.name])]
    title = "AP lost to each kind of error"
    return _plot("ap_lost", title, rows, cells, (_LOST, "these figures"), _draw_lost)


def modules(cells: Sequence[CellRows], labels: Mapping[str, str]) -> Plot | None:
    """Multiply-adds a frame by part of the model; None where none were counted.

    Args:
        labels: cell to what it is called in the plot.
    """
    rows = [row for cell in cells for row in _modules(cell, labels[cell.name])]
    title = "Multiply-adds a frame by module"
    said = (_STAGES, "a count")
    return _plot("flops_by_module", title, rows, cells, said, _draw_modules, further=True)


def _plot(
    name: str,
    title: str,
    rows: Sequence[Mapping[str, object]],
    cells: Sequence[CellRows],
    said: tuple[str, str],
    draw: Callable[[pd.DataFrame, Canvas], None],
    *,
    further: bool = False,
) -> Plot | None:
    """The plot of ``rows``, with the note and what cells without rows lack of ``said``."""
    if not rows:
        return None
    count = len({row["cell"] for row in rows})
    note, lacking = said
    notes = [note]
    if count < len(cells):
        notes.append(f"{len(cells) - count} of {len(cells)} cells lack {lacking} (see table).")
    return Plot(
        name,
        title,
        pd.DataFrame(rows),
        draw,
        aspect=min(0.3 + 0.06 * count, 1.3),
        inches=0.9 + 0.11 * count,
        notes=tuple(notes),
        further=further,
    )


def _lost(cell: CellRows, label: str) -> list[dict[str, object]]:
    if cell.mixed("errors"):
        return []
    scored = cell.values(FIGURES["AP"]).values()
    ap = fmean(scored) if scored else None
    found = {key: cell.values(FIGURES[key]) for key in GROUPS["lost"]}
    return [
        {
            "cell": cell.name,
            "label": label,
            "AP": ap,
            "kind": FIGURES[key].column.removeprefix("errors."),
            "AP lost": fmean(values.values()),
            "seeds": len(values),
        }
        for key, values in found.items()
        if values
    ]


def _modules(cell: CellRows, label: str) -> list[dict[str, object]]:
    if cell.mixed("flops"):
        return []
    counted = {c: cell.column(c) for c in cell.rows.columns if c.startswith(_MODULE)}
    parts = {column: re.sub(r"\.\d+$", "", column.removeprefix(_MODULE)) for column in counted}
    return [
        {
            "cell": cell.name,
            "label": label,
            "module": column.removeprefix(_MODULE),
            "part": _PARTS.get(parts[column], parts[column]),
            "multiply-adds (G)": float(str(values[0])) * 1e-9,
        }
        for column, values in counted.items()
        if values
    ]


def _draw_lost(data: pd.DataFrame, canvas: Canvas) -> None:
    table = data.pivot_table(index="cell", columns="kind", values="AP lost", sort=False)
    table = table.loc[:, table.max() >= 0.05]  # what no bar could show needs no name
    scored = data.drop_duplicates("cell")["AP"]
    ends = ["" if pd.isna(ap) else f"AP {ap:.1f}" for ap in scored]
    _bars(canvas, table, data, ends, "points of AP")


def _draw_modules(data: pd.DataFrame, canvas: Canvas) -> None:
    table = data.pivot_table(
        index="cell", columns="part", values="multiply-adds (G)", aggfunc="sum", sort=False
    )
    unit = "G"
    if table.sum(axis=1).max() < 1:
        table, unit = table * 1000, "M"
    totals = table.sum(axis=1)
    digits = 1 if totals.max() >= 10 else 2
    ends = [f"{total:.{digits}f}" for total in totals]
    _bars(canvas, table, data, ends, f"multiply-adds a frame ({unit})")


def _bars(
    canvas: Canvas, table: pd.DataFrame, data: pd.DataFrame, ends: Sequence[str], unit: str
) -> None:
    """A bar a row of ``table``, from above, a part a column; ``ends`` stand behind them."""
    axes = canvas.subplots()
    places = range(len(table))[::-1]
    styles = looks(list(table.columns))
    left = pd.Series(0.0, index=table.index)
    for part in table.columns:
        style, width = styles[str(part)], table[part].fillna(0)
        axes.barh(
            places,
            width,
            left=left,
            height=0.62,
            facecolor=style.colour,
            edgecolor="white",
            hatch=style.hatch,
            linewidth=0.4,
        )
        left = left + width
    for place, total, end in zip(places, left, ends, strict=True):
        axes.text(total, place, f" {end}", va="center", fontsize=6.5, color=INK)
    labels = data.drop_duplicates("cell").set_index("cell")["label"]
    axes.set_yticks(places, [labels[cell] for cell in table.index])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlim(0, (float(left.max()) or 1.0) * 1.18)
    axes.set_xlabel(unit)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    patches_above(canvas, styles)
