"""Room for jobs, memory that grows, profiles that change, and cells that are held."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
from toy_cells import write_toy
from toy_grids import slurm_target, toy_grid

import launch.submit.follow as following
from core.errors import UserError
from launch.cancel import hold
from launch.commands import LaunchOptions, run_launch
from launch.executors.base import Target
from launch.executors.local import Local
from launch.executors.memory import size
from launch.executors.profile import make_profile
from launch.records import lease
from launch.records.failures import of_gpu
from launch.records.process import myself
from launch.submit.follow import follow
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest, plan_launch
from launch.submit.retry import parse_rules

pytestmark = pytest.mark.usefixtures("quick")
GROWS = {"memory": "32G", "on_out_of_memory": {"memory": 1.5, "most": "60G"}}


@pytest.fixture
def ends(store, fake_slurm, monkeypatch):
    """``ends("OUT_OF_MEMORY")``: how each job ends, one after the other, while time passes."""

    def plan(*words):
        left = list(words)

        def sleep(seconds):
            for job_id, job in fake_slurm.jobs.items():
                for index, task in job["tasks"].items():
                    if task["state"] == "PENDING":
                        word = left.pop(0) if left else "COMPLETED"
                        run_to(store, fake_slurm, job_id, int(index), word)

        monkeypatch.setattr(following, "time", SimpleNamespace(sleep=sleep))

    return plan


def run_to(store, fake_slurm, job_id, index, word):
    """Have a task end in a word; an end that is no success without ever running the cell."""
    if word == "COMPLETED":
        fake_slurm.run(job_id, index)
        return
    job = fake_slurm.jobs[job_id]
    batch = job["name"].removeprefix("tevit-")
    record = json.loads((store.journal / "batches" / f"{batch}.json").read_text())
    folder = store.run(record["signatures"][index]).state_folder
    lease.acquire(folder, myself(batch=batch, index=index, machine="n1"), wait=False)
    os.utime(folder / f"{lease.latest(folder).number}.json", (1, 1))
    fake_slurm.task(job_id, index, state=word)


def memories(fake_slurm):
    return [job["options"]["mem"] for job in fake_slurm.jobs.values()]


def test_out_of_memory_a_cell_is_tried_again_with_more_up_to_a_most(
    store, toys, fake_slurm, ends, look, capsys
):
    grid = toys(toy_grid(1))
    ends("OUT_OF_MEMORY", "PREEMPTED", "OUT_OF_MEMORY", "OUT_OF_MEMORY")
    target = slurm_target(**GROWS)
    launch(LaunchRequest(store, grid, target))
    follow(LaunchRequest(store, grid, target), interval=0.1)
    # grown after the first, kept after the preemption, at most 60G after the third
    assert memories(fake_slurm) == ["32G", "48G", "48G", "60G"]
    assert look(grid) == [("failed", "out of memory")]
    left = plan_launch(LaunchRequest(store, grid, target))
    assert left.cells[0].note == "not tried again after: out of memory (--retry out-of-memory)"
    more = plan_launch(LaunchRequest(store, grid, slurm_target(**GROWS | {"memory": "64G"})))
    assert more.batches == ()  # the most is what the profile says it is


def test_what_a_cell_gets_is_shown_in_plan_and_status(store, toys, fake_slurm, look):
    grid = toys(toy_grid(2))
    target = slurm_target(**GROWS)
    launch(LaunchRequest(store, grid, target))
    run_to(store, fake_slurm, "100", 0, "OUT_OF_MEMORY")
    look(grid)
    planned = plan_launch(LaunchRequest(store, grid, target))
    assert (planned.cells[0].action, planned.cells[0].note) == (
        "retry",
        "failed: out of memory; now with 48G",
    )
    assert planned.outdated == []
    launch(LaunchRequest(store, grid, target))
    assert look(grid, notes=True) == ["memory 48G, after it ran out of less", ""]
    assert plan_launch(LaunchRequest(store, grid, target)).problems == []


def test_without_the_field_nothing_grows(store, toys, fake_slurm, look, go):
    grid = toys(toy_grid(1))
    go(grid, memory="32G")
    run_to(store, fake_slurm, "100", 0, "OUT_OF_MEMORY")
    assert look(grid) == [("failed", "out of memory")]
    assert go(grid, memory="32G") == []
    assert go(grid, parse_rules(["out-of-memory"]), memory="32G") == ["101"]
    assert memories(fake_slurm) == ["32G", "32G"]


def test_a_gpu_that_is_full_asks_for_no_more_host_memory(store, toys, fake_slurm, look):
    class OutOfMemoryError(RuntimeError):
        pass

    assert of_gpu(OutOfMemoryError("CUDA out of memory"))
    assert not of_gpu(MemoryError())
    grid = toys(toy_grid(1))
    launch(LaunchRequest(store, grid, slurm_target(**GROWS)))
    folder = store.run(grid.cells[0].signature).state_folder
    batch = lease.read_dict(folder / "queued.json")["batch"]
    claim = lease.acquire(folder, myself(batch=batch, index=0))
    claim.end({"outcome": "failed", "cause": "out of memory", "memory": "gpu"})
    assert plan_launch(LaunchRequest(store, grid, slurm_target(**GROWS))).batches == ()


def test_sizes_are_read_as_slurm_reads_them():
    assert size("32G") == 32 * 2**30
    assert size("1.5T") == 1.5 * 2**40
    assert size("49152M") == size("48GB")
    assert size("300") == 300 * 2**20


def test_no_room_at_all_and_waiting_goes_on_until_there_is(
    store, toys, fake_slurm, ends, capsys, monkeypatch
):
    grid = toys(toy_grid(2))
    fake_slurm.set(submit_limit=0)
    ends()
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 8:
            fake_slurm.set(submit_limit=1)
        for job_id, job in fake_slurm.jobs.items():
            if job["tasks"]["0"]["state"] == "PENDING":
                fake_slurm.run(job_id)

    following.time.sleep = sleep
    reports = []
    monkeypatch.setattr(
        "launch.commands.run_report", lambda _: reports.append(len(looks)) or "report: made"
    )
    options = LaunchOptions(wait=True, interval=0.1, report=True)
    assert run_launch(LaunchRequest(store, grid, slurm_target()), options)
    assert reports == [len(looks)]  # no job could wait for those that were not in yet
    printed = " ".join(capsys.readouterr().out.split())
    assert "toys: nothing submitted 2 cells found no room: SLURM did not take the jobs" in printed
    assert {store.run(c.signature).state().name for c in grid.cells} == {"done"}
    assert sum(len(job["tasks"]) for job in fake_slurm.jobs.values()) == 2


def test_an_array_longer_than_the_site_takes_is_split_whatever_the_profile_says(
    toys, go, fake_slurm
):
    fake_slurm.set(config={"ClusterName": "fake", "MaxArraySize": "3"})
    assert go(toys(toy_grid(5)), max_array_size=100) == ["100", "101", "102"]


def test_queued_cells_are_put_in_anew_where_the_profile_changed(store, toys, go, fake_slurm, look):
    grid = toys(toy_grid(3), steps=9, wait_at=4)
    go(grid)
    process = fake_slurm.start(100, 0)
    try:
        done = launch(LaunchRequest(store, grid, slurm_target(memory="2G")), replace_queued=True)
        assert fake_slurm.calls("scancel")[0].startswith("scancel --state=PENDING 100_")
        assert [batch.names for batch, _ in done.batches] == [("a=x,s1", "a=x,s2")]
        assert fake_slurm.state(100, 0) == "RUNNING"
        assert [fake_slurm.state(100, k) for k in (1, 2)] == ["CANCELLED"] * 2
    finally:
        (store.run(grid.cells[0].signature).path / "go").touch()
        process.wait(timeout=120)
    again = launch(LaunchRequest(store, grid, slurm_target(memory="2G")), replace_queued=True)
    assert again.batches == ()


def test_what_is_refused_takes_nothing_back(store, toys, go, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    seen = []

    def refuse(plan):
        seen.append(plan)
        raise UserError("too dear")

    with pytest.raises(UserError, match="too dear"):
        launch(LaunchRequest(store, grid, slurm_target(memory="2G")), replace_queued=True,
               check=refuse)  # fmt: skip
    assert [c.name for b in seen[0].batches for c in b.cells] == ["a=x,s0", "a=x,s1"]
    assert fake_slurm.calls("scancel") == []
    assert [fake_slurm.state(100, k) for k in (0, 1)] == ["PENDING"] * 2


def test_packed_cells_are_put_in_anew_too(store, toys, go, fake_slurm):
    grid = toys(toy_grid(4))
    go(grid, pack={"cells": 2})
    target = slurm_target(pack={"cells": 4})
    (problem,) = plan_launch(LaunchRequest(store, grid, target)).problems
    assert "now (pack)" in problem
    launch(LaunchRequest(store, grid, target), replace_queued=True)
    assert fake_slurm.calls("scancel") == ["scancel --state=PENDING 100"]
    assert len(fake_slurm.jobs["101"]["tasks"]) == 1


def test_cells_are_held_and_released(store, toys, go, fake_slurm, look):
    grid = toys(toy_grid(3))
    go(grid)
    fake_slurm.run(100, 2)
    cells = store.manifest("toys").cells
    assert hold(store, cells[:1], release=False) == [cells[0]]
    assert look(grid, notes=True) == ["JobHeldUser", "", ""]
    assert [cell.name for cell in hold(store, cells, release=True)] == ["a=x,s0", "a=x,s1"]
    assert look(grid, notes=True) == ["", "", ""]
    assert fake_slurm.calls("scontrol")[-1] == "scontrol release 100_0 100_1"


def test_packed_cells_are_held_all_together_and_local_ones_not_at_all(
    store, toys, go, fake_slurm, look
):
    grid = toys(toy_grid(3))
    go(grid, pack={"cells": 2})
    cells = store.manifest("toys").cells
    with pytest.raises(UserError, match="1 of 3 cells of the packed jobs 100"):
        hold(store, cells[:1], release=False)
    assert len(hold(store, cells, release=False)) == 3
    assert look(grid, notes=True) == ["JobHeldUser"] * 3
    with pytest.raises(UserError, match="the executor local cannot hold cells: tevit cancel"):
        Local().hold([], release=False)


def test_further_fields_become_options(store, toys, fake_slurm):
    target = slurm_target(
        memory_per_cpu="2G",
        reservation="week",
        nice=50,
        mail={"to": "me@site.org"},
        dependency="afterok:7",
        extra={"exclude": "n7"},
    )
    launch(LaunchRequest(store, toys(toy_grid(1)), target))
    options = fake_slurm.jobs["100"]["options"]
    assert {name: options[name] for name in ("mem-per-cpu", "reservation", "nice")} == {
        "mem-per-cpu": "2G",
        "reservation": "week",
        "nice": "50",
    }
    assert (options["mail-user"], options["mail-type"]) == ("me@site.org", "END,FAIL")
    assert (options["dependency"], options["exclude"]) == ("afterok:7", "n7")
    waits = target.executor.waiting({"dependency": "afterok:7"}, "12")
    assert waits["dependency"] == "afterok:7,afterany:12"


def test_all_of_a_nodes_memory(store, toys, fake_slurm):
    launch(LaunchRequest(store, toys(toy_grid(1)), slurm_target(memory=0)))
    assert memories(fake_slurm) == ["0"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"memory": "1G", "memory_per_cpu": "1G"}, "SLURM takes one of them"),
        ({"on_out_of_memory": {"memory": 2, "most": "9G"}}, "needs memory, such as 32G"),
        ({"memory": "1G", "on_out_of_memory": {"memory": 1, "most": "9G"}}, "greater than 1"),
        ({"memory": "1G", "on_out_of_memory": {"memory": 2}}, "most"),
        ({"mail": {"to": "me", "when": ["LATER"]}}, "BEGIN"),
        ({"extra": {"mem-per-cpu": "1G"}}, "use the field memory_per_cpu"),
        ({"extra": {"mail-type": "END"}}, "use the field mail"),
        ({"extra": {"dependency": "afterok:1"}}, "use the field dependency"),
        ({"extra": {"--nice": 5}}, "use the field nice"),
        ({"extra": {"gres": "gpu:2"}}, "use the fields gpus and gpu_type"),
        ({"extra": {"chdir": "/"}}, "the launcher sets this option itself"),
    ],
)
def test_fields_and_options_that_clash_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        make_profile(fields)
    assert make_profile({"extra": {"gres": "disk:10G"}})


def test_a_store_with_a_percent_sign_is_refused_with_a_way_out(tmp_path, fake_slurm, toys):
    from launch.records.store import Store

    odd, local = Store(tmp_path / "100%_a"), Target(Local(), make_profile({"gpus": 0}))
    for target in (slurm_target(), local):
        with pytest.raises(UserError, match="has a % in its path"):
            launch(LaunchRequest(odd, toy_grid(1), target))
    odd.root.mkdir(exist_ok=True)
    (tmp_path / "plain").symlink_to(odd.root)
    plain, grid = Store(tmp_path / "plain"), toy_grid(2)
    for cell in grid.cells:
        write_toy(plain.run(cell.signature).path)
    launch(LaunchRequest(plain, grid, slurm_target()))
    assert fake_slurm.run(100, 1) == 0
    assert plain.run(grid.cells[1].signature).state(("ap",)).name == "done"
