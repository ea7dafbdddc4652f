"""The full-screen view: what keys do, what is shown, and the whole of it on a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import termios
import time

import pytest
from rich.console import Console
from toy_grids import toy_grid

from cli import app
from core.errors import UserError
from launch.full_screen import split_keys
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself
from launch.submit.launcher import manifest_of
from launch.watch.status import StatusRow
from launch.watch.view import KEYS, StatusView


def row(name, state="queued", cause="", step=None):
    return StatusRow(name, state, cause, step, 9, None, None, None, "", "")


@pytest.fixture
def view():
    cells = [row("stqi,s0", "running", step=4), row("stqi,s1"), row("per_frame,s0", "done")]
    cells += [row("per_frame,s1", "failed", "out of memory")]
    return StatusView(
        "heads", lambda name: f"log line of {name}\n", lambda name: f"{name}: gone", cells
    )


def press(view, *keys):
    return [view.press(key) for key in keys]


def screen(view, height=16, width=80):
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(view.render(height))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == height, "the screen is filled, and not more"
    return [line.rstrip() for line in lines]


def test_counts_cells_and_keys_are_shown_and_empty_columns_are_not(view):
    lines = screen(view)
    assert lines[0] == "heads  1 running, 1 failed, 1 queued, 1 done"
    assert lines[1].split() == ["cell", "state", "step", "why"]
    assert lines[2].split() == ["stqi,s0", "running", "4/9"]
    assert lines[5].split() == ["per_frame,s1", "failed", "out", "of", "memory"]
    assert lines[-1] == KEYS


def test_before_the_first_look_there_is_nothing_to_do(view):
    view.rows = ()
    press(view, "down", "enter", "c")
    assert screen(view)[0] == "heads  looking ..."


def test_arrows_choose_and_stop_at_the_ends(view):
    press(view, "down")
    assert view.chosen == "stqi,s1"
    press(view, "up", "up", "k")
    assert view.chosen == "stqi,s0"
    press(view, "end")
    assert view.chosen == "per_frame,s1"
    press(view, "page up", "j")
    assert view.chosen == "stqi,s1"


def test_the_filter_takes_words_of_name_state_and_cause(view):
    press(view, "/", *"frame", " ", *"memoryx", "backspace", "enter")
    assert [r.name for r in view.shown()] == ["per_frame,s1"]
    assert "1 of 4 with: frame memory" in screen(view)[0]
    press(view, "/", "q", "escape")
    assert len(view.shown()) == 4, "while one types, q is a letter"
    press(view, "/", *"nothing", "enter", "c", "enter", "down")
    assert "0 of 4" in screen(view)[0]


def test_the_log_is_that_of_the_chosen_cell(view):
    press(view, "down", "enter")
    lines = screen(view)
    assert any(line.startswith("log of stqi,s1 ─") for line in lines)
    assert "log line of stqi,s1" in lines
    press(view, "escape")
    assert not any(line.startswith("log") for line in screen(view))


def test_a_cell_is_cancelled_when_that_is_confirmed(view):
    press(view, "c")
    assert screen(view)[-1].startswith("cancel stqi,s0? y")
    press(view, "n")
    assert screen(view)[-1] == KEYS
    press(view, "c", "y")
    assert screen(view)[-1] == "stqi,s0: gone"
    press(view, "end", "c")
    assert "is failed: there is nothing to cancel" in screen(view)[-1]


def test_of_many_cells_those_around_the_chosen_one_are_shown(view):
    view.rows = [row(f"cell {k:04}") for k in range(5000)]
    view.problems = ["SLURM does not answer"]
    view.chosen = "cell 2500"
    lines = screen(view, height=12)
    assert lines[1] == "! SLURM does not answer"
    assert any(line.startswith("cell 2500") for line in lines)
    press(view, "page down")
    assert view.chosen == "cell 2507"
    assert any(line.startswith("cell 2507") for line in screen(view, height=12, width=30))


@pytest.mark.parametrize("height", [4, 5, 7])
def test_a_low_terminal_shows_what_it_can(view, height):
    press(view, "enter")
    console = Console(file=io.StringIO(), width=40, height=height)
    console.print(view.render(height))


def test_q_and_ctrl_c_leave(view):
    assert press(view, "down", "x", "q") == [True, True, False]
    assert press(view, "ctrl-c") == [False]


def test_what_a_terminal_sends_is_split_into_keys():
    sent = "j\x1b[A\x1b[5~\x1b[1~\x1bOB\r\x7f\x1bé"
    expected = ["j", "up", "page up", "home", "down", "enter", "backspace", "escape", "é"]
    assert split_keys(sent) == expected


def test_elsewhere_than_on_a_terminal_it_names_another_way(store):
    store.write_manifest(manifest_of(toy_grid(1)))
    with pytest.raises(UserError, match="no terminal; elsewhere: tevit status toys --watch"):
        app(["watch", "toys", "--store", str(store.root)], standalone_mode=False)


def test_on_a_terminal_a_queued_cell_is_cancelled_and_the_terminal_is_given_back(store):
    grid = toy_grid(2)
    store.write_manifest(manifest_of(grid))
    signatures = tuple(cell.signature for cell in grid.cells)
    for k, cell in enumerate(grid.cells):
        run = store.run(cell.signature)
        run.create(schema=1, name=cell.name, config=cell.config, measure=["ap"])
        run.mark_queued("b", k)
    Journal(store).begin(Batch("b", "toys", "local", signatures, ("", ""), "f"))
    lease.acquire(store.journal / "dispatch" / "b", myself())  # somebody works through it
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    words = ["watch", "toys", "--interval", "0.2", "--store", str(store.root)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "90", "LINES": "20"},
    )
    try:
        await_text(ours, "2 queued")
        os.write(ours, b"\x1b[Bc")
        await_text(ours, "cancel a=x,s1? y")
        os.write(ours, b"y")
        await_text(ours, "1 interrupted, 1 queued")
        os.write(ours, b"q")
        assert process.wait(30) == 0
    finally:
        process.kill()
    assert store.run(signatures[1]).cancelled() and not store.run(signatures[0]).cancelled()
    assert termios.tcgetattr(theirs) == before


def await_text(handle, text, seconds=60):
    seen, deadline = "", time.monotonic() + seconds
    while text not in seen:
        assert time.monotonic() < deadline, seen[-2000:]
        seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(handle, 65536).decode())
