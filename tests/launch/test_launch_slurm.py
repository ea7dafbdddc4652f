"""The whole life of cells on a SLURM of mocked commands."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import toy_cells
from toy_grids import TOY, toy_grid

from core.errors import UserError
from launch import lease, slurm
from launch.executors import SubmissionError
from launch.journal import Journal
from launch.launcher import launch
from launch.monitor import survey
from launch.plan import Target, make_plan, wanted
from launch.process import myself
from launch.profile import make_profile
from launch.retry import RetryRules, parse_rules

pytestmark = pytest.mark.usefixtures("fake_slurm", "quick")


def target(**profile):
    values = {"gpus": 0, "time": 60, **profile}
    return Target("slurm", make_profile(values), function=TOY)


@pytest.fixture
def go(store, toys):
    """``go(grid)``: launch it; returns the ids of the jobs made."""

    def run(grid, rules=None, **profile):
        launched = launch(store, grid, target(**profile), rules or RetryRules())
        return [job_id for _, job_id in launched.batches]

    return run


@pytest.fixture
def look(store):
    """``look(grid)``: the state of each cell; writes down what is found."""

    def run(grid, *, record=True, notes=False):
        found = survey(store, wanted(grid), record=record)
        states = [found.cells[c.signature] for c in grid.cells]
        if notes:
            return [s.note for s in states]
        return [(s.state.name, s.state.cause) for s in states]

    return run


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
    launch(store, grid, target(rules=rules, partition="main"), RetryRules())
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
    grid = toys(toy_grid(1), steps=60, sleep=0.02, checkpoint_every=10**6)
    go(grid)
    run = store.run(grid.cells[0].signature)
    process = fake_slurm.start(100)
    while not run.history.exists():
        time.sleep(0.02)
    signal_task(run)
    process.wait(timeout=30)
    assert fake_slurm.calls("scontrol")[-1] == "scontrol requeue 100"
    assert look(grid)[0][0] == "queued"
    assert go(grid) == []
    assert fake_slurm.run(100) == 0
    assert look(grid) == [("done", None)]
    lines = [json.loads(line) for line in run.history.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 61))
    assert {line["attempt"] for line in lines} == {1, 2}
    result = json.loads(run.result("ap").read_text())["figures"]["AP"]
    assert result == toy_cells.expected_ap(60)


def signal_task(run, number=signal.SIGUSR2):
    os.kill(lease.latest(run.state_folder).holder["pid"], number)


def test_a_cell_that_is_restarted_without_a_word_resumes(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1), steps=30, sleep=0.02)
    go(grid)
    run = store.run(grid.cells[0].signature)
    process = fake_slurm.start(100)
    while not run.history.exists():
        time.sleep(0.02)
    signal_task(run, signal.SIGKILL)
    process.wait(timeout=30)
    fake_slurm.task(100, state="PENDING", restarts=1)  # scontrol requeue
    assert look(grid)[0][0] == "queued"
    assert go(grid) == []
    fake_slurm.run(100)
    assert look(grid) == [("done", None)]
    assert json.loads(run.result("ap").read_text())["figures"]["AP"] == toy_cells.expected_ap(30)


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
    found = survey(store, wanted(grid))
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
    found = survey(store, wanted(other))
    assert [job.id for job in found.strays] == ["100_0", "100_1"]


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


def test_while_a_batch_is_being_submitted_others_leave_it_alone(store, toys, go, look, fake_slurm):
    grid = toys(toy_grid(1))
    seen = []

    def watch(*_):
        seen.extend(look(grid, notes=True))
        return "100"

    from launch import launcher

    original = launcher.submit_slurm
    launcher.submit_slurm = watch
    try:
        go(grid)
    finally:
        launcher.submit_slurm = original
    assert seen == ["being submitted"]


def test_planning_changes_nothing(store, toys, go, fake_slurm):
    grid = toys(toy_grid(3))
    go(toys(toy_grid(1)))
    fake_slurm.task(100, state="TIMEOUT")
    before = sorted((p, p.stat().st_mtime_ns) for p in store.root.rglob("*"))
    fake_slurm.forget_calls()
    plan = make_plan(store, grid, target(), RetryRules())
    assert [(c.action, c.note) for c in plan.cells] == [
        ("resume", "timeout"),
        ("new", ""),
        ("new", ""),
    ]
    assert plan.counts() == {"resume": 1, "new": 2}
    assert [len(batch.cells) for batch in plan.batches] == [3]
    assert sorted((p, p.stat().st_mtime_ns) for p in store.root.rglob("*")) == before
    assert {call.split()[0] for call in fake_slurm.calls()} <= {"squeue", "sacct", "scontrol"}
    assert len(fake_slurm.calls("squeue")) == 1


def test_without_slurm_the_plan_says_so(store, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="use --executor local"):
        make_plan(store, toy_grid(1), target(), RetryRules())


def test_the_array_limit_must_be_known(store, fake_slurm):
    fake_slurm.set(down=True)
    with pytest.raises(UserError, match="max_array_size"):
        make_plan(store, toy_grid(1), target(), RetryRules())
