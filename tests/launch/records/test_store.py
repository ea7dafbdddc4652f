from __future__ import annotations

import json
import os
import time

import pytest

from core import preset
from core.errors import UserError
from core.files import write_json
from launch.records import lease, process
from launch.records.store import Manifest, ManifestCell, RunFolder, Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def run(store):
    folder = store.run("0123456789abcdef")
    folder.create(schema=1, name="shift", config=preset("tiny"), measure=["ap"])
    return folder


def attempt(run, **facts):
    return lease.acquire(run.state_folder, process.myself(**facts))


def die(claim, run, seconds=10_000.0):
    """Make attempt ``claim`` look like that of a process elsewhere that went silent."""
    path = run.state_folder / f"{claim.number}.json"
    write_json(path, {**json.loads(path.read_text()), "machine": "elsewhere"})
    os.utime(path, (time.time() - seconds,) * 2)


def manifest(*names):
    cells = tuple(ManifestCell(n, f"{k:016x}", 0, {"a": n}) for k, n in enumerate(names))
    return Manifest("g", "2026-01-01", "", {"a": list(names)}, ("ap",), None, cells)


def test_a_run_goes_from_new_to_done(store, run):
    assert store.run("nothing").state().name == "new"
    assert run.state().name == "new"
    run.mark_queued("b1", 3)
    assert run.state().name == "queued"
    assert run.state().submission["index"] == 3
    claim = attempt(run, batch="b1", index=3)
    assert run.state().name == "running"
    assert run.state().submission["batch"] == "b1"
    write_json(run.done_path, {})
    assert run.state().name == "done"
    claim.end({"outcome": "done"})
    assert run.state().name == "done"


def test_the_config_comes_back_as_it_was(run):
    assert run.config() == preset("tiny")
    assert json.loads(run.config_path.read_text())["signature"] == run.signature


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ("{}", "not a run's config"), ('{"config": {"x": 1}}', "unknown")],
)
def test_a_damaged_config_is_named(run, text, message):
    run.config_path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        run.config()
    assert "config.json" in str(caught.value)


def test_a_failed_attempt_tells_its_cause(run):
    attempt(run).end({"outcome": "failed", "cause": "out of memory"})
    assert (run.state().name, run.state().cause) == ("failed", "out of memory")


def test_a_stopped_attempt_is_interrupted_and_a_requeued_one_queued(run):
    attempt(run).end({"outcome": "stopped", "cause": "cancelled"})
    assert (run.state().name, run.state().cause) == ("interrupted", "cancelled")
    attempt(run).end({"outcome": "requeued", "cause": "timeout"})
    assert (run.state().name, run.state().attempt) == ("queued", 2)


def test_a_process_that_vanished_is_interrupted(run):
    claim = attempt(run, pid=2**22 + 1)
    assert (run.state().name, run.state().cause) == ("interrupted", "died")
    die(claim, run)
    assert (run.state().name, run.state().cause) == ("interrupted", "silent")


def test_killed_between_failure_record_and_end_it_is_failed(run):
    claim = attempt(run, pid=2**22 + 1)
    write_json(run.failure_path, {"attempt": claim.number, "cause": "error"})
    assert (run.state().name, run.state().cause) == ("failed", "error")
    attempt(run)
    assert run.state().name == "running"  # the old failure is not the new attempt's


def test_a_new_submission_counts_until_it_is_taken_up(run):
    run.mark_queued("b1", 0)
    attempt(run, batch="b1").end({"outcome": "failed", "cause": "error"})
    assert run.state().name == "failed"
    run.mark_queued("b2", 0)
    assert run.state().name == "queued"
    attempt(run, batch="b2").end({"outcome": "stopped", "cause": "timeout"})
    assert run.state().name == "interrupted"


def test_a_submission_that_came_to_nothing_is_interrupted(run):
    run.mark_queued("b1", 0)
    mark = run.state_folder / "queued.json"
    write_json(mark, {**json.loads(mark.read_text()), "cause": "lost"})
    assert (run.state().name, run.state().cause) == ("interrupted", "lost")


def test_a_live_attempt_wins_over_a_second_submission(run):
    attempt(run, batch="b1")
    run.mark_queued("b2", 0)
    assert run.state().name == "running"


def test_done_needs_the_records_that_are_asked_for(run):
    write_json(run.done_path, {})
    attempt(run).end({"outcome": "done"})
    assert run.state().name == "done"
    assert run.state(["ap"]).name == "interrupted"
    write_json(run.result("ap"), {})
    assert run.state(["ap"]).name == "done"


def test_two_grids_add_up_what_they_measure(run):
    run.create(schema=1, name="other", config=preset("tiny"), measure=["fps", "ap"])
    assert run.measure() == ("ap", "fps")
    assert json.loads(run.config_path.read_text())["name"] == "shift"


def test_a_submission_takes_a_cancellation_back(run):
    assert not run.cancelled()
    run.mark_cancelled()
    assert run.cancelled()
    run.mark_queued("b", 0)
    assert not run.cancelled()


def test_reading_states_changes_nothing(run):
    attempt(run)
    before = sorted((p, p.stat().st_mtime_ns) for p in run.path.rglob("*"))
    run.state()
    run.attempts()
    assert sorted((p, p.stat().st_mtime_ns) for p in run.path.rglob("*")) == before


def test_a_manifest_comes_back_as_it_was(store):
    store.write_manifest(manifest("a", "b"))
    assert store.manifest("g") == manifest("a", "b")
    assert store.grid_names() == ["g"]


def test_an_unknown_or_damaged_manifest_is_named(store):
    with pytest.raises(UserError, match="launched grids: none"):
        store.manifest("g")
    store.write_manifest(manifest("a"))
    with pytest.raises(UserError, match="launched grids: g"):
        store.manifest("h")
    (store.grids / "g.json").write_text("{}")
    with pytest.raises(UserError, match=r"g\.json: not a grid's manifest"):
        store.manifest("g")


def test_cells_are_found_by_name_and_signature():
    grid = manifest("one", "two")
    assert grid.cell("two").name == "two"
    assert grid.cell(grid.cells[1].signature).name == "two"
    with pytest.raises(UserError, match="its cells: one, two"):
        grid.cell("three")
    with pytest.raises(UserError, match="no cell"):
        grid.cell("0000")  # both signatures begin so


def test_runs_are_found_by_signature_and_path(store, run):
    assert store.find_run("0123") == run
    assert store.find_run(str(run.path)) == run
    with pytest.raises(UserError, match="no such run"):
        store.find_run("ffff")
    store.run("0123000000000000").create(schema=1, name="x", config=preset("tiny"), measure=[])
    with pytest.raises(UserError, match="several runs"):
        store.find_run("0123")
    with pytest.raises(UserError, match="no such run"):
        store.find_run("")


def test_the_root_is_given_or_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TEVIT_RUNS", str(tmp_path / "env"))
    assert Store.default().root == tmp_path / "env"
    assert Store.default(tmp_path).root == tmp_path
    monkeypatch.delenv("TEVIT_RUNS")
    monkeypatch.chdir(tmp_path)
    assert Store.default().root == tmp_path / "runs"


def test_paths_are_where_the_readme_says(tmp_path):
    run = RunFolder(tmp_path / "s")
    assert run.result("ap") == tmp_path / "s/results/ap.json"
    assert run.log(2) == tmp_path / "s/logs/2.log"
    assert run.provenance(2) == tmp_path / "s/provenance/2.json"
    assert run.checkpoint == tmp_path / "s/checkpoints/last.pt"
