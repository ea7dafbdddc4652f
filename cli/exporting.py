"""``tevit export``: runs in the form of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import LaunchedGrid, a_folder, takes_a_launched_grid

app = typer.Typer()
export = typer.Typer(no_args_is_help=True)
app.add_typer(export, name="export", help="Runs in the form of other tools: tensorboard.")


@export.callback()
def _group() -> None:
    """Runs in the form of other tools."""


@export.command("tensorboard")
@takes_a_launched_grid
def export_to_tensorboard(
    grid: LaunchedGrid,
    follow: Annotated[
        bool, typer.Option("--follow", help="go on while cells train, until none runs")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="seconds between two looks, with --follow")
    ] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option(help="folder to write to; none: STORE/tensorboard/GRID", callback=a_folder),
    ] = None,
) -> None:
    """Write TensorBoard events: curves of training, figures, and axes as hyperparameters.

    They are made from the records of the runs, which do not change by it. Needs the extra
    `tensorboard`.

    `tevit export tensorboard components --follow`
    """
    from core.files import check_writable
    from launch.tensorboard import export_tensorboard

    folder = out or grid.store.root / "tensorboard" / grid.manifest.grid
    check_writable(folder, folder=True)
    print(f"tensorboard --logdir {folder}", flush=True)
    count = export_tensorboard(
        grid.store, grid.manifest, folder, follow=interval if follow else None
    )
    print(f"{count} of {len(grid.manifest.all_cells)} cells have trained")
