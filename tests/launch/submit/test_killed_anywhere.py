"""A cell killed at any point: before each change that it makes, and by every signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback

import pytest
from toy_cells import expected_ap
from toy_grids import TOY

from core.files import read_json_lines
from launch.node.task import CellTask

EVENTS = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.utime")


def run_and_die(run, count):
    """In a child: run the cell, and die without a word before its ``count``-th change.

    Returns:
        Whether it got to the end before that.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == 0
    try:
        sys.addaudithook(killer(str(run.path), count))
        CellTask(str(run.path), "b", 0, TOY)()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def killer(folder, count):
    left = count

    def hook(event, arguments):
        nonlocal left
        if event not in EVENTS or not str(arguments[0]).startswith(folder):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & 3):
            return  # reading changes nothing
        left -= 1
        if left == 0:
            os._exit(9)

    return hook


@pytest.mark.usefixtures("signals", "quick")
def test_killed_before_any_change_it_is_consistent_and_resumes(make_run):
    for count in range(1, 1000):
        run = make_run(f"{count:016x}", steps=3, checkpoint_every=2)
        over = run_and_die(run, count)
        state = run.state(["ap"]).name
        assert state == "done" or not over
        for path in run.path.rglob("[!.]*.json"):
            json.loads(path.read_text())  # whole, or not there
        if state == "done":
            assert run.result("ap").exists()
        else:
            assert state in ("new", "interrupted"), count
            assert CellTask(str(run.path), "b", 0, TOY)() == "done"
        assert json.loads(run.result("ap").read_text())["figures"]["AP"] == expected_ap(3)
        if over:
            break
    assert count > 20


def steps_of(run):
    return [line["step"] for line in read_json_lines(run.history)]


RUN = (
    "import sys; from launch.node.task import CellTask;"
    "print(CellTask(sys.argv[1], 'b', 0, 'toy_cells:count_steps')())"
)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_killed_by_any_signal_it_is_consistent_and_resumes(make_run, quick, sent):
    run = make_run(steps=40, sleep=0.02, checkpoint_every=7)
    process = subprocess.Popen([sys.executable, "-c", RUN, str(run.path)])
    deadline = time.monotonic() + 30
    while len(steps_of(run)) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(sent)
    process.wait(timeout=30)
    assert run.state(["ap"]).name == "interrupted"
    assert not run.result("ap").exists()
    subprocess.run([sys.executable, "-c", RUN, str(run.path)], check=True)
    assert run.state(["ap"]).name == "done"
    assert json.loads(run.result("ap").read_text())["figures"]["AP"] == expected_ap(40)
