"""``tevit diff`` and ``clean``: the code that runs were made by."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import RunName, StoreOption

app = typer.Typer()


@app.command("diff")
def diff_of_runs(
    run: RunName,
    other: RunName,
    patch: Annotated[
        bool, typer.Option("--patch", help="also the lines in which the code differs")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Show what two runs differ in: files of the code, config, environment.

    `tevit diff 0123abcd 4567cdef --patch`
    """
    from launch.diff import diff_lines
    from launch.records.store import Store

    where = Store.default(store)
    for line in diff_lines(where.find_run(run), where.find_run(other), patch=patch):
        print(line)


@app.command("clean")
def clean_store(
    yes: Annotated[bool, typer.Option("--yes", help="delete them; else they are shown")] = False,
    store: StoreOption = None,
) -> None:
    """Delete frozen copies of the code that no run of the store names; shows them first.

    `tevit clean`, then `tevit clean --yes`
    """
    from launch.code.clean import remove, unused
    from launch.records.store import Store

    found = unused(Store.default(store))
    for copy in found:
        print(f"{copy.folder}  {copy.size / 1e6:.1f} MB  {copy.what}")
    if not found:
        print("every frozen copy of the code is named by a run, or was used within a day")
    elif yes:
        remove(found)
        print(f"{len(found)} deleted")
    else:
        print(f"tevit clean --yes deletes {'it' if len(found) == 1 else f'these {len(found)}'}")
