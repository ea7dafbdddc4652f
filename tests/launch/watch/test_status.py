from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console
from toy_grids import TOY, toy_grid

from core.errors import UserError
from core.files import append_line, write_json
from launch.cancel import cancel
from launch.commands import submitted_text
from launch.executors.base import Target
from launch.executors.inline import Inline
from launch.executors.local import Local
from launch.executors.profile import make_profile
from launch.executors.slurm import Slurm
from launch.plan_table import plan_table
from launch.price.price import Price
from launch.records import lease, process
from launch.records.failures import FailureGroup
from launch.records.summary import last_line, summary
from launch.submit.launcher import launch, manifest_of
from launch.submit.plan import LaunchRequest, plan_launch
from launch.watch import logs
from launch.watch.display import (
    failure_text,
    status_lines,
    status_table,
)
from launch.watch.status import counts, duration, most_telling, status_rows
from launch.watch.survey import survey


def shown(renderable, width=200):
    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    return stream.getvalue()


def slurm_target():
    return Target(Slurm(), make_profile({"gpus": 0, "partition": "main"}), function=TOY)


@pytest.fixture
def mixed(store):
    """A grid with a cell in each state."""
    grid = toy_grid(5)
    store.write_manifest(manifest_of(grid))
    running, failed, done, interrupted, _ = (store.run(c.signature) for c in grid.cells)
    for run in (running, failed, done, interrupted):
        run.state_folder.mkdir(parents=True)
        line = {"step": 3, "steps": 9, "loss": 0.25, "seconds_left": 3725.0}
        append_line(run.history, json.dumps(line))
    lease.acquire(running.state_folder, process.myself(node="n1", job_id="7_0"))
    claim = lease.acquire(failed.state_folder, process.myself())
    claim.end({"outcome": "failed", "cause": "out of memory"})
    lease.acquire(done.state_folder, process.myself()).end({"outcome": "done"})
    write_json(done.result("ap"), {"figures": {"AP": 0.4321}})
    write_json(done.done_path, {"summary": summary(done)})
    lease.acquire(interrupted.state_folder, process.myself()).end({"cause": "timeout"})
    return grid


def rows_of(store, grid):
    manifest = store.manifest(grid.name)
    return status_rows(store, manifest.cells, survey(store, manifest.measures()))


def test_a_row_says_what_is_known(store, mixed):
    running, failed, done, interrupted, new = rows_of(store, mixed)
    assert (running.state, running.step, running.steps, running.loss) == ("running", 3, 9, 0.25)
    assert (running.seconds_left, running.host, running.job_id) == (3725.0, "n1", "7_0")
    assert (failed.state, failed.cause, failed.seconds_left) == ("failed", "out of memory", None)
    assert (done.state, done.ap, done.step) == ("done", 0.4321, 3)
    assert (interrupted.state, interrupted.cause) == ("interrupted", "timeout")
    assert (new.state, new.step, new.host) == ("new", None, "")


def test_the_table_shows_the_rows_and_the_counts(store, mixed):
    text = shown(status_table("toys", rows_of(store, mixed), 60, ["squeue: down"]))
    for word in ("a=x,s0", "3/9", "0.250", "43.2", "1:02:05", "n1", "7_0", "out of memory"):
        assert word in text
    assert "1 running, 1 failed, 1 interrupted, 1 new, 1 done" in text
    assert "! squeue: down" in text


def test_looking_works_where_nothing_can_be_written(store, toys, fake_slurm, monkeypatch):
    grid = toys(toy_grid(2))
    launch(LaunchRequest(store, grid, slurm_target()))
    for k in range(2):
        fake_slurm.task(100, k, state="TIMEOUT")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("launch.watch.survey.write_down", refuse)
    found = survey(store, store.manifest("toys").measures(), record=True)
    assert {s.state.cause for s in found.cells.values()} == {"timeout"}
    assert found.problems == ("not written down: [Errno 13] Permission denied",)


def test_of_many_cells_the_telling_ones_are_shown(store, mixed):
    rows = rows_of(store, mixed)
    assert [r.state for r in most_telling(rows, 2)] == ["running", "failed"]
    assert "... and 3 more (--all)" in shown(status_table("toys", rows, 2))
    assert list(counts(rows)) == ["running", "failed", "interrupted", "new", "done"]


def test_lines_for_programs(store, mixed):
    lines = list(status_lines(rows_of(store, mixed)))
    assert lines[0].split("\t")[:2] == ["cell", "state"]
    assert lines[1].split("\t") == [
        *("a=x,s0", "running", "3", "9", "0.25", "", "3725.0", "n1", "7_0", "")
    ]
    assert len(lines) == 6


def test_empty_columns_are_left_out(store):
    grid = toy_grid(1)
    store.write_manifest(manifest_of(grid))
    text = shown(status_table("toys", rows_of(store, grid), 60))
    assert "loss" not in text
    assert "new" in text


def test_a_history_that_is_being_written_is_read_to_its_last_whole_line(make_run):
    run = make_run()
    assert last_line(run) == {}
    line = json.dumps({"step": 1, "filler": "x" * 3000})
    run.history.write_text(f"{line}\n{line.replace('1', '2', 1)}\n" + '{"step": 3, "lo')
    assert last_line(run)["step"] == 2
    for damaged in ("nonsense", "[" * 3000, '{"step": []}', '{"step": 3, "loss": "x"}'):
        run.history.write_text(f'{{"step": 1}}\n{damaged}\n')
        assert last_line(run) == {"step": 1}


def test_cells_that_share_a_run_are_both_shown(store, mixed):
    manifest = store.manifest("toys")
    twice = (*manifest.cells[:1], *manifest.cells[:1])
    found = survey(store, manifest.measures())
    assert len(status_rows(store, twice, found)) == 2


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (59.6, "0:01:00"), (90061, "25:01:01"), (float("inf"), "")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_plan_shows_cells_jobs_and_what_is_left_alone(store, fake_slurm, mixed):
    text = shown(
        plan_table(plan_launch(LaunchRequest(store, mixed, slurm_target())), {}, Price(), 60)
    )
    for word in ("running", "not tried again after: out of memory", "resume", "timeout", "new"):
        assert word in text
    assert "runs: 1 running, 1 failed, 1 done, 1 resume, 1 new" in text
    assert "2 cells: a job array with" in text
    assert "partition=main" in text
    assert "1 failed runs are left as they are; to try them again: --retry out-of-memory" in text


def test_plans_for_this_machine_say_where(store, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    plan = plan_launch(LaunchRequest(store, toy_grid(3), Target(Local(), make_profile({}), 2)))
    assert "3 cells: on this machine, 2 at a time, GPUs 0; 1" in shown(
        plan_table(plan, {}, Price(), 60)
    )
    plan = plan_launch(LaunchRequest(store, toy_grid(1), Target(Inline(), make_profile({}))))
    assert "1 cell: in this process, one after the other" in shown(
        plan_table(plan, {}, Price(), 60)
    )
    assert "... and 2 more" in shown(
        plan_table(plan_launch(LaunchRequest(store, toy_grid(3), plan.target)), {}, Price(), 1)
    )


def test_what_a_launch_did_in_a_line(store, fake_slurm):
    grid = toy_grid(2)
    done = launch(LaunchRequest(store, grid, slurm_target()))
    assert submitted_text(done) == "toys: 2 cells submitted (SLURM jobs 100)"
    again = launch(LaunchRequest(store, grid, slurm_target()))
    assert submitted_text(again) == "toys: nothing to submit (2 queued)"


def test_failures_are_shown_with_a_whole_traceback(tmp_path):
    cells = tuple(f"c{k}" for k in range(10))
    group = FailureGroup("error", "ValueError: x", cells, "Traceback\n  line", tmp_path / "1.log")
    text = shown(failure_text([group]))
    assert "10 cells: error (an exception in the code)" in text
    assert "c7, and 2 more" in text
    assert "    Traceback" in text
    assert shown(failure_text([])) == "no failures\n"


# --- logs ----------------------------------------------------------------------------------------


def test_the_log_of_the_latest_attempt_is_found(store, make_run):
    run = make_run()
    with pytest.raises(UserError, match="no log yet, the cell is new"):
        logs.find_log(store, run.signature)
    lease.acquire(run.state_folder, process.myself()).end({})
    lease.acquire(run.state_folder, process.myself())
    for attempt in (1, 2):
        run.log(attempt).parent.mkdir(exist_ok=True)
        run.log(attempt).write_text(str(attempt))
    assert logs.find_log(store, run.signature) == run.log(2)


def test_before_the_cell_began_the_schedulers_log_is_shown(store, toys, fake_slurm):
    grid = toys(toy_grid(2))
    launched = launch(LaunchRequest(store, grid, slurm_target()))
    folder = store.journal / "submitit" / launched.batches[0][0].id
    (folder / "100_1_0_log.out").write_text("slurmstepd: error")
    found = logs.find_log(store, grid.cells[1].signature)
    assert found.read_text() == "slurmstepd: error"
    with pytest.raises(UserError, match="the cell is queued"):
        logs.find_log(store, grid.cells[0].signature)


def test_a_log_is_followed_until_it_is_over(tmp_path):
    path = tmp_path / "log"
    path.write_text("one\n")
    asked = []

    def over():
        asked.append(1)
        if len(asked) == 1:
            with path.open("a") as stream:
                stream.write("two\n")
        return len(asked) > 2

    assert "".join(logs.follow_log(path, over, poll=0.01)) == "one\ntwo\n"


# --- cancelling on SLURM -------------------------------------------------------------------------


def test_cancelling_marks_the_cells_and_tells_slurm_once(store, toys, fake_slurm):
    grid = toys(toy_grid(3))
    launch(LaunchRequest(store, grid, slurm_target()))
    fake_slurm.run(100, 0)
    done = cancel(store, store.manifest("toys").cells)
    assert [c.name for c in done.cells] == ["a=x,s1", "a=x,s2"]
    assert fake_slurm.calls("scancel") == ["scancel 100_1 100_2"]
    assert [row.state for row in rows_of(store, grid)] == ["done", "interrupted", "interrupted"]
    assert store.run(grid.cells[1].signature).cancelled()


def test_a_cancellation_counts_even_if_slurm_forgets_it(store, toys, fake_slurm):
    grid = toys(toy_grid(1))
    launch(LaunchRequest(store, grid, slurm_target()))
    (fake_slurm.bin / "scancel").write_text("#!/bin/sh\necho down >&2\nexit 1\n")
    done = cancel(store, store.manifest("toys").cells)
    assert "down" in done.problem
    assert fake_slurm.run(100) == 0  # the job starts, sees the mark and leaves
    (row,) = rows_of(store, grid)
    assert (row.state, row.cause) == ("interrupted", "cancelled")
    assert store.run(grid.cells[0].signature).attempts() == []


# --- scale ---------------------------------------------------------------------------------------


def test_ten_thousand_cells_cost_one_question_and_few_reads(store, fake_slurm, monkeypatch):
    """Not timed, since machines differ: what is counted is what takes the time."""
    grid = toy_grid(10_000)
    signatures = [c.signature for c in grid.cells]
    for k, signature in enumerate(signatures):
        folder = store.run(signature).state_folder
        folder.mkdir(parents=True)
        mark = {"batch": "b", "index": k}
        (folder / "queued.json").write_text(json.dumps(mark))
    from launch.records.journal import Batch, Journal

    names = tuple(c.name for c in grid.cells)
    Journal(store).begin(Batch("b", "toys", "slurm", tuple(signatures), names, TOY))
    Journal(store).submitted("b", "100")
    tasks = {str(k): {"state": "PENDING", "restarts": 0} for k in range(10_000)}
    job = {"name": "tevit-b", "comment": "", "array": True, "options": {}, "tasks": tasks}
    fake_slurm.set(jobs={"100": job})
    fake_slurm.forget_calls()
    reads = []
    original = lease.read_dict
    monkeypatch.setattr(
        lease, "read_dict", lambda path, *shape: reads.append(path) or original(path, *shape)
    )
    store.write_manifest(manifest_of(grid))
    start = time.monotonic()
    rows = rows_of(store, grid)
    print(f"10,000 queued cells: {time.monotonic() - start:.1f} s")
    assert counts(rows) == {"queued": 10_000}
    assert len(fake_slurm.calls("squeue")) == 1
    assert len(fake_slurm.calls("sacct")) == 0
    assert len(reads) <= 1.1 * len(grid.cells)


def test_a_done_cell_is_known_from_a_handful_of_files(store, mixed, monkeypatch):
    opened = []
    original = lease.read_dict
    monkeypatch.setattr(
        lease, "read_dict", lambda path, *shape: opened.append(str(path)) or original(path, *shape)
    )
    manifest = store.manifest("toys")
    done = manifest.cells[2]
    found = survey(store, {done.signature: ("ap",)})
    status_rows(store, [done], found)
    names = [path.rpartition("/")[2] for path in opened]
    assert names == ["1.end.json", "1.json", "done.json"]


@pytest.mark.parametrize("mark", [{"batch": "b", "index": None}, {"batch": None}, {"batch": 3}, {}])
def test_a_damaged_mark_of_a_submission_is_none(store, make_run, mark):
    run = make_run()
    run.write_queued(mark | {"time": 0})
    assert run.state().submission is None
    found = survey(store, {run.signature: ("ap",)}, record=False)
    assert found.cells[run.signature].job_id is None
