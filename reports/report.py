"""Everything that a grid's report consists of, written to a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablations.table_spec import TableError
from benchmarks.machine.fork_map import fork_map, usable_workers
from core.errors import UserError
from core.files import check_writable, write_atomic
from launch.records.store import Store
from reports.compare.links import comparison_links
from reports.frame.collect import save_frame
from reports.frame.dictionary import dictionary
from reports.frame.model_index import model_index
from reports.html import Markup
from reports.made import make
from reports.page.media import make_clips
from reports.page.page import make_page
from reports.page.plots import plot_figure
from reports.paper.write import write_paper
from reports.plots.style import STIX, Plot, check_font, save
from reports.renderers.formats import FORMATS, USUAL
from reports.renderers.latex import preview
from reports.tables.model import Table


@dataclass
class Report:
    """What was written.

    Attributes:
        tables: as built, whatever the formats.
        files: every file, in the order of writing.
        page: the HTML page; none if it was not asked for.
        paper: the folder of what a submission needs; none if it was not asked for.
        notes: what the user should know, such as what could not be written.
    """

    folder: Path
    tables: list[Table] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    page: Path | None = None
    paper: Path | None = None
    notes: list[str] = field(default_factory=list)

    def places(self) -> dict[str, Path]:
        """Where to look, in words."""
        plots = self.folder / "plots"
        found = {"Data": self.folder / "runs.csv", "Tables": self.folder / "tables"}
        if any(plots in path.parents for path in self.files):
            found["Plots"] = plots
        found |= {"Page": self.page} if self.page else {}
        return found | ({"Paper": self.paper / "main.tex"} if self.paper else {})


def make_report(
    store: Store,
    name: str,
    *,
    out: Path | None = None,
    formats: Sequence[str] = USUAL,
    table_file: Path | None = None,
    plots: bool = True,
    page: bool = True,
    clips: bool = True,
    videos: Sequence[str] | None = None,
    font: str = STIX,
    paper: Path | None = None,
    show: Callable[[Table], object] | None = None,
) -> Report:
    """Read the runs of grid ``name`` and write data, tables, plots and page.

    Files of an earlier report are replaced, each as a whole; others are left alone.

    Args:
        out: folder to write to; none: ``<store>/reports/<name>``.
        formats: of the tables, keys of :data:`reports.renderers.formats.FORMATS`.
        table_file: table specification; none: the grid's own, or one made from its axes.
        clips: whether the page shows clips of masks.
        videos: names or ids of the videos to show; none: a few spread over those scored.
        font: of the plots, as it is installed.
        paper: folder for what a submission needs; none: it is not written.
        show: called with each table but the appendix as soon as it is built, before the slower
            parts.

    Raises:
        UserError: the grid was not launched, or a format, field, figure or video is unknown.
    """
    check_formats(formats)
    check_font(font)
    made = make(store, name, table_file)
    grid, frame, names = made.grid, made.frame, made.names
    report = Report(out or store.root / "reports" / name, list(made.tables))
    check_writable(report.folder, folder=True)
    if show is not None:
        for table in report.tables:
            if not table.appendix:
                show(table)
    drawn = made.plots() if plots else []
    shown = make_clips(grid.runs, names.by_cell, videos) if page and clips else None

    files, note = save_frame(frame, report.folder / "runs")
    report.files += files
    others = {
        "columns.csv": dictionary(frame).to_csv(index=False),
        "results.json": json.dumps(model_index(name, frame), indent=1) + "\n",
    }
    for file, text in others.items():
        report.files.append(report.folder / file)
        write_atomic(report.files[-1], text)
    report.notes += [note] if note else []
    _write_tables(report, formats)

    def draw(plot: Plot) -> tuple[list[Path], Markup]:
        figure = plot_figure(plot) if page else Markup()
        return save(plot, report.folder / "plots", font), figure

    # each process draws some of them: drawing takes longest of all
    pictures = fork_map(draw, drawn, usable_workers())
    report.files += [path for files, _ in pictures for path in files]
    if page:
        report.page = report.folder / "index.html"
        links = comparison_links(store, grid, report.folder)
        figures = [(plot, figure) for plot, (_, figure) in zip(drawn, pictures, strict=True)]
        write_atomic(report.page, make_page(made, figures, shown, links))
        report.files.append(report.page)
        report.notes += [n for n in shown.notes if not shown.videos] if shown else []
    if paper is not None:
        of_paper = [plot for plot in drawn if not plot.further]
        try:
            report.files += write_paper(
                *(paper, made, of_paper),
                drawn=report.folder / "plots",
                siunitx="siunitx" in formats,
            )
            report.paper = paper
        except TableError as error:
            report.notes.append(f"no paper: {error}")
    return report


def check_formats(formats: Sequence[str]) -> None:
    """Refuse a table format that does not exist.

    Raises:
        UserError: naming it and the valid ones.
    """
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"unknown format {name!r}; valid formats: {', '.join(FORMATS)}")


def _write_tables(report: Report, formats: Sequence[str]) -> None:
    folder = report.folder / "tables"
    for kind in formats:
        for table in report.tables:
            try:
                text = FORMATS[kind].render(table)
            except TableError as error:
                report.notes.append(f"no {FORMATS[kind].title} of {error}")
                continue
            report.files.append(folder / f"{table.name}{FORMATS[kind].ending}")
            write_atomic(report.files[-1], text)
    written = [path.name for path in report.files if path.suffix == ".tex"]
    if written:
        report.files.append(folder / "preview.tex")
        write_atomic(report.files[-1], preview(written))
