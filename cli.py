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


def main() -> None:
    """Run the command line; a user's error is one message and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"tevit: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
