"""The command line: one thin function a command.

Rooms are imported inside the commands, so that ``tevit --help`` answers at once.
"""

from __future__ import annotations

import sys
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

# --- core: data ----------------------------------------------------------------------------------

# --- core: train, predict, eval ------------------------------------------------------------------

# --- benchmarks: ap ------------------------------------------------------------------------------

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
