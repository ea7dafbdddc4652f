from __future__ import annotations

import dataclasses
import json
import threading
import time
from pathlib import Path

import pytest
import toy_cells
from toy_grids import TOY

from core.errors import UserError
from core.files import append_line, read_json_lines, write_json
from launch.node import task
from launch.node.task import CellTask
from launch.records import lease, process
from launch.records.summary import tidy_history

SLURM = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "77"}


@pytest.fixture
def in_slurm(monkeypatch):
    """This process as task 0 of SLURM job 77; returns the list of requeues asked for."""
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    requeued = []
    monkeypatch.setattr(task, "requeue", lambda: requeued.append(1))
    return requeued


def cell(run, **settings):
    return CellTask(str(run.path), "b1", 0, TOY, **settings)


def steps_of(run):
    return [line["step"] for line in read_json_lines(run.history)]


def ap_of(run):
    return json.loads(run.result("ap").read_text())["figures"]["AP"]


def test_a_cell_runs_to_the_end(make_run, signals):
    run = make_run(steps=4)
    assert cell(run)() == "done"
    assert run.state(["ap"]).name == "done"
    assert ap_of(run) == toy_cells.expected_ap(4)
    done = json.loads(run.done_path.read_text())
    assert (done["attempts"], done["measure"]) == (1, ["ap"])
    assert 0 <= done["wall_s"] < 60
    assert not (run.state_folder / "reserve").exists()


def test_a_complete_cell_is_not_run_again(make_run, signals):
    run = make_run()
    cell(run)()
    assert cell(run)() == "done before"
    assert len(run.attempts()) == 1


def test_a_complete_cell_runs_again_for_a_new_measurement(make_run, signals):
    run = make_run()
    cell(run)()
    make_run(measure=["ap", "fps"])
    assert cell(run)() == "done"
    assert run.result("fps").exists()


def test_a_cancelled_cell_does_not_start(make_run, signals):
    run = make_run()
    run.mark_cancelled()
    assert cell(run)() == "cancelled"
    assert run.state().name == "new"


def test_an_exception_leaves_cause_and_traceback(make_run, signals):
    run = make_run(raise_at=2)
    with pytest.raises(ValueError, match="step 2 went wrong"):
        cell(run)()
    assert (run.state().name, run.state().cause) == ("failed", "error")
    failure = run.failure()
    assert failure["last_line"] == "ValueError: step 2 went wrong"
    assert "misbehave" in failure["traceback"]
    assert failure["attempt"] == 1


def test_sys_exit_in_the_code_is_a_failure(make_run, signals):
    run = make_run(exit_at=1)
    with pytest.raises(SystemExit):
        cell(run)()
    assert run.failure()["last_line"] == "SystemExit: 3"
    assert run.state().cause == "error"


def test_an_unknown_function_is_a_failure_that_names_it(make_run, signals):
    run = make_run()
    with pytest.raises(UserError, match="nowhere:nothing"):
        dataclasses.replace(cell(run), function="nowhere:nothing")()
    assert run.state().name == "failed"


def test_a_second_attempt_resumes(make_run, signals):
    run = make_run(steps=5, raise_at=4)
    with pytest.raises(ValueError):
        cell(run)()
    assert cell(run)() == "done"
    assert steps_of(run) == [1, 2, 3, 4, 5]
    assert ap_of(run) == toy_cells.expected_ap(5)


def test_ctrl_c_is_a_cancellation_not_a_failure(make_run, signals, monkeypatch):
    run = make_run()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(task, "resolve", lambda _: interrupt)
    with pytest.raises(KeyboardInterrupt):
        cell(run)()
    assert (run.state().name, run.state().cause) == ("interrupted", "cancelled")


def test_two_copies_do_not_run_at_once(make_run, signals):
    run = make_run()
    lease.acquire(run.state_folder, process.myself())
    thread_result = cell(run)
    beats = threading.Event()

    def keep_alive():
        while not beats.wait(0.01):
            lease.Lease(run.state_folder, 1).beat()

    keeper = threading.Thread(target=keep_alive)
    keeper.start()
    try:
        assert thread_result() == "held by another"
    finally:
        beats.set()
        keeper.join()
    assert run.state().name == "running"
    assert not run.history.exists()


def test_a_warning_makes_it_checkpoint_and_requeue(make_run, signals, in_slurm):
    run = make_run(steps=1000, sleep=0.01, checkpoint_every=10**6)
    signals.ask("warned")
    with pytest.raises(SystemExit) as caught:
        cell(run)()
    assert caught.value.code == task.EXIT_REQUEUED
    assert in_slurm == [1]
    assert steps_of(run) == [1]
    assert (run.state().name, run.state().cause) == ("queued", "preempted")
    assert json.loads(run.checkpoint.read_text())["step"] == 1


def test_a_requeue_that_is_refused_leaves_it_interrupted(make_run, signals, in_slurm, monkeypatch):
    monkeypatch.setattr(task, "requeue", lambda: "Requested operation is presently disabled")
    run = make_run()
    signals.ask("warned")
    with pytest.raises(SystemExit):
        cell(run)()
    assert (run.state().name, run.state().cause) == ("interrupted", "preempted")
    assert "disabled" in run.attempts()[-1].end["note"]


def test_work_that_does_not_react_is_requeued_over_its_head(
    make_run, signals, in_slurm, monkeypatch
):
    run = make_run()

    def deaf(run, *, should_stop, **_):
        while not in_slurm:
            time.sleep(0.01)
        return True

    monkeypatch.setattr(task, "resolve", lambda _: deaf)
    signals.ask("warned")
    assert cell(run, patience=0.05)() == "superseded"  # the requeued job will publish
    assert run.state().name == "queued"


def test_sigterm_under_slurm_waits_for_the_verdict_and_goes_on(
    make_run, signals, in_slurm, monkeypatch
):
    monkeypatch.setattr(task, "VERDICT_SECONDS", 0.05)
    run = make_run(steps=5)
    signals.ask("terminated")
    assert cell(run)() == "done"
    assert steps_of(run) == [1, 2, 3, 4, 5]


def test_sigterm_then_warning_under_slurm_requeues(make_run, signals, in_slurm, monkeypatch):
    run = make_run(steps=5)
    signals.ask("terminated")
    threading.Timer(0.1, signals.ask, ["warned"]).start()
    with pytest.raises(SystemExit):
        cell(run)()
    assert in_slurm == [1]


def test_sigterm_elsewhere_stops(make_run, signals):
    run = make_run(steps=5)
    signals.ask("terminated")
    assert cell(run)() == "stopped: terminated"
    assert (run.state().name, run.state().cause) == ("interrupted", "terminated")
    signals.withdraw("terminated")
    assert cell(run)() == "done"
    assert steps_of(run) == [1, 2, 3, 4, 5]


def test_an_error_after_the_request_to_stop_is_its_consequence(
    make_run, signals, in_slurm, monkeypatch
):
    run = make_run()

    def break_down(run, *, should_stop, **_):
        should_stop.ask("warned")
        raise RuntimeError("DataLoader worker (pid 5) is killed by signal: Terminated")

    monkeypatch.setattr(task, "resolve", lambda _: break_down)
    with pytest.raises(SystemExit):
        cell(run)()
    assert run.state().name == "queued"
    assert run.failure() is None


def test_a_disk_that_is_full_is_a_failure_even_then(make_run, signals, in_slurm, monkeypatch):
    run = make_run()

    def fail_to_save(run, *, should_stop, **_):
        should_stop.ask("warned")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(task, "resolve", lambda _: fail_to_save)
    with pytest.raises(OSError, match="No space"):
        cell(run)()
    assert (run.state().name, run.state().cause) == ("failed", "disk full")
    assert in_slurm == []


def test_work_that_reacts_late_is_not_requeued_twice(make_run, signals, in_slurm, monkeypatch):
    run = make_run()

    def late(run, *, should_stop, **_):
        while not in_slurm:
            time.sleep(0.01)
        return False

    monkeypatch.setattr(task, "resolve", lambda _: late)
    signals.ask("warned")
    with pytest.raises(SystemExit):
        cell(run, patience=0.05)()
    assert in_slurm == [1]
    assert run.state().name == "queued"


def test_a_replaced_copy_stops_and_publishes_nothing(make_run, signals, quick):
    run = make_run(steps=10**6, sleep=0.01)
    results = []
    thread = threading.Thread(target=lambda: results.append(cell(run)()))
    thread.start()
    while not run.history.exists():
        time.sleep(0.01)
    write_json(run.state_folder / "2.json", process.myself())  # another took it over
    thread.join(timeout=30)
    assert results == ["stopped: lost"]
    assert run.state().name == "running"
    assert not run.done_path.exists()


def test_a_user_can_stop_a_running_cell_through_its_folder(make_run, signals, quick):
    run = make_run(steps=10**6, sleep=0.01)
    results = []
    thread = threading.Thread(target=lambda: results.append(cell(run)()))
    thread.start()
    while not run.history.exists():
        time.sleep(0.01)
    run.mark_cancelled()
    thread.join(timeout=30)
    assert results == ["stopped: cancelled"]
    assert (run.state().name, run.state().cause) == ("interrupted", "cancelled")


def test_a_full_disk_is_reported_from_the_reserve(make_run, signals, monkeypatch):
    run = make_run(fill_disk_at=1)

    def full(path, *_, **__):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(toy_cells, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        cell(run)()
    assert (run.state().name, run.state().cause) == ("failed", "disk full")
    assert not run.result("ap").exists()


def test_the_meaning_of_a_warning_follows_from_the_time():
    limited = CellTask("f", "b", 0, minutes=60, patience=60)
    assert task.warning_means(limited, 3500) == "timeout"
    assert task.warning_means(limited, 600) == "preempted"
    assert task.warning_means(CellTask("f", "b", 0), 10**6) == "preempted"


def test_progress_changes_with_the_checkpoint_alone(make_run):
    run = make_run()
    before = task.progress(run)
    run.history.write_text("{}")
    assert task.progress(run) == before
    write_json(run.checkpoint, {})
    assert task.progress(run) != before


def test_wall_time_adds_up_over_attempts(make_run):
    run = make_run()
    now = time.time()
    write_json(run.state_folder / "1.json", {"time": now - 100})
    write_json(run.state_folder / "1.end.json", {"time": now - 90})
    write_json(run.state_folder / "2.json", {"time": now - 5})
    seconds, attempts = task.wall_seconds(run)
    assert attempts == 2
    assert 15 <= seconds < 20


def test_the_batch_record_is_enough_to_make_a_task(store):
    from launch.records.journal import Batch, Journal

    batch = Batch("b7", "g", "slurm", ("s0", "s1"), ("a", "b"), TOY, settings={"patience": 5.0})
    Journal(store).begin(batch)
    made = task.tasks_of(Journal(store).folder / "b7.json")[1]
    assert made == CellTask(str(store.run("s1").path), "b7", 1, TOY, 5.0)
    assert Path(made.folder).name == "s1"


def test_a_history_that_two_copies_wrote_is_put_in_order(make_run):
    run = make_run()
    for step in (1, 2, 3, 2, 3, 4, 3):
        append_line(run.history, json.dumps({"step": step, "n": step * 10}))
    for damaged in ("[]", "{}", '{"step": "2"}', '{"step": 9, "loss": []}'):
        append_line(run.history, damaged)
    tidy_history(run)
    assert steps_of(run) == [1, 2, 3, 4]
    before = run.history.stat().st_mtime_ns
    tidy_history(run)
    assert run.history.stat().st_mtime_ns == before


def test_what_a_killed_copy_left_of_its_result_is_removed(store, tmp_path, monkeypatch):
    from launch.node import worker

    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "5")
    monkeypatch.setenv("SUBMITIT_FOLDER", str(tmp_path))
    for name in ("5_submitted.pkl", "5_submitted.pkl.save_tmp", "5_0_result.pkl.save_tmp"):
        (tmp_path / name).touch()
    worker.ensure_pickle(tmp_path / "batch.json")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["5_submitted.pkl"]
