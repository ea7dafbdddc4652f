from __future__ import annotations

import copy
import hashlib
import json

import pytest
from toy_grids import TOY, toy_grid

from core.errors import UserError
from core.files import write_json
from launch.executors.base import Target
from launch.executors.inline import Inline
from launch.executors.profile import make_profile
from launch.node.provenance import diff_path, write_provenance
from launch.records import lease, process
from launch.records.journal import Journal
from launch.reproduce import grid_of_run, latest_provenance, recipe
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest

THEN = {
    "python": "3.11.7",
    "platform": "Linux",
    "host": "gpu7",
    "packages": {"torch": "2.11.0", "numpy": "2.0"},
    "cpu": {"model": "Xeon", "cores": 16},
    "threads": {"intra_op": 8},
    "gpus": [{"name": "A100", "memory": 1, "capability": "8.0"}],
    "driver": "550",
    "cuda": "12.4",
    "cudnn": 90000,
    "float32_matmul_precision": "highest",
    "git": {
        "commit": "a" * 40,
        "branch": "main",
        "dirty": True,
        "diff": "diff --git",
        "diff_sha256": hashlib.sha256(b"diff --git").hexdigest(),
        "untracked": ["new.py"],
    },
}


@pytest.fixture
def run(store):
    """A run of the grid's first cell, whose attempt left ``THEN``."""
    (cell,) = toy_grid(1).cells
    folder = store.run(cell.signature)
    folder.create(schema=1, name="cell", config=cell.config, measure=["ap"])
    lease.acquire(folder.state_folder, process.myself()).end({})
    submission = {"command": ["tevit", "launch", "my grid.yaml"]}
    record = {"attempt": 1, "time": "2026-01-01T00:00:00", "environment": THEN}
    write_json(folder.provenance(1), {**record, "submission": submission})
    return folder


def changed(**facts):
    today = copy.deepcopy(THEN)
    for name, value in facts.items():
        section, _, key = name.partition("__")
        if key:
            today[section][key] = value
        else:
            today[section] = value
    return today


def test_the_commands_are_exact(run, tmp_path):
    made = recipe(run, tmp_path / "in to", THEN)
    assert made.commands == (
        f"git checkout {'a' * 40}",
        f"git apply {diff_path(run, 1)}",
        f"tevit reproduce {run.path} --run --into '{tmp_path}/in to'",
    )
    assert "by: tevit launch 'my grid.yaml'" in made.origin
    assert "2026-01-01T00:00:00 on gpu7" in made.origin


def test_the_same_environment_has_no_differences_but_files_unknown_to_git(run, tmp_path):
    made = recipe(run, tmp_path, THEN)
    assert made.differences == ("code: new.py was not under version control, so it may be missing",)


@pytest.mark.parametrize(
    ("today", "difference"),
    [
        (changed(python="3.12.1"), "python: 3.11.7 then, 3.12.1 now"),
        (
            changed(packages={"torch": "2.12.0", "numpy": "2.0"}),
            "packages.torch: 2.11.0 then, 2.12.0 now",
        ),
        (changed(packages={"torch": "2.11.0"}), "packages.numpy: 2.0 then, none now"),
        (changed(gpus=[]), "gpus: A100 then, none now"),
        (changed(driver=None), "driver: 550 then, none now"),
        (changed(cpu={"model": "Xeon", "cores": 2}), "cpu.cores: 16 then, 2 now"),
        (changed(git__commit="b" * 40), "code: commit aaaaaaaaaaaa then, bbbbbbbbbbbb now"),
        (
            changed(git__diff_sha256=None, git__dirty=False),
            "code: uncommitted changes then, no uncommitted changes now",
        ),
        (changed(git__diff_sha256="2"), "code: uncommitted changes then, other ones now"),
    ],
)
def test_every_difference_is_named(run, tmp_path, today, difference):
    assert difference in recipe(run, tmp_path, today).differences


def test_a_config_that_means_something_else_today_is_named(run, tmp_path):
    renamed = run.path.with_name("0" * 16)
    run.path.rename(renamed)
    made = recipe(run.__class__(renamed), tmp_path, THEN)
    assert any("another signature" in line for line in made.differences)


def test_changes_that_were_cut_off_are_named(run, tmp_path):
    record = json.loads(run.provenance(1).read_text())
    record["environment"]["git"]["diff"] = "diff"
    write_json(run.provenance(1), record)
    made = recipe(run, tmp_path, THEN)
    assert "code: the uncommitted changes were too long to be kept whole" in made.differences


def test_outside_of_a_checkout_the_version_is_not_known(run, tmp_path):
    record = json.loads(run.provenance(1).read_text())
    record["environment"]["git"] = {"commit": None, "diff": None, "untracked": []}
    write_json(run.provenance(1), record)
    made = recipe(run, tmp_path, THEN)
    assert made.commands[0].startswith("tevit reproduce")
    assert any("its version is not known" in line for line in made.differences)


def test_the_latest_attempt_that_left_something_counts(run):
    lease.acquire(run.state_folder, process.myself())  # died before it wrote anything
    assert latest_provenance(run)[0] == 1


def test_a_run_that_was_never_started_cannot_be_repeated(make_run, tmp_path):
    with pytest.raises(UserError, match="never started"):
        recipe(make_run("f" * 16), tmp_path)


def test_a_run_is_a_grid_of_one_cell_with_the_same_signature(run):
    grid = grid_of_run(run)
    assert [c.signature for c in grid.cells] == [run.signature]
    assert grid.measure == ("ap",)


def test_provenance_names_job_submission_and_seed(store, toys, signals, monkeypatch):
    monkeypatch.setattr("benchmarks.machine.environment.environment", lambda: copy.deepcopy(THEN))
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    grid = toys(toy_grid(1))
    target = Target(Inline(), make_profile({"gpus": 0}), function=TOY)
    launched = launch(LaunchRequest(store, grid, target))
    list(Inline().run(Journal(store), launched.batches[0][0]))
    run = store.run(grid.cells[0].signature)
    write_provenance(run, 1)
    record = json.loads(run.provenance(1).read_text())
    assert record["job"]["SLURM_JOB_ID"] == "77"
    assert record["submission"]["grid"] == "toys"
    assert record["submission"]["command"]
    assert record["attempt_of"]["batch"] == launched.batches[0][0].id
    assert record["environment"]["gpus"][0]["name"] == "A100"
    assert diff_path(run, 1).read_text() == "diff --git"
