"""Situations of real users that hang on how the real SLURM behaves."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from slurm_cluster import wait_for
from test_real_slurm import Study
from toy_cells import expected_ap, write_toy
from toy_grids import slurm_target, toy_grid

from ablations.cell import Cell
from core import preset
from core.errors import UserError
from launch.cancel import cancel
from launch.commands import LaunchOptions, run_launch
from launch.executors import slurm_queries as slurm
from launch.executors.base import SubmissionError
from launch.records import lease
from launch.records.journal import Journal
from launch.submit.plan import LaunchRequest

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("real_slurm")]


@pytest.fixture
def study(store):
    return lambda count=1, **profile: Study(store, count, **profile)


def test_filters_and_names_in_the_environment_lose_no_live_job(study, real_slurm, monkeypatch):
    grid = study(3, extra={"hold": True})
    grid.toy(0)
    monkeypatch.setenv("LOGNAME", "nobody-of-this-name")
    monkeypatch.setenv("USER", "nobody-of-this-name")
    monkeypatch.setenv("SQUEUE_PARTITION", "high")
    monkeypatch.setenv("SQUEUE_NAMES", "another")
    monkeypatch.setenv("SACCT_FORMAT", "JobID")
    grid.launch()
    assert grid.states() == [("queued", None)] * 3
    assert grid.launch().batches == ()
    cancel(grid.store, grid.store.manifest("toys").cells)
    grid.wait([("interrupted", "cancelled")] * 3)


def test_memory_that_no_node_has_is_refused_and_the_cells_stay_new(study):
    grid = study(2, memory="900G")
    grid.toy(0)
    with pytest.raises(SubmissionError, match=r"(?i)memory|node configuration is not available"):
        grid.launch()
    assert grid.states() == [("new", None)] * 2
    assert Journal(grid.store).unsettled() == []


def test_a_setup_line_that_fails_ends_a_real_job(study):
    grid = study(1, setup=["no-such-command --at-all"])
    grid.toy(0)
    grid.launch()
    grid.wait([("interrupted", "died")])
    assert grid.run().attempts() == []


def test_called_from_a_folder_with_a_core_of_its_own_real_jobs_run(study, tmp_path, monkeypatch):
    (tmp_path / "core").mkdir()
    for name in ("core/__init__.py", "cli.py", "launch.py"):
        (tmp_path / name).write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path)
    grid = study(1)
    grid.toy(0, steps=2)
    grid.launch()
    grid.wait(["done"])


def test_followers_wait_for_a_start_run_whose_node_dies(study, real_slurm):
    grid = study(2)
    start = Cell("start", preset("tiny", {"train.clips": 4, "seed": 99}), {}, ("train",))
    cells = tuple(replace(cell, start=start) for cell in grid.grid.cells)
    grid.grid = replace(grid.grid, cells=cells)
    run = grid.store.run(start.signature)
    write_toy(run.path, steps=9, wait_at=5, checkpoint_every=4)
    for k in range(2):
        grid.toy(k, steps=3)
    grid.launch()
    wait_for(run.checkpoint.exists, 240, "the start run")
    assert grid.states() == [("queued", None)] * 2
    first = lease.latest(run.state_folder).holder
    real_slurm.kill_node(first["node"])
    try:
        wait_for(lambda: len(run.attempts()) == 2, 240, "the second copy")
        assert not grid.run().attempts()
    finally:
        real_slurm.start_node(first["node"])
    grid.wait(["done"] * 2)
    assert run.done_path.stat().st_mtime < grid.run().checkpoint.stat().st_mtime
    assert grid.ap() == expected_ap(3)


def test_waiting_for_what_no_node_has_ends_with_slurms_reason(store, toys):
    grid = toys(toy_grid(1))
    target = slurm_target(cpus=99)
    with pytest.raises(UserError, match="will never start as asked for: SLURM says PartitionConf"):
        run_launch(LaunchRequest(store, grid, target), LaunchOptions(wait=True, interval=2))
    assert len(cancel(store, store.manifest("toys").cells).cells) == 1


LAGS = """#!/usr/bin/env python3
# what ended is not in the queue any more, what was put in within five minutes not yet in sacct
import subprocess, sys, time
name, *words = sys.argv[0].rpartition("/")[2], *sys.argv[1:]
if name == "squeue" and "all" in words:
    at = words.index("all")
    del words[at - 1 : at + 1]
done = subprocess.run([f"{REAL}/{name}", *words], capture_output=True, text=True)
lines = done.stdout.splitlines(keepends=True)
if name == "sacct":
    ids = words[words.index("-j") + 1]
    ask = ["-X", "-n", "-P", "-j", ids, "-o", "JobID,Submit"]
    put_in = subprocess.run([f"{REAL}/sacct", *ask], capture_output=True, text=True).stdout
    limit = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - 300))
    known = {line.split("|")[0] for line in put_in.split() if line.split("|")[1] < limit}
    lines = [line for line in lines if line.split("|")[0] in known]
sys.stdout.write("".join(lines))
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""


def test_where_the_accounting_lags_by_minutes_no_cell_runs_twice_and_none_is_lost(
    study, tmp_path, monkeypatch
):
    grid = study(3)
    grid.toy(0)
    grid.toy(1, steps=9, wait_at=4)
    grid.toy(2, kill_at=2)
    real = str(Path(shutil.which("squeue")).parent)
    for name in ("squeue", "sacct"):
        (tmp_path / name).write_text(LAGS.replace("{REAL}", real))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    array = grid.launch().batches[0][1]
    grid.started(1)
    grid.wait(["done", "running", ("interrupted", "died")])
    assert slurm.accounting([array]) == [], "nobody can have told it yet"
    again = grid.launch()
    assert again.submitted == {grid.run(2).signature}
    grid.go(1)
    grid.wait(["done"] * 3)
    assert [len(grid.run(k).attempts()) for k in range(3)] == [1, 1, 2]
