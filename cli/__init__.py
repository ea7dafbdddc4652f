"""The command line: one file a group of commands, one thin function a command.

Rooms are imported inside the commands, so that ``tevit --help`` answers at once.
"""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import typer

from cli import code, data, diagnosing, exporting, grids, measuring, models, reporting, training
from core.errors import UserError
from core.memory import keep_freed_memory

app = typer.Typer(
    name="tevit",
    help="Ablations, benchmarks and paper tables for TeViT.",
    epilog="Exit status: 0, it is done; 1, cells that were waited for, or a check, failed; 2, what "
    "was asked for cannot be done, and the message says why; `tevit status --exit-status` has "
    "more.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (models, data, training, measuring, diagnosing, grids, code, reporting, exporting):
    app.add_typer(group.app)


_OF_THE_MACHINE = {
    errno.EACCES: "ask for the right to it, or choose another place",
    errno.EPERM: "ask for the right to it, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.EEXIST: "something else has that name: choose another",
    errno.ENOSPC: "make room, then give the same command again: what was done stands",
    errno.EDQUOT: "make room, then give the same command again: what was done stands",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "it is a folder, where a file is wanted",
    errno.ENOTDIR: "one of its folders is a file",
    errno.ESTALE: "the file system lost it: give the same command again",
    errno.EIO: "the disk could not be read or written: give the same command again",
}


def main() -> None:
    """Run the command line; a user's error is one message and exit status 2."""
    keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be no text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except UserError as error:
        print(f"tevit: {error}", file=sys.stderr)
        sys.exit(2)
    except (OSError, RuntimeError) as error:
        if (said := _said_of_the_machine(error)) is None:
            raise
        print(f"tevit: {said}", file=sys.stderr)
        sys.exit(2)


def _said_of_the_machine(error: OSError | RuntimeError) -> str | None:
    """What the user, or whoever runs the machine, can mend; none: a fault of the tool."""
    if not isinstance(error, OSError):
        if "Could not determine home directory" not in str(error):  # pathlib, of ~
            return None
        return "no home folder is known here: set HOME, or write paths without ~"
    if error.errno == errno.ENOENT and _stands_nowhere():
        return "the current folder is no longer there: cd to one that is"
    if error.errno not in _OF_THE_MACHINE:
        return None
    where = error.filename2 or error.filename or "a file"
    return f"{where}: {error.strerror}; {_OF_THE_MACHINE[error.errno]}"


def _stands_nowhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
