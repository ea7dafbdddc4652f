"""``tevit report`` and ``plot``: records to tables, plots and pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import GridName, Scale, StoreOption, a_folder

app = typer.Typer()


@app.command("report")
def report_grid(
    grid: GridName,
    store: StoreOption = None,
    scale: Scale = None,
    formats: Annotated[
        str, typer.Option("--format", help="of the tables, any of md,latex,siunitx,csv,html")
    ] = "md,latex,csv,html",
    out: Annotated[
        Path | None,
        typer.Option(help="folder to write to; default: STORE/reports/GRID", callback=a_folder),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="table specification (YAML) in place of the grid's own")
    ] = None,
    videos: Annotated[
        str | None, typer.Option(help="videos whose masks the page shows: names or ids, a,b,c")
    ] = None,
    plots: Annotated[bool, typer.Option(help="draw plots")] = True,
    page: Annotated[bool, typer.Option(help="write the HTML page")] = True,
    clips: Annotated[bool, typer.Option(help="show masks in the page")] = True,
    font: Annotated[
        str, typer.Option(help="of the plots, as it is installed, such as the document's own")
    ] = "STIXGeneral",
    paper: Annotated[
        Path | None,
        typer.Option(
            help="folder for what a submission needs: tables, figures, main.tex, BibTeX",
            callback=a_folder,
        ),
    ] = None,
) -> None:
    """Make tables, plots and a page from the runs of a grid, whatever their state.

    `tevit report components --scale tiny`

    `tevit report components --paper submission --format siunitx --font "Times New Roman"`

    `tevit report mine.yaml --table table.yaml --format latex --no-plots --no-page --out tables`

    `tevit report components --store /data/runs --videos 12,disc_0003` (or `--no-clips`)
    """
    from rich.console import Console

    from ablations.grid import launched_name
    from launch.records.store import Store
    from reports.renderers.terminal import to_terminal
    from reports.report import make_report

    console = Console()
    report = make_report(
        Store.default(store),
        launched_name(grid, scale),
        out=out,
        formats=[name.strip() for name in formats.split(",") if name.strip()],
        table_file=table,
        plots=plots,
        page=page,
        clips=clips,
        videos=[name.strip() for name in videos.split(",")] if videos else None,
        font=font,
        paper=paper,
        show=lambda built: console.print(to_terminal(built, console.width), ""),
    )
    for note in report.notes:
        console.print(f"Note: {note}", highlight=False, markup=False)
    for label, path in report.places().items():
        console.print(f"{label}: {path}", highlight=False, markup=False, soft_wrap=True)


@app.command("plot")
def plot_records(
    records: Annotated[
        Path, typer.Argument(help="what `fps --curve` or `bench roofline` wrote with --json")
    ],
    out: Annotated[Path, typer.Option(help="folder to write to", callback=a_folder)] = Path(),
) -> None:
    """Plot a measured curve, or what bounds a model, as PDF, PNG, SVG and CSV.

    `tevit fps tevit_msgshift --curve clip_length=1,5,10,20,36 --json clips.json`

    `tevit bench roofline tevit_msgshift --json roofline.json`

    `tevit plot clips.json --out paper/figures`
    """
    from reports.plots.recorded.read import read_plot
    from reports.plots.style import save

    plot = read_plot(records)
    for path in save(plot, out, kinds=("pdf", "png", "svg")):
        print(path)
    print(*plot.notes, sep="\n")
