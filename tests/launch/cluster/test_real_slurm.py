"""Cells on a real SLURM, with everything that can go wrong going wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from slurm_cluster import wait_for
from toy_cells import expected_ap, write_toy
from toy_grids import TOY, toy_grid

from core.files import read_json_lines
from launch.executors import slurm_queries as slurm
from launch.executors.base import Target
from launch.executors.profile import make_profile
from launch.executors.slurm import Slurm
from launch.records import lease
from launch.records.journal import Journal
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest
from launch.submit.retry import RetryRules, parse_rules
from launch.submit.stranded import free
from launch.watch.survey import survey

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("real_slurm")]


class Study:
    """A grid of toy cells in a store of its own, on the real SLURM."""

    def __init__(self, store, count, **profile):
        self.store, self.grid = store, toy_grid(count)
        values = {"gpus": 0, "cpus": 1, "memory": "300M", "time": 30, **profile}
        self.target = Target(Slurm(), make_profile(values), function=TOY)

    def run(self, k=0):
        return self.store.run(self.grid.cells[k].signature)

    def toy(self, k, **toy):
        write_toy(self.run(k).path, **toy)

    def go(self, k):
        """Let a cell that waits (see toy_cells) go on."""
        (self.run(k).path / "go").touch()

    def launch(self, *retry):
        return launch(LaunchRequest(self.store, self.grid, self.target, parse_rules(retry)))

    def look(self):
        found = survey(self.store, self.grid.measures(), record=True)
        free(found.cells.values())  # a controller that forgot gives an id again that a node knows
        return [found.cells[c.signature] for c in self.grid.cells]

    def states(self):
        return [(s.state.name, s.state.cause) for s in self.look()]

    def wait(self, expected, seconds=300):
        """Wait until the cells' states are as expected (a name, or name and cause)."""
        wanted_states = [e if isinstance(e, tuple) else (e, None) for e in expected]
        self.until(lambda: self.states() == wanted_states, seconds)

    def until(self, condition, seconds):
        """Wait for ``condition``; says what the cells and SLURM look like if it never comes."""
        try:
            wait_for(condition, seconds, "the cells")
        except TimeoutError:
            queue = slurm.run_slurm(["squeue", "-r", "-t", "all", "--sort", "-V"])
            shown = "\n".join(queue.splitlines()[:30])
            pytest.fail(f"{self.look()}\n{[self.ends(k) for k in range(2)]}\n{shown}")

    def started(self, k=0, steps=2):
        wait_for(lambda: len(self.steps(k)) >= steps, 240, f"cell {k} to start")

    def steps(self, k=0):
        return [line["step"] for line in read_json_lines(self.run(k).history)]

    def ap(self, k=0):
        return json.loads(self.run(k).result("ap").read_text())["figures"]["AP"]

    def ends(self, k=0):
        return [(c.end or {}).get("outcome") for c in self.run(k).attempts()]


@pytest.fixture
def study(store):
    return lambda count=1, **profile: Study(store, count, **profile)


def test_a_grid_runs_to_its_table(study):
    grid = study(3)
    for k in range(3):
        grid.toy(k, steps=3 + k)
    launched = grid.launch()
    assert len(launched.batches) == 1
    grid.wait(["done"] * 3)
    assert [grid.ap(k) for k in range(3)] == [expected_ap(3 + k) for k in range(3)]
    assert grid.launch().batches == ()
    claim = lease.latest(grid.run().state_folder)
    assert claim.holder["node"] in ("n1", "n2", "n3")
    assert claim.holder["job_id"] == f"{launched.batches[0][1]}_0"


# The slow faults side by side: they mostly wait.
OVERTIME, BLOCKED, RAISES, MEMORY, HARD_EXIT, KILLED, CANCELLED, PLAIN = range(8)


@pytest.fixture(scope="module")
def storm(slurm_cluster, tmp_path_factory):
    """Eight cells with a minute each, and what became of them.

    None of them is requeued by hand: on a busy machine the minute may have requeued it before,
    and SLURM refuses to requeue what is pending.
    """
    from launch.records.store import Store

    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLURM_CONF", "PATH"):
            patch.setenv(name, slurm_cluster.environment[name])
        patch.setenv("TEVIT_HEARTBEAT", "1")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        patch.setattr(lease, "BEAT_SECONDS", 1.0)
        slurm.settings.cache_clear()
        slurm.cluster_name.cache_clear()
        grid = Study(Store(tmp_path_factory.mktemp("storm")), 8, time=1, signal_delay=30)
        grid.toy(OVERTIME, steps=140, sleep=0.5, checkpoint_every=10**6)
        grid.toy(BLOCKED, steps=5, block_at=3)
        grid.toy(RAISES, raise_at=2)
        grid.toy(MEMORY, allocate_at=2, megabytes=1000)
        grid.toy(HARD_EXIT, hard_exit_at=2)
        grid.toy(KILLED, kill_at=2)
        grid.toy(CANCELLED, steps=10**6, sleep=0.2)
        grid.toy(PLAIN, steps=3)
        # beside them, on a node of its own: a worker whose three cells take more than its minute
        pack = {"cells": 3, "side_by_side": 2}
        grid.packed = Study(
            Store(tmp_path_factory.mktemp("packed")), 3, time=1, signal_delay=30, pack=pack
        )
        for k in range(3):
            grid.packed.toy(k, steps=80, sleep=0.5, checkpoint_every=10**6)
        grid.packed.launch()
        launched = grid.launch()
        array = launched.batches[0][1]
        grid.started(CANCELLED)
        slurm_cluster.command("scancel", f"{array}_{CANCELLED}")
        over = ("done", "failed", "interrupted")
        wait_for(
            lambda: all(s in over for s, _ in [*grid.states(), *grid.packed.states()]),
            600,
            "the storm to be over",
        )
        yield grid


def test_over_its_time_limit_a_cell_is_requeued_until_it_is_done(storm):
    assert storm.states()[OVERTIME] == ("done", None)
    assert storm.ap(OVERTIME) == expected_ap(140)
    assert storm.steps(OVERTIME) == list(range(1, 141)), "not a step lost or done twice"
    ends = storm.ends(OVERTIME)
    assert len(ends) >= 2
    assert set(ends[:-1]) == {"requeued"}


def test_blocked_in_c_code_a_cell_is_requeued_over_its_head(storm):
    assert storm.states()[BLOCKED] == ("done", None)
    *before, last = storm.ends(BLOCKED)
    assert (set(before), last) == ({"requeued"}, "done")
    assert storm.ap(BLOCKED) == expected_ap(5)


def test_over_its_time_limit_a_worker_is_requeued_and_its_cells_lose_nothing(storm):
    assert storm.packed.states() == [("done", None)] * 3
    assert [storm.packed.ap(k) for k in range(3)] == [expected_ap(80)] * 3
    for k in range(3):
        assert storm.packed.steps(k) == list(range(1, 81)), "not a step lost or done twice"
        *before, last = storm.packed.ends(k)
        assert (set(before) <= {"requeued"}, last) == (True, "done")
    assert any(len(storm.packed.ends(k)) > 1 for k in range(3))


def test_an_exception_leaves_its_traceback(storm):
    assert storm.states()[RAISES] == ("failed", "error")
    assert storm.run(RAISES).failure()["last_line"] == "ValueError: step 2 went wrong"


def test_over_its_memory_a_cell_has_failed_of_that(storm):
    assert storm.states()[MEMORY] == ("failed", "out of memory")
    assert "memory limit" in storm.run(MEMORY).failure()["last_line"]


@pytest.mark.parametrize("cell", [HARD_EXIT, KILLED])
def test_a_process_that_is_gone_without_a_word_is_noticed(storm, cell):
    assert storm.states()[cell] == ("interrupted", "died")
    assert not storm.run(cell).result("ap").exists()


def test_requeued_without_a_signal_a_cell_resumes_from_its_checkpoint(study, real_slurm):
    cell = study(1)
    cell.toy(0, steps=9, wait_at=8, checkpoint_every=5)
    job = cell.launch().batches[0][1]
    cell.started(steps=7)
    real_slurm.command("scontrol", "requeue", job)
    cell.wait(["done"])
    assert cell.ap() == expected_ap(9)
    first = next(line for line in read_json_lines(cell.run().history) if line["attempt"] == 2)
    assert first["step"] > 1


def test_cancelled_by_hand_a_cell_is_interrupted(storm):
    assert storm.states()[CANCELLED] == ("interrupted", "cancelled")


def test_after_the_storm_a_launch_brings_what_is_missing(storm, real_slurm):
    assert storm.states()[PLAIN] == ("done", None)
    storm.toy(CANCELLED, steps=4)
    launched = storm.launch("error")
    again = {storm.grid.cells[k].signature for k in (RAISES, HARD_EXIT, KILLED, CANCELLED)}
    assert set(launched.batches[0][0].signatures) == again
    expected = ["done"] * 8
    expected[MEMORY] = ("failed", "out of memory")
    storm.wait(expected)


def test_preempted_a_cell_writes_a_checkpoint_and_resumes(study, real_slurm):
    cell = study(1, extra={"nodelist": "n2"})
    cell.toy(0, steps=9, wait_at=4, checkpoint_every=10**6)
    cell.launch()
    cell.started()
    command = ["sbatch", "-p", "high", "-w", "n2", "--exclusive", "-o", "/dev/null"]
    slurm.run_slurm([*command, "--wrap", "sleep 1"])
    cell.wait(["done"])
    assert cell.ends() == ["requeued", "done"]
    assert cell.run().attempts()[0].end["cause"] == "preempted"
    assert cell.steps() == list(range(1, 10))
    assert cell.ap() == expected_ap(9)


def test_a_lost_node_and_two_copies_of_a_cell(study, real_slurm):
    """slurmd is killed: SLURM runs the cell elsewhere while the old process works on."""
    cell = study(1)
    cell.toy(0, steps=9, wait_at=4, checkpoint_every=2)
    cell.launch()
    cell.started()
    first = lease.latest(cell.run().state_folder).holder
    real_slurm.kill_node(first["node"])
    try:
        wait_for(lambda: len(cell.run().attempts()) == 2, 240, "the second copy")
        # the first one has worked all the while, and stops since it sees that it is replaced
        wait_for(lambda: "stopped at step 4" in cell.run().log(1).read_text(), 120, "it to stop")
        assert cell.run().attempts()[1].holder["node"] != first["node"]
    finally:
        real_slurm.start_node(first["node"])
    cell.wait(["done"])
    assert cell.ap() == expected_ap(9)
    assert cell.ends()[-1] == "done"


def test_the_controller_dies_and_comes_back(study, real_slurm):
    grid = study(6, array_parallelism=2)
    for k in range(6):
        grid.toy(k, steps=4, wait_at=3)
    grid.launch()
    grid.started()
    real_slurm.wait_saved()
    real_slurm.kill_controller()
    assert survey(grid.store, grid.grid.measures()).problems
    assert {s.note for s in grid.look()} >= {"SLURM does not answer"}
    grid.go(0)  # ends while nobody listens
    wait_for(grid.run().done_path.exists, 120, "a cell to end")
    real_slurm.start_controller()
    for k in range(1, 6):
        grid.go(k)
    grid.wait(["done"] * 6)
    assert [grid.ap(k) for k in range(6)] == [expected_ap(4)] * 6


def test_what_the_controller_forgot_is_submitted_again(study, real_slurm):
    """Killed right after it took a job: whether it remembers is its own affair.

    It may give the id again that a node still knows, fail to launch the job there, and hold it,
    which the launch undoes.
    """
    grid = study(2)
    for k in range(2):
        grid.toy(k, steps=3)
    grid.launch()
    real_slurm.kill_controller()
    real_slurm.start_controller()

    def done():
        grid.launch()
        return [name for name, _ in grid.states()] == ["done", "done"]

    grid.until(done, 300)
    assert [grid.ap(k) for k in range(2)] == [expected_ap(3)] * 2


def test_without_accounting_the_cells_are_still_followed(study, real_slurm):
    real_slurm.kill_dbd()
    try:
        grid = study(2)
        grid.toy(0, steps=3)
        grid.toy(1, raise_at=1)
        grid.launch()
        grid.wait(["done", ("failed", "error")])
    finally:
        real_slurm.start_dbd()


LAUNCH = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_real_slurm import Study
from launch.executors.slurm import Slurm
from launch.submit import launcher
from launch.records.store import Store
if sys.argv[2] == "dies":
    real, calls = Slurm.submit, []
    def submit(*arguments):
        if calls:
            os.kill(os.getpid(), 9)
        calls.append(1)
        return real(*arguments)
    Slurm.submit = submit
study = Study(Store(Path(sys.argv[1])), 4, max_array_size=2)
print(sum(len(batch.signatures) for batch, _ in study.launch().batches))
"""


def launcher_process(store, word=""):
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(store.root), word], stdout=subprocess.PIPE, text=True
    )


def test_a_launcher_dies_between_two_submissions(study, store):
    grid = study(4, max_array_size=2)
    for k in range(4):
        grid.toy(k, steps=3)
    assert launcher_process(store, "dies").wait(timeout=240) == -signal.SIGKILL
    assert sum(len(b.signatures) for b, _ in grid.launch().batches) == 2
    grid.wait(["done"] * 4)
    assert [len(grid.run(k).attempts()) for k in range(4)] == [1] * 4


def test_two_launchers_at_once(study, store):
    grid = study(4, max_array_size=2)
    for k in range(4):
        grid.toy(k, steps=3)
    both = [launcher_process(store) for _ in range(2)]
    assert [process.wait(timeout=240) for process in both] == [0, 0]
    assert sorted(process.stdout.read() for process in both) == ["0\n", "4\n"]
    grid.wait(["done"] * 4)
    assert [len(grid.run(k).attempts()) for k in range(4)] == [1] * 4


def test_a_disk_that_is_full(study, store):
    cell = study(1)
    folder = cell.run().path
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        cell.toy(0, steps=4, fill_disk_at=3)
        cell.launch()
        cell.wait([("failed", "disk full")])
        failure = cell.run().failure()
        assert "No space left on device" in failure["last_line"]
        assert not cell.run().result("ap").exists()
        assert list(folder.rglob("*.tmp")) == []
        assert cell.launch().batches == ()
        cell.launch("disk-full")
        cell.wait(["done"])
        assert cell.ap() == expected_ap(4)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_two_gpus_are_two_tasks(study):
    cell = study(1, gpus=2)
    cell.toy(0, steps=4, sleep=0.3)
    cell.launch()
    cell.wait(["done"])
    assert lease.latest(cell.run().state_folder).holder["tasks"] == 2
    assert (cell.run().path / "logs" / "1.rank1.log").exists()
    assert cell.steps() == [1, 2, 3, 4]


def test_the_report_follows_the_last_cell_however_it_ended(study, tmp_path):
    note = tmp_path / "note"
    code = f"import pathlib; pathlib.Path({str(note)!r}).write_text('made')"
    grid = study(3)
    grid.target = replace(grid.target, then=(sys.executable, "-c", code))
    grid.toy(0, steps=6, wait_at=5)
    grid.toy(1, raise_at=1)
    grid.toy(2)
    jobs = [job_id for _, job_id in grid.launch().batches]
    report = Slurm().report(Journal(grid.store), "toys", grid.target, 1, jobs)
    grid.wait(["running", ("failed", "error"), "done"])
    assert not note.exists()
    grid.go(0)
    grid.wait(["done", ("failed", "error"), "done"])
    wait_for(note.exists, 240, report)
    assert note.stat().st_mtime > grid.run(0).done_path.stat().st_mtime


def test_an_impossible_request_is_refused_with_slurms_words(study):
    from launch.executors.base import SubmissionError

    grid = study(2, partition="nowhere")
    grid.toy(0)
    with pytest.raises(SubmissionError, match="invalid partition specified: nowhere"):
        grid.launch()
    assert grid.states() == [("new", None)] * 2


def test_a_thousand_cells_are_submitted_at_once(study, real_slurm):
    grid = study(1000, extra={"hold": True})
    grid.toy(0)
    start = time.monotonic()
    launched = grid.launch()
    print(f"1,000 cells submitted in {time.monotonic() - start:.2f} s")
    assert len(launched.batches) == 1
    assert {name for name, _ in grid.states()} == {"queued"}
    real_slurm.command("scancel", launched.batches[0][1])
    wait_for(lambda: set(grid.states()) == {("interrupted", "cancelled")}, 240, "cancellation")
    assert Journal(grid.store).unsettled() == []
    assert RetryRules().refusal(grid.run(), grid.look()[0].state) is None
