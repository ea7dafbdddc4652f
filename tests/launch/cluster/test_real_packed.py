"""Packed jobs on the real SLURM; over the time limit: test_real_slurm's storm."""

from __future__ import annotations

import pytest
from slurm_cluster import wait_for
from test_real_slurm import Study
from toy_cells import expected_ap

from launch.cancel import cancel
from launch.executors import slurm_queries as slurm
from launch.records import lease

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("real_slurm")]


@pytest.fixture
def study(store):
    return lambda count, cells, side_by_side=1, **profile: Study(
        store, count, pack={"cells": cells, "side_by_side": side_by_side}, **profile
    )


def test_one_worker_keeps_its_gpu_busy_and_what_ends_one_cell_ends_no_other(study):
    grid = study(7, 7, side_by_side=2, gpus=1, cpus=2, memory="400M")
    misdeeds = ["raise_at", "exit_at", "hard_exit_at", "crash_at"]
    for k, name in enumerate(misdeeds):
        grid.toy(k, **{name: 2})
    grid.toy(4, allocate_at=2, pause=0.5, megabytes=2000)
    for k in (5, 6):
        grid.toy(k)
    (_, job), *others = grid.launch().batches
    assert not others
    died = ("interrupted", "died")
    grid.wait([*[("failed", "error")] * 2, died, died, ("failed", "out of memory"), *["done"] * 2])
    assert [grid.ap(k) for k in (5, 6)] == [expected_ap(3)] * 2
    assert {lease.latest(grid.run(k).state_folder).holder["job_id"] for k in range(7)} == {job}
    assert "killed by SIGSEGV" in grid.run(3).failure()["last_line"]
    wait_for(lambda: not slurm.run_slurm(["squeue", "-h", "-j", job]), 120, "the job to end")


def test_preempted_a_worker_gives_its_cells_back_and_another_takes_what_waits(study):
    grid = study(4, 2, extra={"nodelist": "n2"}, array_parallelism=1)
    for k in range(4):
        grid.toy(k, steps=9, wait_at=4, checkpoint_every=10**6)
    grid.launch()
    grid.started(0)
    command = ["sbatch", "-p", "high", "-w", "n2", "--exclusive", "-o", "/dev/null"]
    slurm.run_slurm([*command, "--wrap", "sleep 1"])
    wait_for(lambda: grid.ends(0)[:1] == ["requeued"], 240, "the checkpoint")
    for k in range(1, 4):
        grid.go(k)
    grid.wait(["done"] * 4)
    assert [grid.ap(k) for k in range(4)] == [expected_ap(9)] * 4
    assert grid.steps(0) == list(range(1, 10))
    assert [grid.ends(k) for k in range(4)] == [["requeued", "done"], *[["done"]] * 3]


def test_a_packed_cell_is_cancelled_alone_and_a_lost_worker_loses_none(study, real_slurm):
    grid = study(4, 2)
    for k in range(4):
        grid.toy(k, steps=9, wait_at=4)
    grid.launch()
    grid.started(0)
    grid.started(2)
    cancel(grid.store, [grid.store.manifest("toys").cells[3]])
    first = lease.latest(grid.run(0).state_folder).holder
    real_slurm.command("scontrol", "requeue", first["job_id"])
    wait_for(lambda: len(grid.run(0).attempts()) == 2, 240, "the worker to be back")
    grid.go(2)
    grid.go(1)
    grid.wait(["done"] * 3 + [("interrupted", "cancelled")])
    assert [grid.ap(k) for k in range(3)] == [expected_ap(9)] * 3


def test_a_job_goes_on_with_what_waits_for_others_and_its_time_limit_loses_nothing(study):
    """Three jobs of a cell each, for a node that takes one of them at a time."""
    one = {"extra": {"nodelist": "n3"}, "cpus": 8, "max_array_size": 1}
    grid = study(3, 1, time=1, signal_delay=30, **one)
    for k in range(3):
        grid.toy(k, steps=60 if k else 3, sleep=0.5, checkpoint_every=10**6)
    launched = grid.launch()
    assert len(launched.batches) == 3
    jobs = {job for _, job in launched.batches}
    grid.wait(["done"] * 3, 480)
    assert [grid.ap(k) for k in range(3)] == [expected_ap(k) for k in (3, 60, 60)]
    assert [grid.steps(k) for k in range(3)] == [list(range(1, n + 1)) for n in (3, 60, 60)]
    assert any("requeued" in grid.ends(k) for k in range(3))
    workers = [c.holder.get("worker") for k in range(3) for c in grid.run(k).attempts()]
    assert any(workers), "a job took a cell of another batch"
    wait_for(lambda: not slurm.run_slurm(["squeue", "-h", "-j", ",".join(jobs)]), 240, "the jobs")

    def states() -> set[str]:
        return {job.state for job in slurm.accounting(jobs)}

    # the database hears of an end later than the queue does
    wait_for(lambda: states() <= set(slurm.ENDED), 120, "sacct to hear of it")
    assert states() == {"COMPLETED"}
