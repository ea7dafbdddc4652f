"""Several tasks on one cell, and where a task finds itself."""

from __future__ import annotations

import os
import threading
import time

import pytest
from toy_grids import TOY

from launch.node import job_environment as surroundings
from launch.node import task
from launch.node.job_environment import JobEnvironment
from launch.node.task import CellTask
from launch.records import lease, process

SLURM = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "77"}


def cell(run, **settings):
    return CellTask(str(run.path), "b1", 0, TOY, **settings)


def test_a_follower_waits_for_the_leader_of_the_same_start(make_run, signals, monkeypatch):
    run = make_run(steps=2)
    for name, value in (SLURM | {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}).items():
        monkeypatch.setenv(name, value)
    results = []
    thread = threading.Thread(target=lambda: results.append(cell(run)()))
    thread.start()
    time.sleep(0.1)
    lease.acquire(run.state_folder, process.myself(job_id="77", restarts=0))
    thread.join(timeout=30)
    assert results == ["followed"]
    assert not run.history.exists()  # only the leader writes
    assert (run.path / "logs/1.rank1.log").exists()


def test_a_failing_follower_leaves_the_failure(make_run, signals, monkeypatch):
    run = make_run(raise_at=1)
    lease.acquire(run.state_folder, process.myself(job_id="77", restarts=0))
    for name, value in (SLURM | {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError):
        cell(run)()
    assert run.failure()["rank"] == 1
    assert run.state().name == "failed"


def test_a_follower_without_a_leader_gives_up(make_run, monkeypatch):
    run = make_run()
    where = JobEnvironment(scheduler="slurm", job_id="77", rank=1, tasks=2)
    assert task._leaders_claim(run, where, seconds=0.3) is None
    lease.acquire(run.state_folder, process.myself(job_id="77", restarts=1))  # another start
    assert task._leaders_claim(run, where, seconds=0.3) is None
    run.mark_cancelled()
    assert task._leaders_claim(run, where) is None


# --- surroundings --------------------------------------------------------------------------------


def test_surroundings_are_read_from_the_environment():
    assert JobEnvironment.detect({}) == JobEnvironment()
    array = SLURM | {
        "SLURM_ARRAY_JOB_ID": "70",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_RESTART_COUNT": "2",
        "SLURM_PROCID": "1",
        "SLURM_NTASKS": "4",
        "SLURM_LOCALID": "1",
        "SLURMD_NODENAME": "n2",
    }
    assert JobEnvironment.detect(array) == JobEnvironment("slurm", "70_3", 2, 1, 4, 1, "n2")
    local = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "9"}
    assert JobEnvironment.detect(local) == JobEnvironment("local", "9")


@pytest.mark.parametrize(
    ("script", "problem"),
    [("exit 0", None), ("echo no >&2; exit 1", "no"), ("exit 4", "exit 4")],
)
def test_requeue_asks_scontrol(tmp_path, monkeypatch, script, problem):
    command = tmp_path / "scontrol"
    command.write_text(f"#!/bin/sh\necho $@ > {tmp_path}/args\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert surroundings.requeue() == problem
    assert (tmp_path / "args").read_text() == "requeue 77\n"


def test_without_scontrol_requeue_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert "scontrol" in surroundings.requeue()
