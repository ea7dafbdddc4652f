"""Cells that start from another run: order, blocks and healing, on toy cells."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from toy_grids import TOY, slurm_target, toy_grid

from ablations.cell import Cell
from core import preset
from core.files import write_json
from launch.commands import LaunchOptions, run_launch
from launch.executors.base import Target
from launch.executors.inline import Inline
from launch.executors.local import Local
from launch.executors.profile import make_profile
from launch.plan_table import plan_table
from launch.price.price import Price
from launch.submit.follow import follow
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest, plan_launch
from launch.submit.retry import RetryRules, parse_rules
from launch.watch.status import status_rows
from launch.watch.survey import survey


@pytest.fixture
def study(store):
    """``study(raise_at=1)``: a grid of three cells that start from one run, which may fail."""

    def make(**start_toy):
        start = Cell("start", preset("tiny", {"train.clips": 4, "seed": 99}), {}, ("train",))
        plain = toy_grid(3)
        grid = replace(plain, cells=tuple(replace(cell, start=start) for cell in plain.cells))
        for cell in grid.all_cells:
            write_json(store.run(cell.signature).path / "toy.json", {"steps": 2})
        write_json(store.run(start.signature).path / "toy.json", {"steps": 2, **start_toy})
        return grid

    return make


def here(executor, jobs=1):
    return Target(executor, make_profile({"gpus": 0}), jobs, TOY)


def rows(store, grid):
    manifest = store.manifest(grid.name)
    found = survey(store, manifest.measures(), record=True)
    listed = status_rows(store, manifest.all_cells, found)
    return [(row.name, row.state, row.cause) for row in listed]


def test_a_plan_shows_the_start_run_and_counts_it_once(store, study, fake_slurm):
    plan = plan_launch(LaunchRequest(store, study(), slurm_target()))
    assert plan.counts() == {"new": 4}
    assert [c.cell.name for c in plan.cells] == ["start", "a=x,s0", "a=x,s1", "a=x,s2"]
    stream = io.StringIO()
    Console(file=stream, width=200).print(plan_table(plan, {}, Price(), 60))
    assert "1 cell: a job with" in stream.getvalue()
    assert "3 cells: a job array behind its start run's with" in stream.getvalue()


def test_on_slurm_followers_wait_by_a_dependency(store, study, fake_slurm):
    grid = study()
    launch(LaunchRequest(store, grid, slurm_target()))
    assert "dependency" not in fake_slurm.jobs["100"]["options"]
    assert fake_slurm.jobs["101"]["options"]["dependency"] == "afterany:100"
    assert len(fake_slurm.jobs["101"]["tasks"]) == 3
    fake_slurm.run(100)
    for index in range(3):
        fake_slurm.run(101, index)
    assert [state for _, state, _ in rows(store, grid)] == ["done"] * 4


def test_followers_launched_later_wait_for_the_start_run_that_is_queued(store, study, fake_slurm):
    grid = study()
    start = grid.start_cells[0].signature
    launch(LaunchRequest(store, grid, slurm_target()), only={start})
    launch(LaunchRequest(store, grid, slurm_target()))
    assert fake_slurm.jobs["101"]["options"]["dependency"] == "afterany:100"


def test_a_start_run_that_fails_blocks_its_followers_and_a_launch_heals_both(
    store, study, fake_slurm
):
    grid = study(raise_at=1)
    launch(LaunchRequest(store, grid, slurm_target()))
    fake_slurm.run(100)
    for index in range(3):
        fake_slurm.run(101, index)
    shown = rows(store, grid)
    assert shown[0] == ("start", "failed", "error")
    assert shown[1] == ("a=x,s0", "interrupted", "blocked by start (failed: error)")
    plan = plan_launch(LaunchRequest(store, grid, slurm_target()))
    assert plan.counts() == {"failed": 1, "blocked": 3}
    assert plan.cells[1].note == "blocked by start: error"
    assert plan.batches == ()
    launch(LaunchRequest(store, grid, slurm_target(), parse_rules(["error"])))
    assert fake_slurm.jobs["103"]["options"]["dependency"] == "afterany:102"
    fake_slurm.run(102)
    for index in range(3):
        fake_slurm.run(103, index)
    assert [state for _, state, _ in rows(store, grid)] == ["done"] * 4


def test_one_cell_alone_brings_its_start_run_along(store, study, fake_slurm, signals, capsys):
    grid = study()
    options = LaunchOptions(cells=("a=x,s1",))
    assert run_launch(LaunchRequest(store, grid, here(Inline())), options)
    assert [state for _, state, _ in rows(store, grid)] == ["done", "new", "done", "new"]


def test_inline_the_start_run_comes_first_and_its_failure_blocks(store, study, signals, capsys):
    grid = study(raise_at=1)
    assert not run_launch(LaunchRequest(store, grid, here(Inline())), LaunchOptions())
    assert "a=x,s2: blocked by start" in capsys.readouterr().out
    assert rows(store, grid)[3] == ("a=x,s2", "interrupted", "blocked by start (failed: error)")


@pytest.mark.parametrize(("fault", "state"), [({}, "done"), ({"raise_at": 1}, "interrupted")])
def test_the_dispatcher_lets_followers_wait(store, study, quick, fault, state):
    grid = study(sleep=0.3, **fault)
    launch(LaunchRequest(store, grid, here(Local(), jobs=2)))
    last = follow(
        LaunchRequest(store, grid, here(Local(), jobs=2), RetryRules(causes=frozenset())),
        interval=0.2,
    )
    assert {last.cells[c.signature].state.name for c in grid.cells} == {state}
    start, first = (store.run(c.signature) for c in grid.all_cells[:2])
    if state == "done":
        assert start.done_path.stat().st_mtime < first.checkpoint.stat().st_mtime
