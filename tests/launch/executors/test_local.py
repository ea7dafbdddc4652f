"""Cells as local processes, and in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slurm_cluster import wait_for
from toy_cells import expected_ap
from toy_grids import TOY, toy_grid

from ablations.grid import load_grid
from core.errors import UserError
from launch.cancel import cancel
from launch.executors import local
from launch.executors.base import Target
from launch.executors.inline import Inline
from launch.executors.local import is_dispatched
from launch.executors.profile import make_profile
from launch.executors.slurm import outside_of_jobs
from launch.executors.table import find_executor
from launch.records import lease
from launch.records.journal import Journal
from launch.submit.follow import follow
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest, plan_launch
from launch.submit.retry import parse_rules
from launch.watch.survey import survey

pytestmark = pytest.mark.usefixtures("quick", "no_gpus")


@pytest.fixture
def no_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def target(executor="local", jobs=None, gpus=0, **more):
    jobs = jobs or (2 if executor == "local" else 1)
    return Target(find_executor(executor), make_profile({"gpus": gpus}), jobs, TOY, **more)


@pytest.fixture
def look(store):
    def run(grid):
        found = survey(store, grid.measures(), record=True)
        return [(s.state.name, s.state.cause) for s in map(found.cells.get, runs_of(grid))]

    return run


def runs_of(grid):
    return [cell.signature for cell in grid.cells]


def wait_until_over(look, grid, seconds=60):
    def over():
        return not {name for name, _ in look(grid)} & {"queued", "running"}

    wait_for(over, seconds, "the cells")


def test_cells_run_n_at_a_time_and_the_launcher_may_go(store, toys, look):
    grid = toys(toy_grid(3), steps=4, sleep=0.1)
    start = time.monotonic()
    launched = launch(LaunchRequest(store, grid, target()))
    assert time.monotonic() - start < 10
    assert {name for name, _ in look(grid)} <= {"queued", "running"}
    assert launch(LaunchRequest(store, grid, target())).batches == ()
    wait_until_over(look, grid)
    assert look(grid) == [("done", None)] * 3
    # a cell is done a moment before it gives its lease back, and both before the dispatcher ends
    wait_for(
        lambda: is_dispatched(Journal(store), launched.batches[0][0].id) is False, 30, "the end"
    )
    holders = [lease.latest(store.run(s).state_folder).holder for s in runs_of(grid)]
    assert {h["scheduler"] for h in holders} == {"local"}
    assert len({h["pid"] for h in holders}) == 3
    assert max(_most_at_once(store, grid), 1) <= 2
    assert "finished at step 4" in store.run(runs_of(grid)[0]).log(1).read_text()


def _most_at_once(store, grid):
    spans = []
    for signature in runs_of(grid):
        (claim,) = store.run(signature).attempts()
        spans.append((claim.holder["time"], claim.end["time"]))
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


@pytest.mark.slow
def test_failures_do_not_keep_others_from_running(store, toys, look):
    grid = toys(toy_grid(3))
    (store.run(runs_of(grid)[0]).path / "toy.json").write_text('{"raise_at": 1}')
    (store.run(runs_of(grid)[1]).path / "toy.json").write_text('{"kill_at": 1}')
    launch(LaunchRequest(store, grid, target(jobs=1)))
    wait_until_over(look, grid)
    assert look(grid) == [("failed", "error"), ("interrupted", "died"), ("done", None)]


@pytest.mark.slow
def test_following_tries_again_what_may_pass(store, toys):
    grid = toys(toy_grid(2), kill_at=2)
    launch(LaunchRequest(store, grid, target()))
    shown = []
    last = follow(LaunchRequest(store, grid, target()), interval=0.1, show=shown.append)
    assert {s.state.name for s in last.cells.values()} == {"done"}
    assert [len(store.run(s).attempts()) for s in runs_of(grid)] == [2, 2]
    assert len(shown) > 1
    assert len(store.manifest("toys").cells) == 2


@pytest.mark.slow
def test_following_gives_up_at_the_limit(store, toys):
    grid = toys(toy_grid(1), kill_at=1, misdeed_on=0)
    launch(LaunchRequest(store, grid, target()))
    last = follow(LaunchRequest(store, grid, target(), parse_rules([], 2)), interval=0.1)
    assert [s.state.name for s in last.cells.values()] == ["interrupted"]
    assert len(store.run(runs_of(grid)[0]).attempts()) == 2


@pytest.mark.slow
def test_a_dispatcher_that_dies_leaves_cells_that_can_be_launched_again(store, toys, look):
    grid = toys(toy_grid(3), steps=40, sleep=0.05)
    launched = launch(LaunchRequest(store, grid, target(jobs=1)))
    run = store.run(runs_of(grid)[0])
    wait_for(run.history.exists, 30, "the first cell")
    os.kill(int(launched.batches[0][1]), signal.SIGKILL)
    wait_for(lambda: not is_dispatched(Journal(store), launched.batches[0][0].id), 30, "its lease")
    assert look(grid)[0][0] == "running"  # cells outlive their dispatcher
    assert look(grid)[1:] == [("new", None)] * 2
    again = launch(LaunchRequest(store, grid, target(jobs=2)))
    assert len(again.batches[0][0].signatures) == 2
    wait_until_over(look, grid)
    assert look(grid) == [("done", None)] * 3


@pytest.mark.slow
def test_a_dispatcher_goes_on_with_what_waits_of_the_grid(store, toys, look):
    waits = {"steps": 3, "wait_at": 2}
    first = toys(toy_grid(1))
    (store.run(runs_of(first)[0]).path / "toy.json").write_text(json.dumps(waits))
    launch(LaunchRequest(store, first, target(jobs=1)))
    grid = toys(toy_grid(4))
    for signature in runs_of(grid)[:2]:
        (store.run(signature).path / "toy.json").write_text(json.dumps(waits))
    made = store.root / "reported"
    then = (sys.executable, "-c", f"open({str(made)!r}, 'w')")
    launched = launch(LaunchRequest(store, grid, target(jobs=1, then=then)))
    runs = [store.run(signature) for signature in runs_of(grid)]
    wait_for(lambda: all(run.history.exists() for run in runs[:2]), 60, "a cell of each launch")
    (runs[0].path / "go").touch()  # of the second launch still the first cell runs
    wait_for(lambda: look(grid)[2:] == [("done", None)] * 2, 60, "the others")
    claims = [lease.latest(run.state_folder).holder for run in runs]
    assert claims[2]["batch"] == claims[3]["batch"] == launched.batches[0][0].id
    assert claims[2]["worker"] == claims[3]["worker"] == claims[0]["batch"]
    assert not made.exists()
    (runs[1].path / "go").touch()
    wait_for(made.exists, 60, "the end of the second launch")
    assert look(grid) == [("done", None)] * 4
    assert [len(run.attempts()) for run in runs] == [1] * 4


@pytest.mark.slow
def test_told_to_stop_a_dispatcher_starts_no_further_cell(store, toys, look):
    grid = toys(toy_grid(2), steps=20, sleep=0.05)
    launched = launch(LaunchRequest(store, grid, target(jobs=1)))
    run = store.run(runs_of(grid)[0])
    wait_for(run.history.exists, 30, "the first cell")
    os.kill(int(launched.batches[0][1]), signal.SIGTERM)
    wait_for(run.done_path.exists, 30, "the first cell to end")
    wait_for(lambda: not is_dispatched(Journal(store), launched.batches[0][0].id), 30, "its lease")
    assert store.run(runs_of(grid)[1]).attempts() == []


@pytest.mark.slow
def test_cancelling_stops_what_runs_and_what_waits(store, toys, look):
    grid = toys(toy_grid(3), steps=10**6, sleep=0.05)
    launch(LaunchRequest(store, grid, target(jobs=1)))
    run = store.run(runs_of(grid)[0])
    wait_for(run.history.exists, 30, "the first cell")
    done = cancel(store, store.manifest("toys").cells)
    assert len(done.cells) == 3
    assert done.problem is None
    wait_until_over(look, grid)
    assert look(grid) == [("interrupted", "cancelled")] * 3
    assert cancel(store, store.manifest("toys").cells).cells == ()
    for signature in runs_of(grid):
        (store.run(signature).path / "toy.json").write_text('{"steps": 3}')
    launch(LaunchRequest(store, grid, target()))
    wait_until_over(look, grid)
    assert look(grid) == [("done", None)] * 3


@pytest.mark.slow
def test_a_command_follows_the_last_cell(store, toys, look, tmp_path):
    grid = toys(toy_grid(2))
    note = tmp_path / "note"
    code = f"from pathlib import Path; Path({str(note)!r}).write_text('made')"
    launch(LaunchRequest(store, grid, target(then=(sys.executable, "-c", code))))
    wait_for(note.exists, 60, "the command")
    assert look(grid) == [("done", None)] * 2


@pytest.mark.slow
def test_each_lane_has_gpus_of_its_own(store, toys, look, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,GPU-bb,GPU-cc")
    grid = toys(toy_grid(2), steps=5, sleep=0.1)
    plan = plan_launch(LaunchRequest(store, grid, target(gpus=1)))
    assert plan.batches[0].parameters["gpus"] == [["GPU-aa"], ["GPU-bb"]]
    launch(LaunchRequest(store, grid, target(gpus=1)))
    runs = [store.run(s) for s in runs_of(grid)]
    seen = set()

    def environments():
        for run in runs:
            claim = lease.latest(run.state_folder)
            if claim is not None and claim.end is None:
                path = Path(f"/proc/{claim.holder['pid']}/environ")
                variables = path.read_bytes().split(b"\0")
                seen.update(v for v in variables if v.startswith(b"CUDA_VISIBLE_DEVICES="))
        return len(seen) == 2

    wait_for(environments, 60, "both cells")
    assert seen == {b"CUDA_VISIBLE_DEVICES=GPU-aa", b"CUDA_VISIBLE_DEVICES=GPU-bb"}
    wait_until_over(look, grid)


@pytest.mark.slow
def test_a_cell_on_two_gpus_is_two_processes(store, toys, look, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    grid = toys(toy_grid(1), steps=4, sleep=0.2)
    launch(LaunchRequest(store, grid, target(gpus=2)))
    wait_until_over(look, grid)
    assert look(grid) == [("done", None)]
    run = store.run(runs_of(grid)[0])
    assert run.attempts()[0].holder["tasks"] == 2
    assert (run.path / "logs/1.rank1.log").exists()


@pytest.mark.parametrize(
    ("gpus", "jobs", "per_cell", "lanes"),
    [
        ([], 3, 1, [[], [], []]),
        (["0", "1"], 2, 0, [[], []]),
        (["0", "1", "2"], 2, 1, [["0"], ["1"]]),
        (["0", "1", "2"], 8, 1, [["0"], ["1"], ["2"]]),
        (["0", "1", "2", "3", "4"], 4, 2, [["0", "1"], ["2", "3"]]),
    ],
)
def test_dealing_gpus(gpus, jobs, per_cell, lanes):
    assert local.deal_gpus(gpus, jobs, per_cell) == lanes


def test_too_few_gpus_are_named():
    with pytest.raises(UserError, match="needs 4 GPUs, but only 2"):
        local.deal_gpus(["0", "1"], 1, 4)


def test_visible_gpus(monkeypatch, tmp_path, caplog):
    assert local.visible_gpus({"CUDA_VISIBLE_DEVICES": "0, 2"}) == ["0", "2"]
    assert local.visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
    assert local.visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local.visible_gpus({}) == []
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 0\necho 1\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert local.visible_gpus({}) == ["0", "1"]
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho driver mismatch; exit 18\n")
    assert local.visible_gpus({}) == []
    assert "no GPU is used, since nvidia-smi fails (driver mismatch)" in caplog.text


def test_inside_a_job_sbatch_does_not_see_it(monkeypatch):
    for name in ("SLURM_JOB_ID", "SBATCH_PARTITION", "SLURM_CONF"):
        monkeypatch.setenv(name, "x")
    with outside_of_jobs():
        assert os.environ["SLURM_CONF"] == "x"
        assert "SLURM_JOB_ID" not in os.environ
        assert "SBATCH_PARTITION" not in os.environ
    assert os.environ["SLURM_JOB_ID"] == "x"


# --- in this process -----------------------------------------------------------------------------


def test_inline_cells_run_here_and_failures_do_not_stop_the_others(store, toys, signals, look):
    grid = toys(toy_grid(3))
    (store.run(runs_of(grid)[0]).path / "toy.json").write_text('{"raise_at": 1}')
    launched = launch(LaunchRequest(store, grid, target("inline")))
    assert look(grid) == [("queued", None)] * 3
    outcomes = dict(Inline().run(Journal(store), launched.batches[0][0]))
    assert list(outcomes.values()) == ["failed: step 1 went wrong", "done", "done"]
    assert look(grid) == [("failed", "error"), ("done", None), ("done", None)]
    assert store.run(runs_of(grid)[1]).state().holder["pid"] == os.getpid()
    result = json.loads(store.run(runs_of(grid)[1]).result("ap").read_text())
    assert result["figures"]["AP"] == expected_ap(3)


def test_an_inline_launch_that_was_killed_can_be_launched_again(store, toys, signals, look):
    grid = toys(toy_grid(2))
    code = f"""
from pathlib import Path
from toy_grids import TOY, toy_grid
from launch.executors import base as plan, inline, profile
from launch.records import journal, store
from launch.submit import launcher
from launch.submit.plan import LaunchRequest
where = store.Store(Path({str(store.root)!r}))
target = plan.Target(inline.Inline(), profile.make_profile({{"gpus": 0}}), 1, TOY)
launched = launcher.launch(LaunchRequest(where, toy_grid(2), target))
for outcome in inline.Inline().run(journal.Journal(where), launched.batches[0][0]):
    import os; os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert look(grid) == [("done", None), ("new", None)]
    launched = launch(LaunchRequest(store, grid, target("inline")))
    assert [o for _, o in Inline().run(Journal(store), launched.batches[0][0])] == ["done"]


def test_two_inline_launches_do_not_run_a_cell_twice(store, toys, signals):
    grid = toys(toy_grid(1))
    first = launch(LaunchRequest(store, grid, target("inline")))
    outcomes = Inline().run(Journal(store), first.batches[0][0])
    assert launch(LaunchRequest(store, grid, target("inline"))).batches == ()
    assert [outcome for _, outcome in outcomes] == ["done"]


def test_ctrl_c_lets_the_present_cell_write_its_checkpoint_and_starts_no_other(store, toys, look):
    grid = toys(toy_grid(2), steps=1000, sleep=0.02, checkpoint_every=10**6)
    code = f"""
from pathlib import Path
from toy_grids import TOY, toy_grid
from launch.executors import base as plan, inline, profile
from launch.records import journal, store
from launch.submit import launcher
from launch.submit.plan import LaunchRequest
where = store.Store(Path({str(store.root)!r}))
target = plan.Target(inline.Inline(), profile.make_profile({{"gpus": 0}}), 1, TOY)
launched = launcher.launch(LaunchRequest(where, toy_grid(2), target))
print(list(inline.Inline().run(journal.Journal(where), launched.batches[0][0])))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    run = store.run(runs_of(grid)[0])
    wait_for(run.history.exists, 30, "the first cell")
    process.send_signal(signal.SIGINT)
    assert "[('a=x,s0', 'stopped: terminated')]\n" in process.communicate(timeout=30)[0]
    assert run.checkpoint.exists()
    assert look(grid) == [("interrupted", "terminated"), ("new", None)]


def test_lanes_share_the_cores_unless_the_user_decided(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert [local.cpu_threads(lanes) for lanes in (1, 3, 20)] == [8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert local.cpu_threads(3) == 5


def test_speeds_measured_side_by_side_are_warned_of(store):
    grid = toy_grid(2, measure=("flops", "fps"))
    assert "use --jobs 1" in plan_launch(LaunchRequest(store, grid, target(jobs=2))).problems[0]
    assert plan_launch(LaunchRequest(store, grid, target(jobs=1))).problems == []
    assert plan_launch(LaunchRequest(store, toy_grid(2), target(jobs=2))).problems == []


def test_what_will_spoil_the_figures_is_said_before(store):
    grid = toy_grid(2, measure=("fps",))
    (problem,) = plan_launch(LaunchRequest(store, grid, target())).problems[:1]
    assert "share the CPU" in problem


def test_full_size_models_on_the_toy_data_are_named(store):
    full = load_grid("components")
    (problem,) = plan_launch(LaunchRequest(store, full, target("inline"))).problems
    assert "add data.root=PATH" in problem
    tiny = load_grid("components", scale="tiny")
    assert plan_launch(LaunchRequest(store, tiny, target("inline"))).problems == []


def test_cells_that_a_grid_no_longer_has_are_named_and_their_manifest_kept(store):
    before, now = toy_grid(3), toy_grid(1)
    launch(LaunchRequest(store, before, target("inline")))
    assert plan_launch(LaunchRequest(store, before, target("inline"))).problems == []
    (problem,) = plan_launch(LaunchRequest(store, now, target("inline"))).problems
    assert problem.startswith("2 cells of toys as it was launched before are not in it now")
    assert "--name" in problem
    launch(LaunchRequest(store, now, target("inline")))
    (kept,) = (store.grids / "former").iterdir()
    assert len(json.loads(kept.read_text())["cells"]) == 3
    assert len(store.manifest("toys").cells) == 1
    assert store.grid_names() == ["toys"]
