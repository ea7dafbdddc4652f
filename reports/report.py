"""Everything that a grid's report consists of, written to a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ablations.table_spec import TableError, TableSpec, load_specs, parse_specs
from core.errors import UserError
from core.files import write_atomic
from launch.records.store import Store
from reports.compare.links import comparison_links
from reports.findings.find import find
from reports.frame.cells import frame_cells
from reports.frame.collect import collect, save_frame
from reports.frame.runs import GridRuns, read_runs
from reports.page.media import make_clips
from reports.page.page import make_page
from reports.paper.write import write_paper
from reports.plots.all import make_plots
from reports.plots.forest import forest
from reports.plots.style import STIX, Plot, check_font, save
from reports.renderers.formats import FORMATS, USUAL
from reports.renderers.latex import preview
from reports.tables.build import build_tables
from reports.tables.labels import names_for
from reports.tables.model import Table
from reports.tables.published import load_published


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
    grid = read_runs(store, name)
    specs = _specs(grid, table_file)
    frame = collect(grid)
    published = load_published()
    report = Report(out or store.root / "reports" / name)
    labels = {key: text for spec in specs for key, text in spec.labels.items()}
    findings = find(grid, frame, specs[0], _stem(name), labels)
    for spec in specs:
        report.tables += build_tables(
            frame, spec, published, name=_stem(name), limits=grid.manifest.seed_limits
        )
    report.tables[0] = replace(report.tables[0], result=findings.sentence)
    report.tables += findings.tables
    report.tables.sort(key=lambda table: table.appendix)
    if show is not None:
        for table in report.tables:
            if not table.appendix:
                show(table)
    names = names_for(frame_cells(frame), labels)
    drawn: list[Plot] = []
    if plots:
        limits = grid.manifest.seed_limits
        delta = limits.until if limits else specs[0].delta
        differences = forest(report.tables[0], names, delta)
        drawn = [*([differences] if differences else []), *make_plots(grid, frame, labels)]
    shown = make_clips(grid.runs, names.by_cell, videos) if page and clips else None

    files, note = save_frame(frame, report.folder / "runs")
    report.files += files
    report.notes += [note] if note else []
    _write_tables(report, formats)
    for plot in drawn:
        report.files += save(plot, report.folder / "plots", font)
    if page:
        report.page = report.folder / "index.html"
        links = comparison_links(store, grid, report.folder)
        write_atomic(report.page, make_page(grid, frame, report.tables, drawn, shown, names, links))
        report.files.append(report.page)
        report.notes += [n for n in shown.notes if not shown.videos] if shown else []
    if paper is not None:
        of_paper = [plot for plot in drawn if not plot.further]
        try:
            report.files += write_paper(
                *(paper, grid, frame, report.tables, of_paper),
                font=font,
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


def _specs(grid: GridRuns, table_file: Path | None) -> list[TableSpec]:
    if table_file is not None:
        return load_specs(table_file)
    return parse_specs(grid.manifest.table, grid.source) or [TableSpec()]


def _stem(name: str) -> str:
    """A grid's name as the stem of a file that LaTeX can ``\\input``."""
    return name.replace(".", "_")


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
