"""``tevit watch``: the view of :mod:`launch.watch.view` on a terminal, kept up to date."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from core.errors import UserError
from launch.cancel import cancel
from launch.records.failures import tail
from launch.records.store import Manifest, Store
from launch.watch.logs import find_log
from launch.watch.status import status_rows
from launch.watch.survey import survey
from launch.watch.view import StatusView

TICK_SECONDS = 0.5
_NAMES = {
    **dict.fromkeys(("\x1b[A", "\x1bOA"), "up"),
    **dict.fromkeys(("\x1b[B", "\x1bOB"), "down"),
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    **dict.fromkeys(("\x1b[H", "\x1b[1~", "\x1bOH"), "home"),
    **dict.fromkeys(("\x1b[F", "\x1b[4~", "\x1bOF"), "end"),
    "\x1b": "escape",
    **dict.fromkeys("\r\n", "enter"),
    **dict.fromkeys("\x7f\x08", "backspace"),
    "\x03": "ctrl-c",
}


def watch_full_screen(store: Store, manifest: Manifest, interval: float) -> None:
    """Show the grid until the user leaves.

    Args:
        interval: seconds between two looks at the cells, in a thread, so that keys never wait.

    Raises:
        UserError: this is no terminal.
    """
    console = Console()
    if not (console.is_terminal and sys.stdin.isatty()):
        raise UserError(f"this is no terminal; elsewhere: tevit status {manifest.grid} --watch")
    view = _view(store, manifest)
    over, again = threading.Event(), threading.Event()

    def look() -> None:
        while not over.is_set():
            again.clear()
            try:
                found = survey(store, manifest.measures(), record=True)
                view.rows = status_rows(store, manifest.all_cells, found)
                view.problems = found.problems
            except (UserError, OSError) as error:  # it may pass
                view.problems = [str(error)]
            again.wait(interval)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        with _keys() as handle, Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(view.render(console.height), refresh=True)
                if not all(view.press(key) for key in _pressed(handle)):
                    return
                if view.message:
                    again.set()  # a cell was cancelled: look at once
    except KeyboardInterrupt:
        return
    finally:
        over.set()
        again.set()


def _view(store: Store, manifest: Manifest) -> StatusView:
    signatures = {cell.name: cell.signature for cell in manifest.all_cells}

    def log(name: str) -> str:
        try:
            return tail(find_log(store, signatures[name])) or "(nothing yet)"
        except UserError as error:
            return str(error)

    def take_back(name: str) -> str:
        cells = [cell for cell in manifest.all_cells if cell.signature == signatures[name]]
        try:
            done = cancel(store, cells)
        except UserError as error:
            return str(error)
        if done.problem:
            return f"{name} will stop by itself, but SLURM was not told: {done.problem}"
        return f"{name}: cancelled" if done.cells else f"{name} is neither queued nor running"

    return StatusView(manifest.grid, log, take_back, chosen=next(iter(signatures), ""))


def _pressed(handle: int) -> list[str]:
    """The keys that were pressed, after at most a tick."""
    if not select.select([handle], [], [], TICK_SECONDS)[0]:
        return []
    return split_keys(os.read(handle, 1024).decode(errors="replace"))


def split_keys(text: str) -> list[str]:
    """Names of the keys in what a terminal sent."""
    found = []
    while text:
        size = next((n for n in (4, 3) if text[:n] in _NAMES), 1)
        found.append(_NAMES.get(text[:size], text[:size]))
        text = text[size:]
    return found


@contextmanager
def _keys() -> Iterator[int]:
    """Have each key come at once, unseen; the terminal is as before in the end."""
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setcbreak(handle)
        yield handle
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
