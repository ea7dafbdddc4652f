"""The whole life of cells on a SLURM of mocked commands."""

from __future__ import annotations

import json
import os
import signal

import pytest
import toy_cells
from slurm_cluster import wait_for
from toy_grids import slurm_target, toy_grid

from core.errors import UserError
from launch.executors import slurm_queries as slurm
from launch.executors.profile import make_profile
from launch.executors.slurm import Slurm
from launch.records import lease
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest, plan_launch
from launch.submit.retry import parse_rules

pytestmark = pytest.mark.usefixtures("fake_slurm", "quick")


def test_a_grid_becomes_one_array_and_its_cells_run(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(2), steps=3)
    assert look(grid) == [("new", None)] * 2
    assert go(grid) == ["100"]
    assert look(grid) == [("queued", None)] * 2
    assert fake_slurm.run(100, 0) == 0
    assert look(grid) == [("done", None), ("queued", None)]
    assert fake_slurm.run(100, 1) == 0
    assert look(grid) == [("done", None)] * 2
    for cell in grid.cells:
        record = json.loads(store.run(cell.signature).result("ap").read_text())
        assert record["figures"]["AP"] == toy_cells.expected_ap(3)
    assert "finished at step 3" in store.run(grid.cells[0].signature).log(1).read_text()


def test_a_single_cell_is_a_job_of_its_own(toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    go(grid)
    assert not fake_slurm.jobs["100"]["array"]
    assert look(grid) == [("queued", None)]
    fake_slurm.run(100)
    assert look(grid) == [("done", None)]


def test_launching_again_submits_only_what_is_missing(toys, go, fake_slurm):
    grid = toys(toy_grid(3))
    assert go(grid) == ["100"]
    assert go(grid) == []
    fake_slurm.run(100, 0)
    fake_slurm.start(100, 1).wait()
    assert go(grid) == []
    bigger = toys(toy_grid(4))
    assert go(bigger) == ["101"]
    assert len(fake_slurm.jobs["101"]["tasks"]) == 1


def test_grids_share_the_runs_of_the_cells_that_they_share(store, toys, go, look, fake_slurm):
    first, second = toys(toy_grid(2, "one")), toys(toy_grid(3, "two", ("ap", "flops")))
    go(first)
    assert go(second) == ["101"]  # the third cell; the first two are queued
    fake_slurm.run(100, 0)
    assert [row[0] for row in look(second)] == ["done", "queued", "queued"]
    third = toys(toy_grid(1, "three", ("ap", "fps")))
    assert look(third) == [("interrupted", None)]
    assert go(third) == ["102"]
    fake_slurm.run(102)
    assert look(third) == [("done", None)]
    assert store.run(third.cells[0].signature).measure() == ("ap", "flops", "fps")


def test_arrays_are_split_below_the_sites_limit_and_by_shape(toys, go, fake_slurm):
    fake_slurm.set(config={"ClusterName": "fake", "MaxArraySize": "3"})
    assert go(toys(toy_grid(5))) == ["100", "101", "102"]
    sizes = [len(job["tasks"]) for job in fake_slurm.jobs.values()]
    assert sizes == [2, 2, 1]
    fake_slurm.set(config={"ClusterName": "fake", "MaxArraySize": "1001"})
    slurm.settings.cache_clear()
    rules = [{"when": {"seed": [5, 7]}, "set": {"memory": "64G"}}]
    assert go(toys(toy_grid(8)), rules=None, max_array_size=10) == ["103"]
    options = fake_slurm.jobs["103"]["options"]
    assert options["array"] == "0-2%3"
    launch_with_rules = make_profile({"gpus": 0, "rules": rules})
    assert [launch_with_rules.shape(c.config).memory for c in toy_grid(6).cells][4:] == [
        None,
        "64G",
    ]


def test_each_shape_gets_an_array_of_its_own(store, toys, fake_slurm):
    rules = [{"when": {"seed": [1, 2]}, "set": {"gpus": 2}}]
    grid = toys(toy_grid(4))
    launch(LaunchRequest(store, grid, slurm_target(rules=rules, partition="main")))
    plain, large = fake_slurm.jobs["100"]["options"], fake_slurm.jobs["101"]["options"]
    assert "gpus-per-node" not in plain
    assert (large["gpus-per-node"], large["ntasks-per-node"]) == ("2", "2")
    assert plain["partition"] == large["partition"] == "main"
    assert plain["signal"] == "USR2@120"


def test_two_tasks_work_on_one_cell(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1), steps=3, sleep=0.2)
    go(grid, gpus=2)
    assert fake_slurm.run(100) == 0
    run = store.run(grid.cells[0].signature)
    assert look(grid) == [("done", None)]
    assert len(run.attempts()) == 1
    assert len(run.history.read_text().splitlines()) == 3
    assert "finished at step 3" in (run.path / "logs/1.rank1.log").read_text()


def test_a_failing_cell_is_left_alone_unless_the_user_insists(toys, go, look, fake_slurm):
    grid = toys(toy_grid(2), raise_at=2)
    go(grid)
    fake_slurm.run(100, 0)
    assert look(grid) == [("failed", "error"), ("queued", None)]
    assert go(grid) == []
    assert go(grid, parse_rules(["error"])) == ["101"]
    fake_slurm.run(101)
    assert look(grid)[0] == ("done", None)


@pytest.mark.slow
def test_a_warned_cell_is_requeued_and_resumes(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1), steps=9, wait_at=4, checkpoint_every=10**6)
    go(grid)
    run = store.run(grid.cells[0].signature)
    process = fake_slurm.start(100)
    wait_for(run.history.exists, 120, "the first step")
    signal_task(run)
    process.wait(timeout=120)
    assert fake_slurm.calls("scontrol")[-1] == "scontrol requeue 100"
    assert look(grid)[0][0] == "queued"
    assert go(grid) == []
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)]
    lines = [json.loads(line) for line in run.history.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 10))
    assert {line["attempt"] for line in lines} == {1, 2}
    result = json.loads(run.result("ap").read_text())["figures"]["AP"]
    assert result == toy_cells.expected_ap(9)


def signal_task(run, number=signal.SIGUSR2):
    os.kill(lease.latest(run.state_folder).holder["pid"], number)


def test_a_cell_that_is_restarted_without_a_word_resumes(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1), steps=9, wait_at=4)
    go(grid)
    run = store.run(grid.cells[0].signature)
    process = fake_slurm.start(100)
    wait_for(run.history.exists, 120, "the first step")
    signal_task(run, signal.SIGKILL)
    process.wait(timeout=120)
    fake_slurm.task(100, state="PENDING", restarts=1)  # scontrol requeue
    assert look(grid)[0][0] == "queued"
    assert go(grid) == []
    fake_slurm.run(100)
    assert look(grid) == [("done", None)]
    assert json.loads(run.result("ap").read_text())["figures"]["AP"] == toy_cells.expected_ap(9)


def test_while_a_batch_is_being_submitted_others_leave_it_alone(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    seen = []

    def watch(*_):
        seen.extend(look(grid, notes=True))
        return "100"

    original = Slurm.submit
    Slurm.submit = watch
    try:
        go(grid)
    finally:
        Slurm.submit = original
    assert seen == ["being submitted"]


def test_planning_changes_nothing(store, toys, go, fake_slurm):
    grid = toys(toy_grid(3))
    go(toys(toy_grid(1)))
    fake_slurm.task(100, state="TIMEOUT")
    before = sorted((p, p.stat().st_mtime_ns) for p in store.root.rglob("*"))
    fake_slurm.forget_calls()
    plan = plan_launch(LaunchRequest(store, grid, slurm_target()))
    assert [(c.action, c.note) for c in plan.cells] == [
        ("new", "timeout"),
        ("new", ""),
        ("new", ""),
    ]
    assert plan.counts() == {"new": 3}
    assert [len(batch.cells) for batch in plan.batches] == [3]
    assert sorted((p, p.stat().st_mtime_ns) for p in store.root.rglob("*")) == before
    assert {call.split()[0] for call in fake_slurm.calls()} <= {"squeue", "sacct", "scontrol"}
    assert len(fake_slurm.calls("squeue")) == 1


def test_without_slurm_the_plan_says_so(store, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="use --executor local"):
        plan_launch(LaunchRequest(store, toy_grid(1), slurm_target()))


def test_a_plan_without_an_answering_cluster_says_that_its_limits_are_unknown(store, fake_slurm):
    fake_slurm.set(down=True)
    plan = plan_launch(LaunchRequest(store, toy_grid(1), slurm_target()))
    assert [len(batch.cells) for batch in plan.batches] == [1]
    assert "SLURM does not answer, so the site's limits are unknown" in plan.problems[0]
    with pytest.raises(UserError, match="Unable to contact slurm controller"):
        launch(LaunchRequest(store, toy_grid(1), slurm_target()))
