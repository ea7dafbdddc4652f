"""Situations of real users: launching goes on, or says in a sentence why it does not."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from toy_grids import TOY, slurm_target, toy_grid

from ablations.cell import Cell
from core import preset
from core.errors import UserError
from core.files import write_json
from launch.cancel import cancel
from launch.commands import LaunchOptions, run_launch, submitted_text
from launch.executors import slurm_queries as queries
from launch.executors.base import NoRoomError, SubmissionError, Target
from launch.executors.inline import Inline
from launch.executors.local import Local
from launch.executors.profile import ProfileError, make_profile
from launch.executors.slurm_options import slurm_parameters
from launch.node.provenance import different_code, write_provenance
from launch.node.task import CellTask, resolve, tasks_of
from launch.plan_table import plan_table
from launch.price.price import Price
from launch.records.journal import Journal
from launch.records.process import myself
from launch.submit import follow as following
from launch.submit.follow import follow
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest, plan_launch
from launch.watch.display import status_table
from launch.watch.status import StatusRow


def shown(renderable):
    stream = io.StringIO()
    Console(file=stream, width=200).print(renderable)
    return stream.getvalue()


def run_queued(fake_slurm):
    for job_id, job in fake_slurm.jobs.items():
        for index in job["tasks"]:
            if fake_slurm.state(job_id, index) == "PENDING":
                fake_slurm.run(job_id, index)


@pytest.fixture
def time_passes(monkeypatch, fake_slurm):
    """While somebody waits, everything that is queued runs; says how long the pauses were."""
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        run_queued(fake_slurm)

    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=sleep))
    return pauses


# --- which cells -----------------------------------------------------------------------------


def test_one_cell_and_wait_runs_and_waits_for_that_cell_alone(
    store, toys, fake_slurm, time_passes, capsys
):
    grid = toys(toy_grid(3))
    options = LaunchOptions(cells=("a=x,s1",), wait=True, interval=0.1)
    assert run_launch(LaunchRequest(store, grid, slurm_target()), options)
    assert {job_id: len(job["tasks"]) for job_id, job in fake_slurm.jobs.items()} == {"100": 1}
    assert "toys: 1 cells submitted" in capsys.readouterr().out


def test_failed_cells_launched_again_are_named_with_the_option_that_retries_them(
    store, toys, fake_slurm, capsys
):
    grid = toys(toy_grid(2), raise_at=1)
    launch(LaunchRequest(store, grid, slurm_target()))
    run_queued(fake_slurm)
    assert run_launch(LaunchRequest(store, grid, slurm_target()), LaunchOptions())
    output = capsys.readouterr().out
    assert "nothing to submit (2 failed)" in output
    assert "2 failed runs are left as they are; to try them again: --retry error" in output


def test_names_that_look_like_emoji_or_markup_stay_as_they_are(store, fake_slurm, signals, capsys):
    config = preset("tiny", {"train.clips": 4})
    name = "shift_steps=[1,-1,2,-2]:smile:[bold],s0"
    cell = Cell(name, config, {"shift_steps": "[1,-1,2,-2]:smile:"}, ("ap",))
    grid = toy_grid(1).__class__("toys", "", (cell,), {}, ("ap",), None)
    write_json(store.run(cell.signature).path / "toy.json", {"steps": 1})
    assert name in shown(
        plan_table(plan_launch(LaunchRequest(store, grid, slurm_target())), {}, Price(), 9)
    )
    row = StatusRow(name, "done", "", None, None, None, None, None, "", "")
    assert name in shown(status_table("toys", [row], 9))
    target = Target(Inline(), make_profile({"gpus": 0}), function=TOY)
    run_launch(LaunchRequest(store, grid, target), LaunchOptions())
    assert f"{name}: done" in capsys.readouterr().out


# --- answers of SLURM that are none --------------------------------------------------------------


@pytest.mark.parametrize("variable", ["SQUEUE_PARTITION", "SQUEUE_ACCOUNT", "SQUEUE_NAMES"])
def test_filters_of_squeue_in_the_environment_lose_no_job(
    store, toys, go, look, fake_slurm, monkeypatch, variable
):
    grid = toys(toy_grid(3))
    go(grid)
    monkeypatch.setenv(variable, "high")
    assert look(grid) == [("queued", None)] * 3
    assert go(grid) == []


@pytest.mark.parametrize("variable", ["SACCT_FEDERATION", "SCANCEL_USER", "SQUEUE_STATES"])
def test_settings_of_slurms_commands_are_dropped_for_our_questions(
    fake_slurm, monkeypatch, variable
):
    (fake_slurm.bin / "squeue").write_text(f'#!/bin/sh\necho "[${variable}]"\n')
    monkeypatch.setenv(variable, "high")
    assert queries.run_slurm(["squeue"]) == "[]\n"


@pytest.mark.parametrize("variable", ["LOGNAME", "USER"])
def test_a_wrong_user_name_in_the_environment_changes_nothing(
    store, toys, go, look, fake_slurm, monkeypatch, variable
):
    monkeypatch.setenv(variable, "nobody-of-this-name")
    grid = toys(toy_grid(2))
    go(grid)
    assert look(grid) == [("queued", None)] * 2
    assert f"-u {os.getuid()} " in fake_slurm.calls("squeue")[-1] + " "
    assert myself()["uid"] == os.getuid()
    assert myself()["user"] != "nobody-of-this-name"


@pytest.mark.parametrize(
    "script", ["echo 'squeue: error: Invalid user: bob' >&2", "echo 'some notice' >&2"]
)
def test_an_empty_answer_with_a_complaint_is_no_answer(store, toys, go, look, fake_slurm, script):
    grid = toys(toy_grid(2))
    go(grid)
    (fake_slurm.bin / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    assert look(grid) == [("queued", None)] * 2
    assert look(grid, notes=True) == ["SLURM does not answer"] * 2
    assert go(grid) == []


def test_a_notice_beside_an_answer_does_not_spoil_it(fake_slurm):
    (fake_slurm.bin / "squeue").write_text(
        "#!/bin/sh\necho 'welcome to the cluster' >&2\necho '1|N/A|RUNNING|n1|None|tevit-b|c'\n"
    )
    assert [job.id for job in queries.queue()] == ["1"]


def test_a_job_that_the_accounting_calls_alive_is_asked_for_by_its_id(
    store, toys, go, look, fake_slurm
):
    grid = toys(toy_grid(2))
    go(grid)
    real = (fake_slurm.bin / "squeue").read_text()
    # a filter that we do not know of: the list is empty, the job is there
    hiding = f'#!/bin/sh\ncase "$*" in *-j*) exec {fake_slurm.bin}/real "$@";; esac\n'
    renamed = real.replace("Path(sys.argv[0]).name", '"squeue"')
    (fake_slurm.bin / "real").write_text(renamed)
    (fake_slurm.bin / "real").chmod(0o755)
    (fake_slurm.bin / "squeue").write_text(hiding)
    assert look(grid) == [("queued", None)] * 2
    assert go(grid) == []


# --- submission ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("job_name", "the launcher sets this option itself"),
        ("job-name", "the launcher sets this option itself"),
        ("array", "the launcher sets this option itself"),
        ("output", "the launcher sets this option itself"),
        ("export", "the launcher sets this option itself"),
        ("requeue", "the launcher sets this option itself"),
        ("no_requeue", "the launcher sets this option itself"),
        ("dependency", "use the field dependency"),
        ("time", "use the field time"),
        ("mem", "use the field memory"),
        ("partition", "use the field partition"),
    ],
)
def test_options_that_are_the_launchers_are_refused_in_extra(option, message):
    with pytest.raises(ProfileError, match=message):
        make_profile({"extra": {option: "mine"}})


def test_a_refusal_that_leaves_a_failed_job_behind_is_a_refusal(
    store, toys, look, fake_slurm, capsys
):
    fake_slurm.set(refuses_made_jobs="Requested node configuration is not available")
    grid = toys(toy_grid(2))
    with pytest.raises(SubmissionError, match="Requested node configuration is not available"):
        run_launch(LaunchRequest(store, grid, slurm_target(memory="900G")), LaunchOptions())
    assert "submitted" not in capsys.readouterr().out
    assert look(grid) == [("new", None)] * 2


def test_at_a_submit_limit_it_says_what_went_in(store, toys, fake_slurm):
    fake_slurm.set(submit_limit=4)
    grid = toys(toy_grid(6))
    done = launch(LaunchRequest(store, grid, slurm_target()))
    assert sum(len(batch.signatures) for batch, _ in done.batches) == 4
    text = submitted_text(done)
    assert text.startswith("toys: 4 cells submitted (SLURM jobs ")
    assert "2 more cells found no room: SLURM did not take the jobs" in text
    assert "job submit limit" in text
    with pytest.raises(NoRoomError, match="job submit limit"):
        launch(LaunchRequest(store, grid, slurm_target()))


def test_at_a_submit_limit_waiting_fills_up_as_room_comes(
    store, toys, fake_slurm, time_passes, capsys
):
    fake_slurm.set(submit_limit=4)
    grid = toys(toy_grid(6))
    options = LaunchOptions(wait=True, interval=0.1)
    assert run_launch(LaunchRequest(store, grid, slurm_target()), options)
    assert {store.run(c.signature).state().name for c in grid.cells} == {"done"}
    tasks = sum(len(job["tasks"]) for job in fake_slurm.jobs.values())
    assert tasks == 6


def test_refused_again_and_again_it_waits_longer_each_time(store, toys, fake_slurm, monkeypatch):
    grid = toys(toy_grid(1), kill_at=1, misdeed_on=0)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        fake_slurm.set(refuses="down for maintenance")

    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=sleep))
    launch(LaunchRequest(store, grid, slurm_target()))
    run_queued(fake_slurm)
    fake_slurm.set(refuses="down for maintenance")
    with pytest.raises(SubmissionError, match="down for maintenance"):
        follow(LaunchRequest(store, grid, slurm_target()), interval=1.0)
    assert pauses == [1.0, 2.0]


def test_a_cell_that_dies_at_once_is_not_tried_three_times_in_a_second(
    store, toys, fake_slurm, time_passes
):
    grid = toys(toy_grid(1), kill_at=1, misdeed_on=0)
    follow(LaunchRequest(store, grid, slurm_target()), interval=1.0)
    assert Counter(len(job["tasks"]) for job in fake_slurm.jobs.values()) == {1: 3}
    assert time_passes[:3] == [1.0, 2.0, 4.0]


def test_sbatch_variables_of_the_user_fill_in_what_the_profile_leaves_open(
    store, toys, fake_slurm, monkeypatch
):
    monkeypatch.setenv("SBATCH_PARTITION", "high")
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    target = slurm_target(account="ours")
    done = launch(LaunchRequest(store, toys(toy_grid(1)), target))
    options = fake_slurm.jobs["100"]["options"]
    assert (options["partition"], options["account"]) == ("high", "ours")
    assert done.plan.problems[:3] == [
        "SBATCH_ACCOUNT=mine in the environment is not used: the profile counts",
        "SBATCH_PARTITION=high in the environment is used: the profile does not say",
        "SBATCH_TIMELIMIT=1 in the environment is not used: the profile counts",
    ]
    profile = make_profile({"partition": "low"})
    assert slurm_parameters(profile, profile, "")["partition"] == "low"


def test_a_profile_changed_while_cells_are_queued_is_said(store, toys, go, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    assert plan_launch(LaunchRequest(store, grid, slurm_target())).problems == []
    (problem,) = plan_launch(LaunchRequest(store, grid, slurm_target(memory="2G", cpus=3))).problems
    assert problem.startswith(
        "2 cells are queued with other resources than are asked for now (cpus_per_task, mem)"
    )


def test_a_setup_line_that_fails_ends_the_job(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    go(grid, setup=["no-such-module load cuda", "export LATER=1"])
    assert fake_slurm.run(100) != 0
    assert not store.run(grid.cells[0].signature).provenance(1).exists()
    assert look(grid) == [("interrupted", "died")]


def test_called_from_a_folder_with_a_core_of_its_own_jobs_run(
    store, toys, go, look, fake_slurm, tmp_path, monkeypatch
):
    folder = tmp_path / "elsewhere"
    (folder / "core").mkdir(parents=True)
    for name in ("core/__init__.py", "cli.py", "launch.py", "submitit.py", "typing_extensions.py"):
        (folder / name).write_text("raise ImportError('not this one')")
    monkeypatch.chdir(folder)
    grid = toys(toy_grid(1))
    go(grid)
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)]


def test_called_from_a_folder_with_a_core_of_its_own_the_dispatcher_runs(
    store, toys, look, quick, tmp_path, monkeypatch
):
    (tmp_path / "core.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path)
    grid = toys(toy_grid(1))
    target = Target(Local(), make_profile({"gpus": 0}), function=TOY)
    launch(LaunchRequest(store, grid, target))
    follow(LaunchRequest(store, grid, target), interval=0.2)
    assert look(grid) == [("done", None)]


# --- inline --------------------------------------------------------------------------------------


def test_inline_says_what_runs_here_and_makes_the_report(store, toys, signals, capfd, monkeypatch):
    grid = toys(toy_grid(2))
    command = (sys.executable, "-c", "print('the report')")
    monkeypatch.setattr("launch.commands.report_command", lambda *_: command)
    target = Target(Inline(), make_profile({"gpus": 0}), function=TOY)
    assert run_launch(LaunchRequest(store, grid, target), LaunchOptions(report=True))
    output = capfd.readouterr().out
    assert "toys: 2 cells, which run in this process, one after the other" in output
    assert "nothing to submit" not in output
    assert "the report" in output and "report: made" in output


# --- places that cannot be written ---------------------------------------------------------------


def test_a_store_that_cannot_be_written_is_one_line(store, toys, go, fake_slurm, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "state")

    grid = toys(toy_grid(1))
    go(grid)
    manifest = store.manifest("toys")
    monkeypatch.setattr("launch.records.run_folder.RunFolder.mark_cancelled", refuse)
    with pytest.raises(UserError, match=f"the store {store.root} cannot be written"):
        cancel(store, manifest.cells)
    monkeypatch.setattr("launch.records.lease.acquire", refuse)
    with pytest.raises(UserError, match=f"the store {store.root} cannot be written"):
        launch(LaunchRequest(store, grid, slurm_target()))


# --- code that was edited ------------------------------------------------------------------------


def code(commit, dirty):
    git = {"commit": commit * 40, "dirty": dirty, "diff_sha256": "d" if dirty else None}
    return {"environment": {"git": {**git, "diff": "", "untracked": []}}}


def test_every_attempt_that_trained_counts_not_only_the_last():
    edited, clean = code("a", True) | {"attempt": 1}, code("a", False) | {"attempt": 2}
    assert different_code([edited, clean]) == [edited, clean]
    assert different_code([edited, clean | {"trains": False}]) == [edited]
    again = clean | {"attempt": 3}
    assert different_code([clean, again]) == [again]


def test_resuming_under_other_code_warns(make_run, monkeypatch, caplog):
    run = make_run()
    now = code("b", False)["environment"] | {"host": "h"}
    monkeypatch.setattr("benchmarks.machine.environment.environment", lambda: now)
    write_json(run.state_folder / "1.json", {})
    write_json(run.provenance(1), code("a", True) | {"attempt": 1})
    write_json(run.checkpoint, {"step": 1})
    with caplog.at_level(logging.WARNING):
        write_provenance(run, 2)
    assert "resumes under other code than its attempt 1: commit bbbbbbbbbbbb (clean)" in caplog.text
    assert "commit aaaaaaaaaaaa (with uncommitted changes)" in caplog.text
    assert json.loads(run.provenance(2).read_text())["trains"] is True
    assert json.loads(run.provenance(2).read_text())["new_code"] is True


# --- records of before ---------------------------------------------------------------------------

OLD_BATCH = {
    "id": "20260101-000000-0123abcd",
    "grid": "toys",
    "executor": "slurm",
    "names": ["a=x,s0"],
    "function": "launch.job:run_cell",
    "parameters": {"partition": "gpu"},
    "settings": {"patience": 72.0, "minutes": 60},
    "launcher": {"host": "login", "user": "me", "pid": 1, "token": "t", "cluster": "fake"},
    "created": 1767225600.0,
}


def old_batch(store, signature):
    path = Journal(store).folder / f"{OLD_BATCH['id']}.json"
    write_json(path, {**OLD_BATCH, "signatures": [signature]})
    write_json(path.with_suffix("").with_suffix(".job.json"), {"job_id": "41", "time": 1.0})
    return path


def test_a_batch_of_before_the_wings_is_read_and_its_function_found(store, make_run, look):
    from launch.node.job import run_cell

    grid = toy_grid(1)
    run = make_run(grid.cells[0].signature)
    path = old_batch(store, run.signature)
    assert Journal(store).read(OLD_BATCH["id"]).executor == "slurm"
    assert resolve(tasks_of(path)[0].function) is run_cell
    assert CellTask("f", "b", 0).function == OLD_BATCH["function"]  # and it is still written so


def test_commands_of_before_the_wings_start_the_worker(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "launch.worker", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "--batch" in done.stdout
    text = pickle.dumps(CellTask("folder", "b", 0), protocol=0)
    (tmp_path / "old.pkl").write_bytes(text.replace(b"claunch.node.task", b"claunch.task"))
    code = "import sys, pickle, launch.worker;print(pickle.load(open(sys.argv[1], 'rb')).folder)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "old.pkl")], capture_output=True, text=True
    )
    assert done.stdout == "folder\n", done.stderr


def test_a_batch_of_an_executor_that_is_not_known_here_is_left_alone(store, make_run, look):
    grid = toy_grid(1)
    run = make_run(grid.cells[0].signature)
    path = old_batch(store, run.signature)
    write_json(path, {**json.loads(path.read_text()), "executor": "pbs"})
    run.mark_queued(OLD_BATCH["id"], 0)
    assert look(grid) == [("queued", None)]
    assert "executor pbs" in look(grid, notes=True)[0]
    assert Path(run.queued_path).exists()


def test_an_option_that_the_executor_does_not_take_is_said(store, fake_slurm):
    target = Target(Inline(), make_profile({"gpus": 0}), jobs=4, function=TOY)
    plan = plan_launch(LaunchRequest(store, toy_grid(2), target))
    assert plan.problems == ["--jobs 4 has no effect on the executor inline"]
