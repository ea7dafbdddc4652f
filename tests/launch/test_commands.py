"""The command line of launching, on toy cells and a SLURM of mocked commands."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from toy_grids import TOY
from typer.testing import CliRunner

from ablations.grid import load_grid
from cli import app
from cli.options import make_target
from core.errors import UserError
from core.files import write_json
from launch import commands as session
from launch.commands import report_command
from launch.executors import base
from launch.records.journal import Journal
from launch.records.store import Store
from launch.submit import follow

GRID = """
name: small
description: Do queries matter?
base: tiny
axes:
  head.queries: [5, 10]
seeds: 1
measure: [ap]
"""


@pytest.fixture
def grid_file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(GRID)
    return path


@pytest.fixture
def tevit(store, grid_file, monkeypatch, fake_slurm, signals, quick):
    """``tevit("plan", ...)``: output of a command on toy cells; faults are raised."""
    monkeypatch.setenv("TEVIT_RUNS", str(store.root))
    monkeypatch.setenv("TEVIT_CACHE", str(store.root / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    original = base.Target.__init__
    monkeypatch.setattr(
        base.Target,
        "__init__",
        lambda self, *a, **k: original(self, *a, **{"function": TOY, **k}),
    )
    for cell in load_grid(grid_file).cells:
        write_json(store.run(cell.signature).path / "toy.json", {"steps": 3})

    def run(*words, code=0):
        result = CliRunner().invoke(app, [*map(str, words)])
        if isinstance(result.exception, UserError):
            raise result.exception
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_plan_shows_cells_and_jobs_and_changes_nothing(tevit, grid_file, store, fake_slurm):
    before = sorted(store.root.rglob("*"))
    output = tevit("plan", grid_file, "--no-costs", "--profile", "cpu")
    assert "Do queries matter?" in output
    assert "runs: 2 new" in output
    assert "2 cells: a job array with" in output
    assert sorted(store.root.rglob("*")) == before
    assert fake_slurm.jobs == {}


def test_launch_status_logs_and_relaunch(tevit, grid_file, store, fake_slurm):
    output = tevit("launch", grid_file, "--profile", "cpu")
    assert "small: 2 cells submitted (SLURM jobs 100)" in output
    assert "tevit status small --watch" in output
    assert "2 queued" in tevit("status", "small")
    fake_slurm.run(100, 0)
    output = tevit("status", grid_file)
    assert "1 queued, 1 done" in output
    cell = store.manifest("small").cells[0]
    assert "finished at step 3" in tevit("logs", "small", cell.name)
    assert "finished at step 3" in tevit("logs", "small", cell.signature[:8], "-f")
    assert "nothing to submit (1 done, 1 queued)" in tevit("launch", grid_file)
    lines = tevit("status", "small", "--tsv").splitlines()
    assert [line.split("\t")[1] for line in lines] == ["state", "done", "queued"]


def test_overrides_seeds_and_names(tevit, grid_file, store):
    tevit("launch", grid_file, "train.steps=7", "--seeds", "3", "--name", "mine", code=0)
    manifest = store.manifest("mine")
    assert len(manifest.cells) == 6
    assert store.run(manifest.cells[0].signature).config().train.steps == 7


def test_only_some_cells(tevit, grid_file, store, fake_slurm):
    name = load_grid(grid_file).cells[1].name
    tevit("launch", grid_file, "--cell", name)
    assert len(fake_slurm.jobs["100"]["tasks"]) == 1
    assert len(store.manifest("small").cells) == 2
    with pytest.raises(UserError, match="has no cell 'nobody'"):
        tevit("launch", grid_file, "--cell", "nobody")


def test_inline_runs_and_says_how_it_went(tevit, grid_file, store):
    output = tevit("launch", grid_file, "--executor", "inline")
    assert output.count(": done") == 2
    cell = load_grid(grid_file).cells[0]
    write_json(store.run(cell.signature).path / "toy.json", {"raise_at": 2, "steps": 9})
    tevit("launch", grid_file, "train.lr=0.5", "--executor", "inline", code=1)


def test_waiting_follows_to_the_end(tevit, grid_file, fake_slurm, monkeypatch):
    def run_all(seconds):
        for job_id, job in fake_slurm.jobs.items():
            for index in job["tasks"]:
                if fake_slurm.state(job_id, index) == "PENDING":
                    fake_slurm.run(job_id, index)

    monkeypatch.setattr(follow, "time", SimpleNamespace(sleep=run_all))
    output = tevit("launch", grid_file, "--wait", "--interval", "0.1")
    assert "2 done" in output


def test_whoever_stops_waiting_is_told_that_the_cells_go_on(tevit, grid_file, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(follow, "time", SimpleNamespace(sleep=interrupted))
    output = tevit("launch", grid_file, "--wait", code=130)
    assert "the cells go on: tevit status small --watch" in output


def test_watching_ends_when_nothing_runs(tevit, grid_file, fake_slurm, monkeypatch):
    tevit("launch", grid_file)
    fake_slurm.run(100, 0)
    run_one = SimpleNamespace(sleep=lambda seconds: fake_slurm.run(100, 1))
    monkeypatch.setattr(session, "time", run_one)
    assert "2 done" in tevit("status", "small", "--watch")


def test_the_report_is_queued_behind_all_jobs_of_the_grid(tevit, grid_file, store, fake_slurm):
    tevit("launch", grid_file, "--cell", load_grid(grid_file).cells[0].name)
    output = tevit("launch", grid_file, "--report", "--profile", "cpu")
    assert "report: job 102, when all have ended" in output
    report = fake_slurm.jobs["102"]
    assert report["options"]["dependency"] == "afterany:100:101"
    assert "gpus-per-node" not in report["options"]
    assert report_command(store, "small", None)[1:5] == ("-P", "-m", "cli", "report")
    assert Journal(store).unsettled() == []


def test_a_report_of_nothing_that_runs_can_be_made_at_once(tevit, grid_file, fake_slurm):
    tevit("launch", grid_file)
    fake_slurm.run(100, 0)
    fake_slurm.run(100, 1)
    with pytest.raises(UserError, match="tevit report small"):
        tevit("launch", grid_file, "--report")


def test_cancel_names_how_many(tevit, grid_file, store, fake_slurm):
    tevit("launch", grid_file)
    first = store.manifest("small").cells[0].name
    assert "1 cells cancelled" in tevit("cancel", "small", first)
    assert fake_slurm.calls("scancel") == ["scancel 100_0"]
    assert "1 cells cancelled" in tevit("cancel", "small")
    assert "nothing is queued or running" in tevit("cancel", "small")


def test_a_cancellation_that_slurm_did_not_hear_is_a_fault(tevit, grid_file, fake_slurm):
    tevit("launch", grid_file)
    (fake_slurm.bin / "scancel").unlink()
    (fake_slurm.bin / "scancel").write_text("#!/bin/sh\nexit 1\n")
    (fake_slurm.bin / "scancel").chmod(0o755)
    with pytest.raises(UserError, match="SLURM was not told"):
        tevit("cancel", "small")


def test_failures_are_grouped_with_a_traceback(tevit, grid_file, store, fake_slurm):
    for cell in load_grid(grid_file).cells:
        write_json(store.run(cell.signature).path / "toy.json", {"raise_at": 1})
    tevit("launch", grid_file)
    fake_slurm.run(100, 0)
    fake_slurm.run(100, 1)
    output = tevit("failures", "small")
    assert "2 cells: error (an exception in the code)" in output
    assert "ValueError: step 1 went wrong" in output
    assert "misbehave(toy, step, run, should_stop)" in output


def test_reproduce_prints_commands_and_runs_them(tevit, grid_file, store, tmp_path, monkeypatch):
    from test_reproduce import THEN

    monkeypatch.setattr("benchmarks.machine.environment.environment", lambda: THEN)
    tevit("launch", grid_file, "--executor", "inline")
    cell = store.manifest("small").cells[0]
    run = store.run(cell.signature)
    record = {"attempt": 1, "time": "then", "environment": THEN, "submission": None}
    write_json(run.provenance(1), record)
    output = tevit("reproduce", cell.signature[:10], "--into", tmp_path / "again")
    assert f"tevit reproduce {run.path} --run --into {tmp_path}/again" in output
    again = Store(tmp_path / "again")
    write_json(again.run(cell.signature).path / "toy.json", {"steps": 3})
    output = tevit("reproduce", run.path, "--run", "--into", again.root)
    assert "AP then 3.08, now 3.08" in output.replace("\n", " ")
    assert again.run(cell.signature).state().name == "done"
    with pytest.raises(UserError, match="the run's own store"):
        tevit("reproduce", run.path, "--run", "--into", store.root)


@pytest.mark.parametrize(
    "words",
    [("status", "g"), ("logs", "g", "c"), ("cancel", "g"), ("failures", "g")],
)
def test_a_grid_that_was_never_launched_is_named(tevit, words):
    with pytest.raises(UserError, match=r"has not been launched in .*; launched grids: none"):
        tevit(*words)


def test_a_fault_in_the_grid_submits_nothing(tevit, grid_file, fake_slurm):
    grid_file.write_text(GRID.replace("head.queries: [5, 10]", "head.queries: [5, many]"))
    with pytest.raises(UserError, match=r"small\.yaml") as caught:
        tevit("launch", grid_file)
    assert "head.queries" in str(caught.value)
    assert fake_slurm.jobs == {}


# --- what options stand for ----------------------------------------------------------------------


def test_targets(fake_slurm, monkeypatch, tmp_path):
    assert make_target(None, None, 1).executor.name == "slurm"
    assert make_target("local", None, 3).jobs == 3
    with pytest.raises(UserError, match="unknown executor pbs; valid executors: inline"):
        make_target("pbs", None, 1)
    with pytest.raises(UserError, match="--jobs 0"):
        make_target("local", None, 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert make_target(None, None, 1).executor.name == "local"
    assert make_target(None, None, 1).profile.gpus == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert make_target(None, None, 1).profile.gpus == 0
