"""Answers that come late or not at all, clocks that differ, files that show late."""

from __future__ import annotations

import os
import time

import pytest
from toy_grids import TOY, toy_grid

from launch.executors import slurm_queries as slurm
from launch.executors.base import Target
from launch.executors.local import Local, lease_folder
from launch.executors.profile import make_profile
from launch.records import lease, process
from launch.records.journal import Journal
from launch.records.process import myself
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest

pytestmark = pytest.mark.usefixtures("fake_slurm", "quick")
FIVE_MINUTES = 300.0


@pytest.mark.parametrize("command", ["squeue", "sacct", "scontrol"])
def test_a_command_that_hangs_for_a_while_costs_no_cell(
    toys, go, look, fake_slurm, monkeypatch, command
):
    grid = toys(toy_grid(2))
    go(grid)
    fake_slurm.task(100, 1, state="TIMEOUT", forgotten=True, acct="RUNNING")  # sacct lags, too
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 3.0)
    fake_slurm.set(hangs=[command])
    assert look(grid)[0] == ("queued", None)
    if command == "squeue":
        assert look(grid, notes=True) == ["SLURM does not answer"] * 2
        assert go(grid) == []
    fake_slurm.set(hangs=[])


def test_accounting_that_lags_behind_loses_and_doubles_none(toys, go, look, fake_slurm):
    grid = toys(toy_grid(3))
    go(grid)
    for index in range(3):
        fake_slurm.task(100, index, lost=True)  # it has not heard of the job yet
    assert look(grid) == [("queued", None)] * 3
    assert go(grid) == []
    fake_slurm.run(100, 0)
    fake_slurm.task(100, 0, forgotten=True, lost=False, acct="RUNNING")
    fake_slurm.task(100, 1, state="NODE_FAIL", forgotten=True, lost=False, acct="PENDING")
    assert look(grid) == [("done", None), ("interrupted", "lost"), ("queued", None)]
    assert go(grid) == ["101"]
    assert len(fake_slurm.jobs["101"]["tasks"]) == 1


@pytest.mark.parametrize("ahead", [FIVE_MINUTES, -FIVE_MINUTES])
def test_a_clock_that_differs_by_five_minutes_ends_no_cell(store, toys, look, monkeypatch, ahead):
    """Our clock against the file server's; what runs is on a machine that is not this one."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", 15.0)  # nobody beats here
    grid = toys(toy_grid(1))
    target = Target(Local(), make_profile({"gpus": 0}), function=TOY)
    monkeypatch.setattr(Local, "submit", lambda *_: "1")
    ((batch, _),) = launch(LaunchRequest(store, grid, target)).batches
    there = {"machine": "another", "host": "another"}
    lease.acquire(lease_folder(Journal(store), batch.id), myself() | there)
    run = store.run(grid.cells[0].signature)
    claim = lease.acquire(run.state_folder, myself(batch=batch.id, index=0) | there)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    assert look(grid) == [("running", None)]
    assert launch(LaunchRequest(store, grid, target)).batches == ()
    with pytest.raises(lease.LeaseHeldError):
        lease.acquire(run.state_folder, myself(), wait=False)
    os.utime(claim.path, (1, 1))  # silent by every clock
    assert look(grid) == [("interrupted", "silent")]


def test_what_a_file_server_shows_late_makes_two_jobs_at_most_and_one_run(
    store, toys, go, look, fake_slurm, monkeypatch
):
    grid = toys(toy_grid(2))
    go(grid)
    real = os.listdir
    with monkeypatch.context() as patch:  # another host does not see the marks yet
        patch.setattr(os, "listdir", lambda f: [n for n in real(f) if n != "queued.json"])
        assert go(grid) == ["101"]
    for job, index in ((100, 0), (101, 0), (101, 1), (100, 1)):
        assert fake_slurm.run(job, index) == 0
    assert look(grid) == [("done", None)] * 2
    assert [len(store.run(c.signature).attempts()) for c in grid.cells] == [1, 1]


def test_of_two_that_claim_while_claims_show_late_one_has_it(tmp_path, monkeypatch):
    first = lease.acquire(tmp_path, myself())
    real, hidden = os.listdir, []

    def late(folder):
        hidden.append(folder)
        return real(folder) if len(hidden) > 5 else []

    monkeypatch.setattr(os, "listdir", late)
    with pytest.raises(lease.LeaseHeldError):
        lease.acquire(tmp_path, myself(), wait=False)
    assert first.held()
    assert process.is_gone(lease.latest(tmp_path).holder) is False
