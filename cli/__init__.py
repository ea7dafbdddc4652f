"""The command line: one file a group of commands, one thin function a command.

Rooms are imported inside the commands, so that ``tevit --help`` answers at once.
"""

from __future__ import annotations

import sys

import typer

from cli import data, grids, measuring, models, reporting, training
from core.errors import UserError

app = typer.Typer(
    name="tevit",
    help="Ablations, benchmarks and paper tables for TeViT.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (models, data, training, measuring, grids, reporting):
    app.add_typer(group.app)


def main() -> None:
    """Run the command line; a user's error is one message and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"tevit: {error}", file=sys.stderr)
        sys.exit(2)
