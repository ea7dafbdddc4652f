"""What a scheduler can do to cells, on a SLURM of mocked commands."""

from __future__ import annotations

import json
import os

import pytest
from toy_grids import toy_grid

from launch.executors import slurm_queries as slurm
from launch.executors.base import SubmissionError
from launch.records import lease
from launch.records.journal import Journal
from launch.records.process import myself
from launch.submit.retry import parse_rules
from launch.watch.survey import survey

pytestmark = pytest.mark.usefixtures("fake_slurm", "quick")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("NODE_FAIL", ("interrupted", "node failure")),
        ("TIMEOUT", ("interrupted", "timeout")),
        ("PREEMPTED", ("interrupted", "preempted")),
        ("CANCELLED", ("interrupted", "cancelled")),
        ("OUT_OF_MEMORY", ("failed", "out of memory")),
        ("FAILED", ("interrupted", "died")),
        ("COMPLETED", ("interrupted", "died")),
        ("BOOT_FAIL", ("interrupted", "node failure")),
    ],
)
@pytest.mark.parametrize("started", [False, True])
def test_how_a_job_ended_is_written_down(store, toys, go, look, fake_slurm, word, state, started):
    grid = toys(toy_grid(1))
    go(grid)
    run = store.run(grid.cells[0].signature)
    if started:  # on a node of which nothing is known here, and that is silent
        batch = lease.read_dict(run.queued_path)["batch"]
        lease.acquire(run.state_folder, myself(batch=batch, index=0) | {"machine": "n1"})
        os.utime(run.state_folder / "1.json", (1, 1))
    fake_slurm.task(100, state=word)
    assert look(grid, record=False) == [state]
    assert look(grid) == [state]
    fake_slurm.lose(100)  # when SLURM has forgotten it, the folder still knows
    fake_slurm.forget_calls()
    assert look(grid) == [state]
    assert fake_slurm.calls() == []
    expected = [] if state[1] == "out of memory" else ["101"]
    assert go(grid) == expected


def test_memory_exceeded_is_read_from_the_schedulers_log(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1), kill_at=2)
    go(grid)
    fake_slurm.run(100)
    log = next((store.journal / "submitit").glob("*/100_0_log.out"))
    with log.open("a") as stream:
        stream.write("slurmstepd: error: Step 100.0 exceeded memory limit (9 > 8), being killed\n")
    assert look(grid) == [("failed", "out of memory")]
    failure = store.run(grid.cells[0].signature).failure()
    assert "exceeded memory limit" in failure["last_line"]


@pytest.mark.slow
@pytest.mark.parametrize("misdeed", ["kill_at", "hard_exit_at"])
def test_a_death_without_a_word_is_seen_and_tried_again_up_to_a_limit(
    store, toys, go, look, fake_slurm, misdeed
):
    grid = toys(toy_grid(1), misdeed_on=0, **{misdeed: 1})
    for job in ("100", "101", "102"):
        assert go(grid) == [job]
        fake_slurm.run(job)
        assert look(grid) == [("interrupted", "died")]
    assert go(grid) == []  # three attempts got no further
    assert go(grid, parse_rules(["died"])) == ["103"]


@pytest.mark.slow
def test_progress_resets_the_limit(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1), steps=6, kill_at=2)
    go(grid)
    fake_slurm.run(100)  # reached step 1
    run = store.run(grid.cells[0].signature)
    for n in (2, 3, 4, 5):
        assert go(grid), n
        job = str(99 + n)
        (run.path / "toy.json").write_text(
            json.dumps({"steps": 10, "kill_at": n + 1, "misdeed_on": 0})
        )
        fake_slurm.run(job)
        assert look(grid) == [("interrupted", "died")]


def test_sacct_helps_where_squeue_has_forgotten(toys, go, look, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    fake_slurm.task(100, 0, state="TIMEOUT", forgotten=True)
    fake_slurm.forget_calls()
    assert look(grid) == [("interrupted", "timeout"), ("queued", None)]
    assert len(fake_slurm.calls("squeue")) == len(fake_slurm.calls("sacct")) == 1


def test_failing_sacct_is_survived(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    fake_slurm.set(sacct_fails=True)
    fake_slurm.task(100, 0, state="TIMEOUT", forgotten=True)
    found = survey(store, grid.measures())
    assert "accounting storage is disabled" in found.problems[0]
    assert look(grid) == [("interrupted", "lost"), ("queued", None)]
    fake_slurm.run(100, 1)
    assert look(grid)[1] == ("done", None)
    assert go(grid) == ["101"]


def test_missing_sacct_is_survived(toys, go, look, fake_slurm, monkeypatch):
    grid = toys(toy_grid(1))
    go(grid)
    (fake_slurm.bin / "sacct").unlink()
    monkeypatch.setenv("PATH", str(fake_slurm.bin))
    fake_slurm.task(100, forgotten=True)
    assert look(grid) == [("interrupted", "lost")]


def test_a_controller_that_is_down_decides_nothing(toys, go, look, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    fake_slurm.set(down=True)
    assert look(grid) == [("queued", None)] * 2
    assert look(grid, notes=True) == ["SLURM does not answer"] * 2
    assert go(grid) == []
    bigger = toys(toy_grid(3))
    with pytest.raises(SubmissionError, match="not known; the next launch will find out"):
        go(bigger)
    fake_slurm.set(down=False)
    assert go(bigger) == ["101"]
    assert len(fake_slurm.jobs["101"]["tasks"]) == 1


def test_a_refused_submission_says_why_and_leaves_nothing_behind(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(2))
    fake_slurm.set(refuses="Requested node configuration is not available")
    with pytest.raises(SubmissionError, match="node configuration is not available"):
        go(grid)
    assert look(grid) == [("new", None)] * 2
    assert list((store.journal / "submitit").iterdir()) == []
    fake_slurm.set(refuses=None)
    assert go(grid) == ["100"]


def test_a_job_made_although_sbatch_failed_is_adopted(toys, go, look, fake_slurm):
    grid = toys(toy_grid(2), steps=2)
    fake_slurm.set(silent_sbatch=True)
    assert go(grid) == ["100"]
    fake_slurm.set(silent_sbatch=False)
    assert go(grid) == []
    assert fake_slurm.run(100, 1) == 0  # its pickle is made from the journal
    assert look(grid) == [("queued", None), ("done", None)]


def test_a_job_that_the_controller_lost_is_named_and_submitted_again(toys, go, look, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    fake_slurm.lose(100)
    assert look(grid, record=False) == [("interrupted", "lost")] * 2
    assert go(grid) == ["101"]


def test_a_job_id_that_another_job_got_is_not_ours(toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    go(grid)
    with_other_name = dict(fake_slurm.jobs["100"], name="tevit-another")
    fake_slurm.set(jobs={"100": with_other_name})
    assert look(grid) == [("interrupted", "lost")]


def test_the_database_may_believe_in_a_job_that_the_controller_lost(toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    go(grid)
    fake_slurm.task(100, forgotten=True)  # sacct still says PENDING
    assert look(grid) == [("interrupted", "lost")]


def test_another_clusters_jobs_are_not_lost(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    go(grid)
    fake_slurm.set(jobs={}, config={"ClusterName": "elsewhere", "MaxArraySize": "1001"})
    slurm.settings.cache_clear()
    slurm.cluster_name.cache_clear()
    assert look(grid, notes=True) == ["submitted on cluster fake"]
    assert go(grid) == []


def test_a_silent_cell_of_a_scheduler_that_does_not_answer_is_left_alone(
    store, toys, go, look, fake_slurm
):
    grid = toys(toy_grid(1))
    go(grid)
    run = store.run(grid.cells[0].signature)
    batch = lease.read_dict(run.queued_path)["batch"]
    lease.acquire(run.state_folder, myself(batch=batch, index=0) | {"machine": "n1"})
    os.utime(run.state_folder / "1.json", (1, 1))
    fake_slurm.set(down=True)
    assert look(grid) == [("interrupted", "silent")]
    assert go(grid) == []


def test_jobs_of_this_store_without_a_record_are_named(store, toys, go, fake_slurm):
    grid = toys(toy_grid(2))
    go(grid)
    for path in Journal(store).folder.iterdir():
        path.rename(path.with_suffix(".gone"))
    other = toys(toy_grid(3, "other"))
    go(other)
    found = survey(store, other.measures())
    assert [job.id for job in found.orphans] == ["100_0", "100_1"]


def test_a_heartbeat_outlives_a_lost_node(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    go(grid)
    run = store.run(grid.cells[0].signature)
    batch = lease.read_dict(run.queued_path)["batch"]
    claim = lease.acquire(run.state_folder, myself(batch=batch, index=0))
    with lease.beating(claim):
        fake_slurm.task(100, state="NODE_FAIL")
        assert look(grid) == [("running", None)]  # it still works, and may finish
        fake_slurm.task(100, state="PENDING")
        assert look(grid, notes=True) == ["requeued, but the former copy still works"]
        assert go(grid) == []


def test_suspended_and_starting_jobs_are_left_alone(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    go(grid)
    fake_slurm.task(100, state="RUNNING")
    assert look(grid, notes=True) == ["starting"]
    run = store.run(grid.cells[0].signature)
    batch = lease.read_dict(run.queued_path)["batch"]
    lease.acquire(run.state_folder, myself(batch=batch, index=0) | {"machine": "n1"})
    os.utime(run.state_folder / "1.json", (1, 1))
    fake_slurm.task(100, state="SUSPENDED")
    assert look(grid, notes=True) == ["suspended"]
    assert look(grid) == [("running", None)]
    assert go(grid) == []
