"""The grid and its protocol inside the page: what was varied, what was not, how it was measured."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from benchmarks.measurements import MEASUREMENTS, NAMES
from reports.frame.cells import frame_cells
from reports.frame.collect import flat_columns
from reports.frame.protocol import common_protocol, differs_between, measured, show_value
from reports.frame.runs import GridRuns
from reports.html import Markup, field_list, join, scrolled, tag
from reports.renderers.html import text_html
from reports.tables.labels import Names, field_value
from reports.tables.notes import describe_differences

_MANY = 20


def switch_list(values: Mapping[str, object]) -> Markup:
    """As :func:`reports.html.field_list`; many of them in several columns."""
    return field_list(values, "fields many" if len(values) > _MANY else "fields")


def grid_section(grid: GridRuns, frame: pd.DataFrame, names: Names) -> Markup:
    """Axes, the switches of each cell, and the switches that all of them share."""
    manifest = grid.manifest
    axes = {axis: ", ".join(labels) for axis, labels in manifest.axes.items()}
    seeds = list(dict.fromkeys(run.seed for run in grid.runs))
    axes |= {"Seeds": ", ".join(map(str, seeds)), "Measured": ", ".join(manifest.measure)}
    return join([switch_list(axes), _switches(grid, frame, names)])


def _switches(grid: GridRuns, frame: pd.DataFrame, names: Names) -> Markup:
    switches = list(dict.fromkeys(k for run in grid.runs for k in flat_columns(run.config or {})))
    shown = {k: frame[k].map(show_value) for k in switches if k in frame and k != "seed"}
    varied = [name for name, values in shown.items() if values.nunique() > 1]
    shared = {name: values.iloc[0] for name, values in shown.items() if name not in varied}
    rows = [
        tag(
            "tr",
            tag("th", text_html(names.cell(cell)), scope="row"),
            *(tag("td", field_value(cell, name)) for name in varied),
            data_cell=cell.name,
        )
        for cell in frame_cells(frame)
    ]
    head = [tag("th", "Cell"), *(tag("th", name, class_="code") for name in varied)]
    common = tag("details", tag("summary", f"{len(shared)} shared switches"), switch_list(shared))
    title = "Switches that differ"
    return join([tag("h3", title), scrolled(head, rows, title), common])


def protocol_section(frame: pd.DataFrame, called: Mapping[str, str]) -> Markup:
    """How each kind of figure was measured, and where cells were not measured alike."""
    blocks = [_protocol(frame, kind, called) for kind in NAMES if not measured(frame, kind).empty]
    if not blocks:
        return tag("p", "Nothing has been measured yet.")
    return tag("div", *blocks, class_="blocks")


def _protocol(frame: pd.DataFrame, kind: str, called: Mapping[str, str]) -> Markup:
    parts = [tag("h3", MEASUREMENTS[kind].title)]
    common = common_protocol(frame, kind)
    parts.append(switch_list({k.replace("_", " "): show_value(v) for k, v in common.items()}))
    varied, unexplained = differs_between(frame, kind)
    if varied:
        said = f"Varies with the cells: {describe_differences(varied, called)}."
        parts.append(tag("p", text_html(said)))
    if unexplained:
        said = f"Not measured alike: {describe_differences(unexplained, called)}."
        parts.append(tag("p", text_html(said), class_="warning"))
    return tag("div", *parts)
