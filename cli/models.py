"""``tevit switches`` and ``model``: what can be switched, and what a model consists of."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Overrides

app = typer.Typer()


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
    from core.config.switches import switches, switches_markdown

    if markdown:
        print(switches_markdown(), end="")
        return
    for switch in switches(part):
        print(f"{switch.name}={switch.default}  ({switch.takes})\n    {switch.description}")


@app.command("model")
def show_model(
    config: Annotated[str, typer.Argument(help="a preset, a YAML file or a run folder")],
    overrides: Overrides = None,
    depth: Annotated[int, typer.Option(min=0, help="levels of modules to show")] = 3,
) -> None:
    """Print the module tree with the parameters of each module and the total.

    `tevit model tevit_msgshift`
    """
    import torch
    from rich import print as rich_print

    from cli.model_tree import model_tree, parameter_count
    from core.config.load import load_config
    from core.model.tevit import build_model

    with torch.device("meta"):  # shapes only: no memory, no time
        model = build_model(load_config(config, overrides or []))
    rich_print(model_tree(model, depth))
    total, trained = parameter_count(model), parameter_count(model, trainable=True)
    print(f"{total:,} parameters, {trained:,} trained")
