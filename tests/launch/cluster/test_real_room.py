"""Limits, holds, changed profiles, foreign environments and other users, on the real SLURM."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from slurm_cluster import wait_for
from test_real_slurm import Study
from toy_cells import expected_ap
from toy_grids import TOY

from launch.cancel import cancel, hold
from launch.commands import submitted_text
from launch.executors.base import Target
from launch.executors.profile import make_profile
from launch.executors.slurm import Slurm
from launch.records import lease
from launch.records.store import Store
from launch.submit.follow import follow
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("real_slurm")]


@pytest.fixture
def study(store):
    return lambda count=1, **profile: Study(store, count, **profile)


def test_at_the_sites_submit_limit_it_says_what_went_in_and_fills_up(study, real_slurm):
    grid = study(7)
    for k in range(7):
        grid.toy(k)

    def limit(count):
        real_slurm.command("sacctmgr", "-i", "modify", "user", "root", "set", f"MaxSubmit={count}")

    limit(4)
    try:
        done = grid.launch()
        assert 0 < len(done.submitted) <= 4
        assert "more cells found no room: SLURM did not take the jobs" in submitted_text(done)
        follow(LaunchRequest(grid.store, grid.grid, grid.target), interval=1.0)
    finally:
        limit(-1)
    assert grid.states() == [("done", None)] * 7
    assert [len(grid.run(k).attempts()) for k in range(7)] == [1] * 7


def test_more_memory_after_out_of_memory(study):
    grow = {"memory": 4, "most": "2G"}
    grid = study(1, memory="200M", on_out_of_memory=grow)
    grid.toy(0, allocate_at=2, megabytes=2000, pause=0.2)
    grid.launch()
    grid.wait([("failed", "out of memory")])
    follow(LaunchRequest(grid.store, grid.grid, grid.target), interval=1.0)
    assert grid.states() == [("done", None)]
    (before, now) = [grid.run().provenance(k).exists() for k in (1, 2)]
    assert before
    assert now
    batch = lease.latest(grid.run().state_folder).holder["batch"]
    assert (grid.store.journal / "batches" / f"{batch}.json").read_text().count('"800M"') == 1


def test_queued_cells_are_held_released_and_put_in_anew(study, real_slurm):
    grid = study(3, extra={"begin": "now+1hour"})
    for k in range(3):
        grid.toy(k)
    grid.launch()
    cells = grid.store.manifest("toys").cells
    hold(grid.store, cells[:1], release=False)
    wait_for(lambda: grid.look()[0].note.startswith("JobHeld"), 120, "the hold")
    hold(grid.store, cells[:1], release=True)
    wait_for(lambda: "Held" not in grid.look()[0].note, 120, "the release")
    profile = make_profile({"gpus": 0, "cpus": 1, "memory": "200M", "time": 30})
    grid.target = Target(Slurm(), profile, function=TOY)
    (problem,) = grid.launch().plan.problems
    assert "3 cells are queued with other resources than are asked for now" in problem
    anew = launch(LaunchRequest(grid.store, grid.grid, grid.target), replace_queued=True)
    assert len(anew.submitted) == 3
    grid.wait(["done"] * 3)
    assert [len(grid.run(k).attempts()) for k in range(3)] == [1] * 3


FOREIGN = {
    **{f"SLURM_{name}": "1" for name in ("MEM_PER_NODE", "STEP_ID", "STEPID", "JOB_NUM_NODES")},
    **{f"SLURM_{name}": "7" for name in ("NTASKS", "NPROCS", "PROCID", "LOCALID", "NNODES")},
    **{f"SLURM_{name}": "9" for name in ("JOB_ID", "JOBID", "RESTART_COUNT", "CPUS_PER_TASK")},
    **{f"SLURM_ARRAY_{name}": "99" for name in ("JOB_ID", "TASK_ID", "TASK_COUNT")},
    **{"SLURM_JOB_NODELIST": "far[1-7]", "SLURM_NODELIST": "far[1-7]", "SLURM_GTIDS": "7"},
    **{"SLURMD_NODENAME": "far1", "SLURM_JOB_PARTITION": "far", "SLURM_EXPORT_ENV": "NONE"},
    **{"SBATCH_TIMELIMIT": "1", "SBATCH_ARRAY_INX": "0-9", "SBATCH_EXPORT": "NONE"},
    **{"SBATCH_MEM_PER_NODE": "900G", "SBATCH_GPUS": "9", "SBATCH_HOLD": "1"},
    **{"SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_FOLDER": "/nowhere", "SRUN_PARTITION": "far"},
}


def test_from_inside_of_another_job_and_without_a_home(study, monkeypatch):
    for name, value in (FOREIGN | {"HOME": "/proc/nobody", "XDG_CACHE_HOME": "/proc/no"}).items():
        monkeypatch.setenv(name, value)
    grid, packed = study(2), study(2, pack={"cells": 2})
    packed.grid = replace(packed.grid, name="packed")
    cells = [
        replace(c, config=c.config.model_copy(update={"seed": 50 + c.seed}))
        for c in grid.grid.cells
    ]
    packed.grid = replace(packed.grid, cells=tuple(cells))
    for one in (grid, packed):
        for k in range(2):
            one.toy(k)
        one.launch()
    for one in (grid, packed):
        one.wait(["done"] * 2)
        holders = [lease.latest(one.run(k).state_folder).holder for k in range(2)]
        assert [one.ap(k) for k in range(2)] == [expected_ap(3)] * 2
        assert {holder["node"] for holder in holders} <= {"n1", "n2", "n3"}
        assert {(holder["tasks"], holder["restarts"]) for holder in holders} == {(1, 0)}


READ = """
import os, sys
from pathlib import Path
from launch.records.store import Store
from launch.watch.survey import survey
os.setgid(65534); os.setuid(65534)
store = Store(Path(sys.argv[1]))
found = survey(store, store.manifest("toys").measures(), record=True)
print(found.problems, *found.cells.values(), sep="\\n")
"""


def test_a_second_user_reads_what_the_first_has_launched(real_slurm):
    store = Store(real_slurm.folder / "store")
    grid = Study(store, 2, extra={"begin": "now+1hour"})
    grid.toy(0)
    grid.launch()
    read = subprocess.run(
        [sys.executable, "-c", READ, str(store.root)],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": "/"},
        timeout=240,
    )
    assert read.returncode == 0, read.stderr
    problems, *cells = read.stdout.splitlines()
    assert problems == "()"
    assert [("name='queued'" in cell, "certain=False" in cell) for cell in cells] == [
        (True, False)
    ] * 2
    cancel(store, store.manifest("toys").cells)
