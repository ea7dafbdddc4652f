"""The page: one HTML file that needs nothing else, to be sent to a colleague."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd

from reports.frame.cells import frame_cells
from reports.frame.protocol import common_protocol, show_value
from reports.frame.runs import GridRuns
from reports.html import Markup, document, join, tag
from reports.page.clips import clip_figures
from reports.page.grid import grid_section, protocol_section
from reports.page.media import Clips
from reports.page.plots import LARGEST_DATA, download, plot_figures
from reports.page.runs import failures_section, provenance_section, runs_section
from reports.plots.style import Plot
from reports.renderers.formats import FORMATS
from reports.renderers.html import to_html
from reports.tables.labels import Names
from reports.tables.model import Table
from reports.tables.notes import ONE_SEED


def make_page(
    grid: GridRuns,
    frame: pd.DataFrame,
    tables: Sequence[Table],
    plots: Sequence[Plot],
    clips: Clips | None,
    names: Names,
    comparisons: Markup | None = None,
) -> str:
    """The whole page.

    Args:
        frame: the collected runs, which the tables and plots were made from.
        clips: none: the page has no section of clips.
        names: what cells, axes and values are called.
        comparisons: links to pages that compare two of its runs; none: there are none.
    """
    sections: dict[str, Markup] = {"Results": join([_table(table) for table in tables])}
    if plots:
        sections["Plots"] = plot_figures(plots)
    if clips is not None:
        sections["Clips"] = clip_figures(clips)
    if comparisons is not None:
        sections["Comparisons"] = comparisons
    sections |= {
        "Grid": grid_section(grid, frame, names),
        "Protocol": protocol_section(frame),
        "Runs": join([runs_section(frame), _frame_download(frame)]),
        "Failures": failures_section(grid, names.by_cell),
        "Provenance": provenance_section(grid),
    }
    items = [tag("li", tag("a", name, href=f"#{name.lower()}")) for name in sections]
    body = [_header(grid, frame, tables), tag("nav", tag("ul", *items), aria_label="Sections")]
    body.append(tag("main", *(_section(name, content) for name, content in sections.items())))
    return document(f"{grid.name}: report", join([*body, _footer()]))


def _section(name: str, content: Markup) -> Markup:
    return tag("section", tag("h2", name), content, id=name.lower())


def _header(grid: GridRuns, frame: pd.DataFrame, tables: Sequence[Table]) -> Markup:
    cells = frame_cells(frame)
    states = Counter(run.state for run in grid.runs)
    seeds = Counter(cell.planned for cell in cells).most_common(1)[0][0]
    facts = {
        "Cells": f"{len(cells)} × {seeds} {'seed' if seeds == 1 else 'seeds'}",
        "Runs": ", ".join(f"{count} {state}" for state, count in states.most_common()),
        "Scored on": _scored_on(frame),
        "Timed on": show_value(common_protocol(frame, "fps").get("device", "several or none")),
        "Launched": grid.manifest.created.replace("T", " ").partition("+")[0],
    }
    items = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()]
    warning = tag("p", ONE_SEED, class_="warning") if seeds == 1 else None
    return tag(
        "header",
        tag("p", "Ablation report", class_="kind"),
        tag("h1", grid.name),
        *(tag("p", table.result, class_="result") for table in tables if table.result),
        tag("p", grid.manifest.description, class_="lead"),
        tag("dl", *items, class_="facts"),
        warning,
    )


def _scored_on(frame: pd.DataFrame) -> str:
    protocol = common_protocol(frame, "ap")
    parts = [show_value(protocol[name]) for name in ("data", "split") if name in protocol]
    if "videos" in protocol:
        parts.append(f"{show_value(protocol['videos'])} videos")
    return ", ".join(parts) or "nothing yet"


def _table(table: Table) -> Markup:
    links = [
        download(f"{table.name}{form.ending}", text, form.title)
        for name, form in FORMATS.items()
        if name != "html" and (text := form.written(table)) is not None
    ]
    return join([to_html(table), tag("p", *links, class_="downloads")])


def _frame_download(frame: pd.DataFrame) -> Markup:
    content = frame.to_csv(index=False)
    if len(content) > LARGEST_DATA:
        return tag("p", "All columns: runs.csv beside this page.", class_="downloads")
    link = download("runs.csv", content, "All columns (CSV)", "text/csv")
    return tag("p", link, class_="downloads")


def _footer() -> Markup:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"Made {made} from the run folders alone; figures are rounded, the CSV is not."
    return tag("footer", tag("p", text))
