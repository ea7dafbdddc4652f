"""Cells run the code that they were launched with, whatever is edited while they wait."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from checkouts import PROBE_CELL, copy_of_project, edit, go, values
from slurm_cluster import wait_for
from toy_grids import TOY, slurm_target, toy_grid

from core.errors import UserError
from launch.code.snapshot import freeze
from launch.executors.base import Target
from launch.executors.profile import make_profile
from launch.executors.table import find_executor
from launch.node import task
from launch.node.task import tasks_of
from launch.records import lease
from launch.records.journal import Journal
from launch.records.process import myself
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest, plan_launch
from launch.submit.retry import parse_rules

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    folder = copy_of_project(tmp_path / "checkout")
    edit(folder, 1)
    return folder


def target(store, checkout, executor="local", **more):
    chosen, code = find_executor(executor), freeze(store, checkout)
    return Target(chosen, make_profile({"gpus": 0}), 1, PROBE_CELL, code=code, **more)


def codes(store, cell):
    return [claim.holder["code"] for claim in store.run(cell.signature).attempts()]


def test_cells_that_wait_run_the_code_of_the_launch(store, checkout):
    grid = toy_grid(2)
    launched = target(store, checkout)
    launch(LaunchRequest(store, grid, launched))
    run = store.run(grid.cells[0].signature)
    wait_for(run.attempts, 30, "the first cell")
    edit(checkout, 2)
    go(store)
    wait_for(lambda: None not in values(store, grid), 30, "both cells")
    assert values(store, grid) == [1, 1]
    assert codes(store, grid.cells[1]) == [launched.code]
    assert len(list(store.code.iterdir())) == 1


def test_a_further_attempt_runs_the_cells_own_code_unless_told_otherwise(store, checkout, look):
    grid, again = toy_grid(2), parse_rules(["error"], 5)
    (first, second) = grid.cells
    go(store)
    edit(checkout, 1, fails=True)
    a = target(store, checkout)
    launch(LaunchRequest(store, grid, a), only={first.signature})
    wait_for(lambda: look(grid)[0] == ("failed", "error"), 30, "the failure")

    edit(checkout, 2)
    b = target(store, checkout)
    done = launch(LaunchRequest(store, grid, b, again))
    (batch, _), *more = done.batches
    assert not more, "one dispatcher for the machine, whatever the cells' code"
    assert dict(zip(batch.signatures, batch.codes, strict=True)) == {
        first.signature: a.code,
        second.signature: b.code,
    }
    (said,) = done.plan.problems
    assert f"1 cell goes on with the code {a.code}" in said
    assert "core/probe.py; --new-code" in said
    wait_for(lambda: look(grid) == [("failed", "error"), ("done", None)], 30, "the second attempt")
    assert values(store, grid) == [None, 2]

    launch(LaunchRequest(store, grid, replace(b, new_code=True), again))
    wait_for(lambda: look(grid)[0] == ("done", None), 30, "the third attempt")
    assert values(store, grid) == [2, 2]
    assert codes(store, first) == [a.code, a.code, b.code]


@pytest.fixture
def begun(store, checkout):
    """A grid of one cell that failed, the target it was launched with, and what stands here now."""
    grid = toy_grid(1)
    before = target(store, checkout)
    run = store.run(grid.cells[0].signature)
    run.create(schema=1, name="cell", config=grid.cells[0].config, measure=["ap"])
    claim = lease.acquire(run.state_folder, myself(code=before.code))
    claim.end({"outcome": "failed", "cause": "error"})
    edit(checkout, 2)
    return grid, before, target(store, checkout)


def test_code_that_is_gone_is_an_error_before_anything_is_submitted(store, checkout, begun):
    grid, before, now = begun
    shutil.rmtree(store.code / before.code)
    again = parse_rules(["error"], 5)
    with pytest.raises(UserError, match=rf"begun by the code {before.code}, but .* is gone"):
        plan_launch(LaunchRequest(store, grid, now, again))
    assert plan_launch(LaunchRequest(store, grid, replace(now, new_code=True), again)).codes == {
        grid.cells[0].signature: now.code
    }


def test_inline_runs_what_stands_here_and_says_where_that_is_not_the_cells_own(
    store, checkout, begun
):
    grid, _, now = begun
    again, inline = parse_rules(["error"], 5), find_executor("inline")
    with pytest.raises(UserError, match=r"inline runs what stands here.*--executor local"):
        plan_launch(LaunchRequest(store, grid, replace(now, executor=inline), again))
    plan_launch(LaunchRequest(store, grid, replace(now, executor=inline, new_code=True), again))
    edit(checkout, 1)
    (checkout / "README.md").write_text("words, which change no result")
    plan_launch(LaunchRequest(store, grid, target(store, checkout, "inline"), again))


def test_on_slurm_each_array_has_one_code_and_its_command_is_that_of_the_copy(
    store, checkout, begun, fake_slurm
):
    _, before, now = begun
    grid = toy_grid(3)
    asked = replace(slurm_target(), code=now.code, function=PROBE_CELL)
    done = launch(LaunchRequest(store, grid, asked, parse_rules(["error"], 5)))
    assert [set(batch.codes) for batch, _ in done.batches] == [{before.code}, {now.code}]
    for batch, job in done.batches:
        start = store.code / batch.codes[0] / "launch/code/start.py"
        script = fake_slurm.jobs[job]["script"]
        assert f" -P {start} launch.node.worker --batch" in script
    assert Journal(store).read(batch.id).codes == batch.codes


def test_records_from_before_code_was_frozen_name_none(store, toys):
    grid = toys(toy_grid(1))
    asked = Target(find_executor("inline"), make_profile({"gpus": 0}))
    done = launch(LaunchRequest(store, grid, asked))
    ((batch, _),) = done.batches
    path = Journal(store).file(batch)
    record = json.loads(path.read_text())
    del record["codes"]
    path.write_text(json.dumps(record))
    assert Journal(store).read(batch.id).code(0) is None


def test_a_wheel_that_was_replaced_since_the_launch_does_not_run(store, toys, signals, monkeypatch):
    grid = toys(toy_grid(1), steps=2)
    monkeypatch.setattr(task, "code_identity", lambda: {"id": "1.1-bbb", "kind": "installed"})
    asked = Target(find_executor("inline"), make_profile({"gpus": 0}), function=TOY, code="1.0-aaa")
    ((batch, _),) = launch(LaunchRequest(store, grid, asked)).batches
    ((_, outcome),) = find_executor("inline").run(Journal(store), batch)
    run = store.run(grid.cells[0].signature)
    assert "1.0-aaa, in whose place 1.1-bbb was installed since: launch again" in outcome
    assert run.state().name == "failed" and not run.history.exists()
    monkeypatch.setattr(task, "code_identity", lambda: {"id": "1.0-aaa", "kind": "installed"})
    (again,) = tasks_of(Journal(store).file(batch))
    assert again() == "done"


def test_a_plan_says_what_goes_on_with_its_own_code_and_writes_nothing(store, checkout, begun):
    grid, before, now = begun
    shutil.rmtree(store.code / now.code)
    plan = plan_launch(LaunchRequest(store, grid, now, parse_rules(["error"], 5)))
    (said,) = plan.problems
    assert f"1 cell goes on with the code {before.code} of earlier attempts, which" in said
    assert not (store.code / now.code).exists()
