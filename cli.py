"""The command line: one thin function a command."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="tevit",
    help="Ablations, benchmarks and paper tables for TeViT.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def main() -> None:
    """Run the command line; a user's error is one message and exit status 2."""
    app()


if __name__ == "__main__":
    main()
