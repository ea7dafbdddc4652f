"""Situations of real users that hang on how the real SLURM behaves."""

from __future__ import annotations

from dataclasses import replace

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
from launch.executors.base import SubmissionError
from launch.records import lease
from launch.records.journal import Journal
from launch.submit.retry import RetryRules

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
        run_launch(store, grid, target, RetryRules(), LaunchOptions(wait=True, interval=2))
    assert len(cancel(store, store.manifest("toys").cells).cells) == 1
