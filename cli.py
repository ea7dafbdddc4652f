"""The command line: one thin function a command.

Rooms are imported inside the commands, so that ``tevit --help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import UserError

app = typer.Typer(
    name="tevit",
    help="Ablations, benchmarks and paper tables for TeViT.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
data_app = typer.Typer(help="Datasets: check, split, make, export.", no_args_is_help=True)
app.add_typer(data_app, name="data")
make_app = typer.Typer(help="Write a dataset.", no_args_is_help=True)
data_app.add_typer(make_app, name="make")

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Switches by name: head.kind=per_frame messenger.tokens=16"),
]

# --- core: model ---------------------------------------------------------------------------------


@app.command("switches")
def list_switches(
    part: Annotated[
        str, typer.Argument(help="only those whose name contains this: messenger, head.kind")
    ] = "",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="all, as the document docs/switches.md")
    ] = False,
) -> None:
    """List every switch: its name and default, what it takes and what it does.

    `tevit switches messenger`
    """
    from core.switches import switches, switches_markdown

    if markdown:
        print(switches_markdown(), end="")
        return
    for switch in switches(part):
        print(f"{switch.name}={switch.default}  ({switch.takes})\n    {switch.description}")


# --- core: data ----------------------------------------------------------------------------------


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="folder in YouTube-VIS format, or its JSON file")],
    annotations: Annotated[str | None, typer.Option(help="annotation file, from PATH")] = None,
    images: Annotated[str | None, typer.Option(help="image folder, from PATH")] = None,
    sound_part: Annotated[
        Path | None, typer.Option(help="write an annotation file without what is faulty")
    ] = None,
) -> None:
    """List everything that is wrong with a dataset; exit status 1 if anything is.

    `tevit data check ~/data/ytvis_2019`

    `tevit data check ~/data/mine --sound-part ~/data/mine/sound.json`
    """
    from core.data import commands

    if not commands.check(path, annotations, images, sound_part):
        raise typer.Exit(1)


@data_app.command("split")
def data_split(
    path: Annotated[Path, typer.Argument(help="folder in YouTube-VIS format, or its JSON file")],
    out: Annotated[Path, typer.Option(help="the split's file (JSON)")] = Path("split.json"),
    holdout: Annotated[float, typer.Option(help="share of the videos held out")] = 0.2,
    seed: Annotated[int, typer.Option(help="another seed, another split")] = 0,
) -> None:
    """Draw a held-out split by video, stratified by class, and record it as lists of ids.

    `tevit data split ~/data/ytvis_2019 --holdout 0.1 --out ytvis_2019_split.json`

    Use it with `data.split_file=ytvis_2019_split.json`.
    """
    from core.data import commands

    commands.split(path, out, holdout, seed)


@make_app.command("synthetic")
def data_make_synthetic(
    out: Annotated[Path, typer.Argument(help="folder to write, which must not exist")],
    dials: Annotated[
        list[str] | None, typer.Argument(help="fields of data.synthetic: hidden=0.5 videos=40")
    ] = None,
) -> None:
    """Write the generated dataset, with its dials as given, to a folder in YouTube-VIS format.

    `tevit data make synthetic data/easy`

    `tevit data make synthetic data/hard hidden=0.7 lookalikes=1 videos=400 seed=3`
    """
    from core.data import commands

    commands.make_synthetic(out, dials or [])


@data_app.command("export")
def data_export(
    annotations: Annotated[Path, typer.Argument(help="valid.json or test.json of the dataset")],
    results: Annotated[Path, typer.Argument(help="predictions, as `tevit predict` writes them")],
    out: Annotated[Path, typer.Argument(help="the zip to write")],
    allow_missing: Annotated[
        bool, typer.Option(help="write also if videos have no track (they count as missed)")
    ] = False,
) -> None:
    """Check predictions and zip them for a YouTube-VIS or OVIS server.

    `tevit data export ytvis_2019/valid.json predictions.json submission.zip`
    """
    from core.data.export import export_results

    export = export_results(annotations, results, out, allow_missing=allow_missing)
    for video in export.missing:
        print(f"without a track: {video}")
    print(f"{export.path}: {export.tracks} tracks of {export.videos} videos")


# --- core: train, predict, eval ------------------------------------------------------------------

# --- benchmarks: ap ------------------------------------------------------------------------------


@app.command("ap")
def average_precision(
    ground_truth: Annotated[Path, typer.Argument(help="annotations in YouTube-VIS format")],
    results: Annotated[Path, typer.Argument(help="predictions, as `tevit predict` writes them")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the record to this file")
    ] = None,
    resamples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="resamples over videos; 0: no intervals")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="seed of the resamples")] = 0,
) -> None:
    """Score predictions: YouTube-VIS AP and AR, by size and by class.

    `tevit ap heldout.json predictions.json --bootstrap 1000 --json ap.json`
    """
    from rich.console import Console

    from benchmarks.ap import ap_record, evaluate
    from benchmarks.ap_bootstrap import bootstrap
    from benchmarks.ap_table import print_ap
    from core.files import write_json

    result = evaluate(ground_truth, results)
    drawn = bootstrap(result, resamples, seed=seed) if resamples else None
    if json_file is not None:
        protocol = {"data": str(ground_truth), "results": str(results)}
        spread = drawn.to_dict() if drawn else None
        write_json(json_file, ap_record(result, protocol, spread))
    print_ap(result, drawn, Console())


# --- benchmarks: flops, fps ----------------------------------------------------------------------

# --- launch: plan, launch, status, logs, cancel, failures, reproduce -----------------------------

# --- reports -------------------------------------------------------------------------------------


@app.command("report")
def report_grid(
    grid: Annotated[str, typer.Argument(help="name of a launched grid, or its file")],
    store: Annotated[
        Path | None, typer.Option(help="store of runs; default: $TEVIT_RUNS or ./runs")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="scale that it was launched at")] = None,
    formats: Annotated[
        str, typer.Option("--format", help="of the tables: md,latex,csv,html")
    ] = "md,latex,csv,html",
    out: Annotated[
        Path | None, typer.Option(help="folder to write to; default: STORE/reports/GRID")
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
) -> None:
    """Make tables, plots and a page from the runs of a grid, whatever their state.

    `tevit report components --scale tiny`

    `tevit report components --format latex --no-plots --no-page --out paper/tables`
    """
    from rich.console import Console

    from launch.store import Store
    from reports.render_terminal import to_terminal
    from reports.report import launched_name, make_report

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
        show=lambda built: console.print(to_terminal(built), ""),
    )
    for note in report.notes:
        console.print(f"Note: {note}", highlight=False, markup=False)
    for label, path in report.places().items():
        console.print(f"{label}: {path}", highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line; a user's error is one message and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"tevit: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
