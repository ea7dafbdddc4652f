"""Several cells in one job, on a SLURM of mocked commands whose jobs run for real."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from slurm_cluster import wait_for
from toy_cells import expected_ap
from toy_grids import TOY, slurm_target, toy_grid

from core.files import read_json_lines, write_json
from launch.cancel import cancel
from launch.executors.base import Target
from launch.executors.local import Local
from launch.executors.profile import Pack, ProfileError, make_profile
from launch.node.pack import PackTask, job_of_batch, memory_limit, process_memory
from launch.node.task import CellTask
from launch.node.worker import make_pickle
from launch.records import lease
from launch.records.journal import Journal
from launch.records.process import myself
from launch.submit.plan import LaunchRequest, plan_launch
from launch.watch.logs import find_log

pytestmark = pytest.mark.usefixtures("quick")


def ap_of(run):
    return json.loads(run.result("ap").read_text())["figures"]["AP"]


def signal_worker(run, number=signal.SIGUSR2):
    """To the worker alone, as a scheduler may do it."""
    child = lease.latest(run.state_folder).holder["pid"]
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    os.kill(int(fields[1]), number)


def test_a_worker_does_its_share_and_then_what_else_waits(packed, look, fake_slurm):
    grid, runs = packed(5, cells=2)
    assert fake_slurm.jobs["100"]["options"]["array"] == "0-2%3"
    assert look(grid) == [("queued", None)] * 5
    assert fake_slurm.run(100, 1) == 0
    assert look(grid) == [("done", None)] * 5
    assert [ap_of(run) for run in runs] == [expected_ap(3)] * 5
    claims = [lease.latest(run.state_folder) for run in runs]
    assert {claim.holder["job_id"] for claim in claims} == {"100_1"}
    began = sorted(range(5), key=lambda k: claims[k].holder["time"])
    assert began == [2, 3, 4, 0, 1]
    assert "finished at step 3" in runs[0].log(1).read_text()
    assert fake_slurm.run(100, 0) == 0  # a worker that comes too late ends at once
    assert [len(run.attempts()) for run in runs] == [1] * 5


def test_what_ends_one_cell_ends_no_other(packed, look, fake_slurm, store):
    misdeeds = ["raise_at", "exit_at", "hard_exit_at", "kill_at", "crash_at"]
    grid, runs = packed(6, *({name: 2} for name in misdeeds), {}, cells=6, side_by_side=2)
    assert fake_slurm.run(100) == 0
    expected = [("failed", "error")] * 2 + [("interrupted", "died")] * 3 + [("done", None)]
    assert look(grid) == expected
    assert [run.failure()["last_line"] for run in runs[:5]] == [
        "ValueError: step 2 went wrong",
        "SystemExit: 3",
        "exit status 0",
        "killed by SIGKILL",
        "killed by SIGSEGV",
    ]
    assert "Segmentation fault" in runs[4].failure()["traceback"]


def test_warned_the_cells_stop_and_the_job_starts_again_with_them(packed, look, fake_slurm):
    waits = {"steps": 9, "wait_at": 4, "checkpoint_every": 10**6}
    grid, runs = packed(3, waits, waits, {}, cells=3, side_by_side=2)
    process = fake_slurm.start(100)
    wait_for(lambda: all(run.history.exists() for run in runs[:2]), 120, "both cells")
    signal_worker(runs[0])
    assert process.wait(timeout=120) == 75
    assert fake_slurm.calls("scontrol")[-1] == "scontrol requeue 100"
    assert look(grid) == [("queued", "preempted")] * 2 + [("queued", None)]
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)] * 3
    for run in runs[:2]:
        assert [line["step"] for line in read_json_lines(run.history)] == list(range(1, 10))
        assert ap_of(run) == expected_ap(9)
    assert [len(run.attempts()) for run in runs] == [2, 2, 1]


@pytest.mark.slow  # ten seconds of grace for one whose threads are blocked, too
@pytest.mark.parametrize("how", ["block_at", "freeze_at"])
def test_blocked_in_c_code_a_cell_is_left_over_its_head(packed, look, fake_slurm, how):
    grid, runs = packed(2, {how: 2}, {}, signal_delay=2)
    process = fake_slurm.start(100)
    wait_for(runs[0].history.exists, 120, "the cell")
    signal_worker(runs[0])
    assert process.wait(timeout=120) == 75
    assert look(grid)[0][0] == "queued"
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)] * 2


def test_sigterm_alone_is_not_the_end_of_a_job(packed, look, fake_slurm, store):
    """A cell that it ends all the same is given back when the job is warned after it."""
    grid, runs = packed(1, {"steps": 9, "wait_at": 4}, cells=2)
    process = fake_slurm.start(100)
    wait_for(runs[0].history.exists, 120, "the cell")
    signal_worker(runs[0], signal.SIGTERM)
    wait_for(lambda: "stopped at step" in runs[0].log(1).read_text(), 120, "the cell to stop")
    signal_worker(runs[0])
    assert process.wait(timeout=120) == 75
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)]


def test_one_of_several_is_cancelled_and_the_last_ones_take_their_jobs_along(
    packed, look, fake_slurm, store
):
    waits = {"steps": 9, "wait_at": 4}
    grid, runs = packed(4, waits, {}, {}, {}, cells=2, array_parallelism=1)
    process = fake_slurm.start(100)
    wait_for(runs[0].history.exists, 120, "the first cell")
    assert look(grid, notes=True) == ["", *["packed: waits for its turn"] * 3]
    assert find_log(store, runs[0].signature, scheduler=True).name == "100_0_0_log.out"
    cells = store.manifest("toys").cells
    assert len(cancel(store, [cells[0], cells[2]]).cells) == 2
    assert fake_slurm.calls("scancel") == []
    assert process.wait(timeout=120) == 0
    cancelled = ("interrupted", "cancelled")
    assert look(grid) == [cancelled, ("done", None), cancelled, ("done", None)]
    assert not runs[2].attempts()


def test_when_all_are_cancelled_their_jobs_go(packed, look, fake_slurm, store):
    grid, _ = packed(4)
    cancel(store, store.manifest("toys").cells)
    assert fake_slurm.calls("scancel") == ["scancel 100"]
    assert look(grid) == [("interrupted", "cancelled")] * 4


def test_cells_whose_workers_are_gone_are_free(packed, look, go, fake_slurm):
    grid, _ = packed(3, cells=2)
    fake_slurm.task(100, 0, state="OUT_OF_MEMORY")
    assert look(grid) == [("queued", None)] * 3  # the other worker will take them
    fake_slurm.task(100, 1, state="TIMEOUT")
    assert look(grid) == [("interrupted", "lost")] * 3
    assert go(grid) == ["101"]


def test_a_worker_dies_with_a_cell_and_the_cell_says_how(packed, look, fake_slurm):
    grid, runs = packed(3, {"steps": 9, "wait_at": 4}, {}, {}, cells=3)
    process = fake_slurm.start(100)
    wait_for(runs[0].history.exists, 120, "the cell")
    holder = lease.latest(runs[0].state_folder).holder
    os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: lease.is_gone(holder), 120, "the cell to be gone")
    fake_slurm.task(100, state="NODE_FAIL")
    assert look(grid) == [("interrupted", "node failure")] + [("interrupted", "lost")] * 2


def test_started_again_on_another_node_a_worker_takes_what_its_former_copy_was_at(
    packed, look, fake_slurm
):
    grid, runs = packed(2)
    batch = lease.read_dict(runs[0].queued_path)["batch"]
    where = {"job_id": "100", "restarts": 0, "machine": "n2"}
    lease.acquire(runs[0].state_folder, myself(batch=batch, index=0) | where)
    fake_slurm.task(100, restarts=1)
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)] * 2
    assert [len(run.attempts()) for run in runs] == [2, 1]


def test_a_mark_that_shows_late_keeps_no_worker_from_its_cells_and_a_later_one_does(
    packed, fake_slurm
):
    _, runs = packed(3, cells=3)
    runs[0].queued_path.unlink()  # as a node may see it for a while
    runs[1].mark_queued("99991231-235959-later", 0)
    assert fake_slurm.run(100) == 0
    assert [run.state(("ap",)).name for run in runs] == ["done", "queued", "done"]


def test_over_the_memory_of_the_job_the_largest_cell_ends(packed, look, fake_slurm, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "400")
    grid, runs = packed(2, {"steps": 9, "wait_at": 4}, {"allocate_at": 1}, side_by_side=2)
    process = fake_slurm.start(100)
    wait_for(runs[1].failure_path.exists, 120, "the cell to be ended")
    (runs[0].path / "go").touch()
    assert process.wait(timeout=120) == 0
    assert look(grid) == [("done", None), ("failed", "out of memory")]
    assert "of the job had" in runs[1].failure()["last_line"]


def test_memory_is_measured_and_limited_per_node_or_per_core():
    assert memory_limit({"SLURM_MEM_PER_NODE": "2"}) == 2 * 2**20
    assert memory_limit({"SLURM_MEM_PER_CPU": "2", "SLURM_CPUS_ON_NODE": "3"}) == 6 * 2**20
    assert memory_limit({"SLURM_MEM_PER_NODE": "0"}) == memory_limit({}) == 0
    mine = process_memory(os.getpid())
    assert 10e6 < process_memory(os.getpid(), shared_out=True) <= 1.1 * mine
    assert process_memory(2**22 + 1) == 0


def test_a_run_that_others_start_from_has_a_job_of_its_own(store, fake_slurm):
    grid = toy_grid(3)
    first, *others = grid.cells
    followers = tuple(replace(cell, start=first) for cell in others)
    target = slurm_target(pack={"cells": 2})
    plan = plan_launch(LaunchRequest(store, replace(grid, cells=followers), target))
    assert [(len(b.cells), dict(b.pack)) for b in plan.batches] == [
        (1, {}),
        (2, {"cells": 2, "side_by_side": 1}),
    ]


def test_the_pickle_of_a_packed_job_can_be_made_from_the_record(packed, store, tmp_path):
    from submitit.core.utils import DelayedSubmission

    packed(3)
    journal = Journal(store)
    (batch,) = journal.ids()
    file = journal.folder / f"{batch}.json"
    make_pickle(file, 1, tmp_path / "made.pkl")
    made = DelayedSubmission.load(tmp_path / "made.pkl").function
    assert made == PackTask(str(file), 1)
    record = json.loads(file.read_text())
    write_json(file, {key: value for key, value in record.items() if key != "pack"})
    assert isinstance(job_of_batch(file, 1), CellTask)  # as batches were before
    assert journal.read(batch).jobs == 3


def test_cells_on_several_gpus_are_not_packed():
    with pytest.raises(ProfileError, match="only cells with one GPU or none can share a job"):
        make_profile({"gpus": 2, "pack": {"cells": 2}})
    rules = [{"when": {"seed": 1}, "set": {"gpus": 2}}, {"when": {"seed": 2}, "set": {"cpus": 2}}]
    several, one = make_profile({"pack": {"cells": 2}, "rules": rules}).rule_shapes
    assert (several.pack, one.pack) == (None, Pack(cells=2))
    rules[0]["set"]["pack"] = {"cells": 3}
    with pytest.raises(ProfileError, match="only cells with one GPU"):
        make_profile({"pack": {"cells": 2}, "rules": rules})


def test_what_packing_does_is_said_before_the_launch(store, fake_slurm):
    target = slurm_target(pack={"cells": 4, "side_by_side": 2})
    grid = toy_grid(9, measure=("ap", "fps"))
    plan = plan_launch(LaunchRequest(store, grid, target))
    assert target.executor.place(plan.batches[0]).startswith(
        "a job array of 3 with 4 cells each, 2 at a time, with "
    )
    assert plan.problems == [
        "cells that run side by side share the GPU, so their fps suffers: measure fps with "
        "side_by_side: 1"
    ]


def test_locally_cells_side_by_side_share_a_gpu(store, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    profile = make_profile({"gpus": 1, "pack": {"cells": 4, "side_by_side": 2}})
    plan = plan_launch(LaunchRequest(store, toy_grid(5), Target(Local(), profile, 8, TOY)))
    assert plan.batches[0].parameters["gpus"] == [["0"], ["1"], ["0"], ["1"]]
