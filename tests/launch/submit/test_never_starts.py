"""Cells that SLURM takes and never starts, on a SLURM of mocked commands."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from toy_grids import slurm_target, toy_grid

import launch.submit.follow as following
from core.errors import UserError
from launch.commands import LaunchOptions, run_launch, watch_status
from launch.executors import slurm_queries as slurm
from launch.submit.launcher import manifest_of
from launch.submit.plan import LaunchRequest
from launch.watch.status import exit_status, status_rows
from launch.watch.survey import survey

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def wait(store, toys, fake_slurm, monkeypatch):
    """``wait([...])``: launch a grid and follow it; what happens between two looks."""

    def run(between, count=2):
        happens = iter(between)
        monkeypatch.setattr(following, "time", SimpleNamespace(sleep=lambda _: next(happens)()))
        grid = toys(toy_grid(count))
        return run_launch(LaunchRequest(store, grid, slurm_target()), LaunchOptions(wait=True))

    return run


def test_waiting_ends_where_nothing_is_left_that_could_start(wait, fake_slurm):
    def stuck():
        fake_slurm.run(100, 0)
        fake_slurm.task(100, 1, reason="PartitionConfig")

    with pytest.raises(UserError, match="1 cell will never start as asked for: SLURM says Part"):
        wait([stuck, lambda: None])


def test_a_reason_that_passes_is_said_and_waited_for(wait, fake_slurm, capsys):
    def says(reason):
        return lambda: [fake_slurm.task(100, k, reason=reason) for k in range(2)]

    def runs():
        return [fake_slurm.run(100, k) for k in range(2)]

    unavailable = "ReqNodeNotAvail, UnavailableNodes:n7"
    assert wait([says(unavailable)] * 4 + [says("BadConstraints"), runs])
    output = capsys.readouterr().out
    assert output.count(f"2 cells cannot start for now: SLURM says {unavailable}") == 1
    assert output.count("2 cells will never start as asked for: SLURM says BadConstraints") == 1


def released(fake_slurm):
    return [call for call in fake_slurm.calls("scontrol") if " release " in call]


HELD = "launch failed requeued held"  # as squeue says it, of SLURM 22.05


@pytest.mark.parametrize("packed", [{}, {"pack": {"cells": 2}}])
def test_what_slurm_holds_of_its_own_accord_is_let_go(store, toys, go, fake_slurm, packed, caplog):
    grid = toys(toy_grid(2))
    go(grid, **packed)
    fake_slurm.task(100, 0, reason=HELD)
    found = survey(store, grid.measures())
    count = "2 cells" if packed else "1 cell"
    assert f"{count} cannot start: SLURM itself holds them ({HELD})" in found.problems[0]
    assert go(grid, **packed) == []
    assert released(fake_slurm) == [f"scontrol release 100{'' if packed else '_0'}"]
    assert f"let go: {count[0]}" in caplog.text
    assert survey(store, grid.measures()).problems == ()


def test_what_a_user_holds_stays_held(toys, go, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    fake_slurm.task(100, 0, reason="JobHeldUser")
    fake_slurm.task(100, 1, reason="JobHeldAdmin")
    go(grid)
    assert released(fake_slurm) == []


def test_waiting_lets_them_go_a_few_times_and_then_says_so(wait, fake_slurm):
    def holds(reason=HELD):
        return lambda: fake_slurm.task(100, 1, reason=reason)

    def runs_first():
        fake_slurm.run(100, 0)
        holds("JobHoldMaxRequeue")()

    with pytest.raises(UserError, match="nothing is left that could start: 1 cell cannot start"):
        wait([runs_first, *[holds()] * 4])
    assert len(released(fake_slurm)) == 3


def test_a_scheduler_that_does_not_let_go_is_said(toys, go, fake_slurm, caplog, monkeypatch):
    grid = toys(toy_grid(1))
    go(grid)
    fake_slurm.task(100, 0, reason=HELD)

    def refuse(ids, release):
        raise slurm.SlurmError("scontrol: Access/permission denied")

    monkeypatch.setattr(slurm, "hold_jobs", refuse)
    go(grid)
    assert "not let go: scontrol: Access/permission denied" in caplog.text


def test_for_scripts_what_will_never_start_is_not_going_on(store, toys, go, fake_slurm, capsys):
    grid = toys(toy_grid(2))
    go(grid)
    manifest = manifest_of(grid)

    def stands():
        found = survey(store, manifest.measures())
        return exit_status(status_rows(store, manifest.all_cells, found))

    assert stands() == 3
    for k in range(2):
        fake_slurm.task(100, k, reason="QOSMaxWallDurationPerJobLimit")
    assert stands() == 1
    assert watch_status(store, manifest, 60.0, 9) == 1  # it does not wait either
    assert "2 cells will never start" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reason", "never", "usual"),
    [
        ("BadConstraints", True, False),
        ("PartitionTimeLimit", True, False),
        ("DependencyNeverSatisfied", True, False),
        ("AssocMaxCpuPerJobLimit", True, False),
        ("InvalidQOS", True, False),
        ("AssocMaxJobsLimit", False, False),
        ("QOSMaxCpuPerUserLimit", False, False),
        ("PartitionNodeLimit", False, False),
        ("ReqNodeNotAvail, May be reserved for other job", False, False),
        ("Priority", False, True),
        ("Resources", False, True),
        ("JobHeldUser", False, True),
        ("launch failed requeued held", False, False),
        ("JobHoldMaxRequeue", False, False),
        ("JobHeldAdmin", False, True),
    ],
)
def test_reasons_are_told_apart(reason, never, usual):
    assert (slurm.NEVER_STARTS.fullmatch(reason) is not None) == never
    assert slurm.is_usual(reason) == usual
