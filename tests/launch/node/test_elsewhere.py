"""Packed jobs that go on with what waits of the grid, on a SLURM of mocked commands."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
from slurm_cluster import wait_for
from test_pack import ap_of, signal_worker
from toy_cells import expected_ap, write_toy
from toy_grids import slurm_target, toy_grid

from core.files import read_json, write_json
from launch.cancel import cancel, hold
from launch.node.elsewhere import Elsewhere
from launch.records import lease
from launch.records.journal import Journal
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest
from launch.watch.logs import find_log
from launch.watch.survey import survey

pytestmark = pytest.mark.usefixtures("quick")
WAITS = {"steps": 9, "wait_at": 4, "checkpoint_every": 10**6}


def batch_of(run):
    return read_json(run.queued_path)["batch"]


def job_of(run):
    return lease.latest(run.state_folder).holder["job_id"]


def test_a_job_goes_on_with_what_waits_for_other_jobs_and_these_end_at_once(
    packed, look, fake_slurm
):
    grid, runs = packed(5, max_array_size=1)  # three batches of a job each
    assert len({batch_of(run) for run in runs}) == len(fake_slurm.jobs) == 3
    assert fake_slurm.run(101) == 0
    assert look(grid) == [("done", None)] * 5
    assert {job_of(run) for run in runs} == {"101"}
    assert [lease.latest(run.state_folder).holder["batch"] for run in runs] == [
        batch_of(run) for run in runs
    ]
    assert fake_slurm.run(100) == fake_slurm.run(102) == 0
    assert [len(run.attempts()) for run in runs] == [1] * 5
    assert [ap_of(run) for run in runs] == [expected_ap(3)] * 5


def other_memory(store, grid):
    launch(LaunchRequest(store, grid, slurm_target(pack={"cells": 2}, memory="7G")))


def other_limit(store, grid):
    launch(LaunchRequest(store, grid, slurm_target(pack={"cells": 2}, time=120)))


def side_by_side(store, grid):
    pack = {"cells": 2, "side_by_side": 2}
    launch(LaunchRequest(store, grid, slurm_target(pack=pack)))


def not_packed(store, grid):
    launch(LaunchRequest(store, grid, slurm_target()))


def other_code(store, grid):
    launch(LaunchRequest(store, grid, replace(slurm_target(pack={"cells": 2}), code="0" * 16)))


def other_python(store, grid):
    launch(LaunchRequest(store, grid, slurm_target(pack={"cells": 2}, python="python3.99")))


def other_user(store, grid):
    alike(store, grid)
    change_batch(store, grid, lambda record: record["launcher"].update(uid=12345))


def not_submitted_yet(store, grid):
    alike(store, grid)
    name = batch_of(store.run(grid.cells[-1].signature))
    (Journal(store).folder / f"{name}.job.json").unlink()


def held(store, grid):
    alike(store, grid)
    hold(store, store.manifest("toys").cells[2:], release=False)


def alike(store, grid):
    launch(LaunchRequest(store, grid, slurm_target(pack={"cells": 2})))


def change_batch(store, grid, change):
    path = Journal(store).folder / f"{batch_of(store.run(grid.cells[-1].signature))}.json"
    record = read_json(path)
    change(record)
    write_json(path, record)


def found_elsewhere(store, run):
    elsewhere = Elsewhere(Journal(store).folder / f"{batch_of(run)}.json", lambda task: True)
    return [task.folder for task in iter(lambda: elsewhere.next(idle=True), None)]


@pytest.mark.parametrize(
    "second",
    [
        *(other_memory, other_limit, side_by_side, not_packed, other_code, other_python),
        *(other_user, not_submitted_yet, held),
    ],
)
def test_what_needs_something_else_is_left_to_its_own_job(packed, store, toys, second):
    _, runs = packed(2)
    grid = toys(toy_grid(4))
    second(store, grid)
    assert found_elsewhere(store, runs[0]) == []


def test_what_needs_the_same_is_named_once(packed, store, toys):
    _, runs = packed(2)
    grid = toys(toy_grid(4))
    alike(store, grid)
    others = [store.run(cell.signature) for cell in grid.cells[2:]]
    assert found_elsewhere(store, runs[0]) == [str(run.path) for run in others]
    start = toy_grid(5).cells[4]  # which has not run
    others[0].config_path.write_text(
        json.dumps({**read_json(others[0].config_path), "start": start.signature})
    )
    assert found_elsewhere(store, runs[0]) == [str(others[1].path)]


def test_cells_of_a_later_launch_are_taken_and_held_ones_when_released(
    packed, store, toys, look, fake_slurm
):
    packed(2)
    grid = toys(toy_grid(4))
    held(store, grid)
    hold(store, store.manifest("toys").cells[2:], release=True)
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)] * 4


def test_status_and_log_of_a_cell_are_those_of_the_job_that_took_it(
    packed, store, look, fake_slurm
):
    grid, runs = packed(4, {}, {}, WAITS, {}, max_array_size=1)
    process = fake_slurm.start(100)
    wait_for(runs[2].history.exists, 120, "a cell of the other batch")
    found = survey(store, grid.measures(), record=True)
    taken = found.cells[runs[2].signature]
    assert (taken.state.name, taken.job_id, taken.note) == ("running", "100", "")
    log = find_log(store, runs[2].signature, scheduler=True)
    assert log.is_file()
    assert log.name == "100_0_log.out"
    # the cells of its own batch are done, but the job has work: it is not taken from it
    assert len(cancel(store, store.manifest("toys").cells[:2]).cells) == 0
    assert len(cancel(store, [store.manifest("toys").cells[2]]).cells) == 1
    assert fake_slurm.calls("scancel") == []
    assert process.wait(timeout=120) == 0
    assert look(grid) == [("done", None)] * 2 + [("interrupted", "cancelled"), ("done", None)]


def test_a_job_that_runs_cells_of_others_is_not_cancelled_with_the_last_of_its_own(
    packed, store, fake_slurm
):
    _, runs = packed(3, WAITS, WAITS, WAITS, cells=1, side_by_side=3, max_array_size=1)
    process = fake_slurm.start(100)
    wait_for(lambda: all(run.history.exists() for run in runs), 120, "all cells in one job")
    assert len(cancel(store, store.manifest("toys").cells[:1]).cells) == 1
    assert fake_slurm.calls("scancel") == []
    for run in runs[1:]:
        (run.path / "go").touch()
    assert process.wait(timeout=120) == 0
    assert [run.is_done(("ap",)) for run in runs] == [False, True, True]


def test_warned_a_job_starts_again_with_a_cell_of_another_batch(packed, look, fake_slurm):
    grid, runs = packed(2, {}, WAITS, cells=1, max_array_size=1)
    process = fake_slurm.start(100)
    wait_for(runs[1].history.exists, 120, "the cell of the other batch")
    assert fake_slurm.run(101) == 0  # its own job finds it at work
    signal_worker(runs[1])
    assert process.wait(timeout=120) == 75
    assert look(grid) == [("done", None), ("queued", "preempted")]
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)] * 2
    assert ap_of(runs[1]) == expected_ap(9)
    assert [claim.holder["job_id"] for claim in runs[1].attempts()] == ["100"] * 2


def test_a_cell_that_died_with_a_job_that_took_it_is_free(packed, look, go, fake_slurm):
    grid, runs = packed(2, {}, WAITS, cells=1, max_array_size=1)
    fake_slurm.start(100)
    wait_for(runs[1].history.exists, 120, "the cell of the other batch")
    assert fake_slurm.run(101) == 0
    signal_worker(runs[1], signal.SIGKILL)
    holder = lease.latest(runs[1].state_folder).holder
    assert look(grid)[1] == ("running", None)
    os.kill(holder["pid"], signal.SIGKILL)
    wait_for(lambda: lease.is_gone(holder), 60, "the cell to be gone")
    fake_slurm.task(100, state="NODE_FAIL")
    assert look(grid) == [("done", None), ("interrupted", "node failure")]
    assert len(go(grid, pack={"cells": 1})) == 1
    write_toy(runs[1].path, steps=9)
    assert fake_slurm.run(102) == 0
    assert json.loads(runs[1].result("ap").read_text())["figures"]["AP"] == expected_ap(9)
