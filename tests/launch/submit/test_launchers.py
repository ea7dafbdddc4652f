"""Launchers that die, and two at once, on a SLURM of mocked commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from toy_grids import TOY, toy_grid

from core.errors import UserError
from launch.executors.base import Target
from launch.executors.profile import make_profile
from launch.executors.slurm import Slurm
from launch.records import lease
from launch.records.journal import Journal
from launch.records.process import myself
from launch.submit import launcher
from launch.watch.survey import survey

pytestmark = pytest.mark.usefixtures("fake_slurm", "quick")


@pytest.fixture
def look(store):
    """``look(grid)``: the state of each cell; writes down what is found."""

    def run(grid):
        found = survey(store, grid.measures(), record=True)
        states = [found.cells[c.signature].state for c in grid.cells]
        return [(state.name, state.cause) for state in states]

    return run


LAUNCH = """
import sys
sys.path.insert(0, {here!r})
from toy_grids import TOY, toy_grid
from pathlib import Path
import os
from launch.submit import launcher
from launch.records.store import Store
from launch.executors.base import Target
from launch.executors.slurm import Slurm
from launch.executors.profile import make_profile
from launch.submit.plan import LaunchRequest
{sabotage}
grid = toy_grid(4)
profile = make_profile({{"gpus": 0, "time": 60, "max_array_size": 2}})
target = Target(Slurm(), profile, function=TOY)
launched = launcher.launch(LaunchRequest(Store(Path(sys.argv[1])), grid, target))
print([job_id for _, job_id in launched.batches])
"""

DEATHS = {
    "before the first submission": "Slurm.submit = lambda *_: os.kill(os.getpid(), 9)",
    "after it, before its record": """
real = Slurm.submit
def submit(*a):
    real(*a)
    os.kill(os.getpid(), 9)
Slurm.submit = submit
""",
    "before the pickles are in place": """
from submitit.core.utils import JobPaths
def move(self, path, name, keep_as_symlink=False):
    if name == "submitted_pickle":
        os.kill(os.getpid(), 9)
    path.rename(getattr(self, name))
JobPaths.move_temporary_file = move
""",
    "between two submissions": """
real, calls = Slurm.submit, []
def submit(*a):
    if calls:
        os.kill(os.getpid(), 9)
    calls.append(1)
    return real(*a)
Slurm.submit = submit
""",
    "while marking cells": """
from launch.records.run_folder import RunFolder
real = RunFolder.mark_queued
def mark(self, batch, index):
    real(self, batch, index)
    os.kill(os.getpid(), 9)
RunFolder.mark_queued = mark
""",
}


def launcher_process(store, sabotage=""):
    here = str(Path(__file__).parents[1])
    code = LAUNCH.format(here=here, sabotage=sabotage)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("death", DEATHS)
def test_a_launcher_may_die_anywhere(store, toys, look, fake_slurm, death):
    grid = toys(toy_grid(4), steps=2)
    assert launcher_process(store, DEATHS[death]).wait(timeout=60) == -9
    second = launcher_process(store)
    assert second.wait(timeout=60) == 0
    assert look(grid) == [("queued", None)] * 4
    tasks = [(job, k) for job, facts in fake_slurm.jobs.items() for k in facts["tasks"]]
    assert len(tasks) == 4, "every cell is submitted exactly once"
    for job, index in tasks:
        assert fake_slurm.run(job, index) == 0
    assert look(grid) == [("done", None)] * 4


@pytest.mark.slow
def test_two_launchers_at_once_submit_every_cell_once(store, toys, look, fake_slurm):
    grid = toys(toy_grid(4), steps=2)
    both = [launcher_process(store) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert sorted(process.stdout.read() for process in both) == ["['100', '101']\n", "[]\n"]
    assert look(grid) == [("queued", None)] * 4


def test_a_launcher_waits_for_a_live_one_and_gives_up_in_time(store, monkeypatch):
    slurm_target = Target(Slurm(), make_profile({"gpus": 0}), function=TOY)
    held = lease.acquire(Journal(store).lock, myself() | {"machine": "another"})
    with (
        lease.beating(held),
        pytest.raises(UserError, match="another launcher"),
        launcher.only_launcher(store, slurm_target, patience=0.3),
    ):
        pass
