"""The page: one HTML file that needs nothing else, to be sent to a colleague."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from reports.frame.cells import frame_cells
from reports.frame.protocol import common_protocol, show_value
from reports.frame.runs import GridRuns
from reports.html import Markup, choice, document, field_list, join, made_now, tag
from reports.made import Made
from reports.page.clips import clip_figures
from reports.page.grid import grid_section, protocol_section
from reports.page.media import Clips
from reports.page.plots import LARGEST_DATA, download
from reports.page.runs import failures_section, provenance_section, runs_section
from reports.plots.forest import FOREST
from reports.plots.style import Plot
from reports.renderers.formats import FORMATS
from reports.renderers.html import text_html, to_html
from reports.tables.labels import Names
from reports.tables.model import Table
from reports.tables.notes import ONE_SEED
from reports.tables.symbols import plain


def make_page(
    made: Made,
    figures: Sequence[tuple[Plot, Markup]],
    clips: Clips | None,
    comparisons: Markup | None = None,
) -> str:
    """The whole page.

    Args:
        figures: plots, each as :func:`reports.page.plots.plot_figure` draws it.
        clips: none: the page has no section of clips.
        comparisons: links to pages that compare two of its runs; none: there are none.
    """
    grid, frame, names, tables = made.grid, made.frame, made.names, made.tables
    forest = [drawn for plot, drawn in figures if plot.name == FOREST]
    first = [drawn for plot, drawn in figures if not plot.further and plot.name != FOREST]
    further = [drawn for plot, drawn in figures if plot.further]
    main = [_table(table) for table in tables if not table.appendix]
    picture = tag("div", *forest, class_="plots forest")
    open_ = {"Results": join([main[0], picture, *main[1:]])}
    if failures := failures_section(grid, names.by_cell):
        open_ = {"Failures": failures, **open_}
    if first:
        open_["Plots"] = tag("div", *first, class_="plots")
    folded: dict[str, Markup] = {}
    if clips is not None:
        folded["Clips"] = clip_figures(clips)
    if comparisons is not None:
        folded["Comparisons"] = comparisons
    folded["Further figures"] = join(_table(table) for table in tables if table.appendix)
    if further:
        folded["Further plots"] = tag("div", *further, class_="plots")
    folded |= {
        "Grid": grid_section(grid, frame, names),
        "Protocol": protocol_section(frame, names.by_cell),
        "Runs": join([runs_section(frame, grid.runs), _frame_download(frame)]),
        "Provenance": provenance_section(grid),
    }
    sections = [_section(name, content) for name, content in open_.items()]
    sections += [_folded(name, content) for name, content in folded.items()]
    items = [tag("li", tag("a", name, href=f"#{_id(name)}")) for name in (*open_, *folded)]
    body = [
        tag("a", "Skip to the results", href="#results", class_="skip"),
        _header(made),
        tag("nav", tag("ul", *items), aria_label="Sections"),
        tag("main", _filters(grid, names), *sections),
    ]
    said = " from the run folders alone; figures are rounded, the CSV is not."
    return document(f"{grid.name}: report", join([*body, made_now(said)]))


def _section(name: str, content: Markup) -> Markup:
    return tag("section", tag("h2", name), content, id=_id(name))


def _folded(name: str, content: Markup) -> Markup:
    return tag(
        "section",
        tag("details", tag("summary", tag("h2", name)), content, class_="fold"),
        id=_id(name),
    )


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")


def _filters(grid: GridRuns, names: Names) -> Markup | None:
    """A choice an axis, by which the script shows and hides rows; hidden without a script."""
    axes = {axis: values for axis in names.axes if len(values := names.values(axis)) > 1}
    if len(grid.runs) < 2 or not axes:
        return None
    choices = [_choice(axis, plain(names.head(axis)), values) for axis, values in axes.items()]
    states = {run.state: run.state for run in grid.runs}
    if len(states) > 1:
        choices.append(_choice("run.state", "State", states))
    cells = {run.cell: dict(run.axes) for run in grid.runs}
    data = Markup(json.dumps(cells).replace("<", "\\u003c"))
    known = tag("script", data, type="application/json", id="cells")
    count = tag("output", role="status")
    return tag("form", *choices, count, known, class_="filters", hidden=True, aria_label="Rows")


def _choice(axis: str, head: str, values: Mapping[str, str]) -> Markup:
    said = {value: plain(text) for value, text in values.items()}
    return tag("label", f"{head} ", choice("all", said, data_axis=axis))


def _header(made: Made) -> Markup:
    grid, frame = made.grid, made.frame
    cells = frame_cells(frame)
    states = Counter(run.state for run in grid.runs)
    seeds = Counter(cell.planned for cell in cells).most_common(1)[0][0]
    facts = {
        "Cells": f"{len(cells)} × {seeds} {'seed' if seeds == 1 else 'seeds'}",
        "Runs": ", ".join(f"{count} {state}" for state, count in states.most_common()),
        "Scored on": _scored_on(frame),
    }
    if "fps" in grid.manifest.measure:
        device = common_protocol(frame, "fps").get("device", "nothing yet, or several devices")
        facts["Timed on"] = show_value(device)
    facts["Launched"] = grid.manifest.created.replace("T", " ").partition("+")[0]
    warnings = [ONE_SEED] if seeds == 1 else []
    failed = sum(count for state, count in states.items() if state in ("failed", "blocked"))
    if failed:
        warnings.append(f"{failed} of {len(grid.runs)} runs failed or wait for one that did.")
    return tag(
        "header",
        tag("p", tag("b", grid.name), " · ablation report", class_="kind"),
        tag("h1", *_result(made)),
        tag("p", grid.manifest.description, class_="lead"),
        field_list(facts, "facts"),
        *(tag("p", said, class_="warning") for said in warnings),
    )


def _result(made: Made) -> list[object]:
    """The result as the page's heading; where there is none, the grid's name."""
    said = [text_html(table.result) for table in made.tables if table.result]
    return [tag("span", text, class_="result") for text in said] or [made.grid.name]


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
