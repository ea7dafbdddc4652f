from __future__ import annotations

import dataclasses
import json
import types

import pytest

from ablations.cell import Cell
from ablations.grid import Grid
from benchmarks.ap import evaluate, protocol, score
from benchmarks.measurement import Inputs
from benchmarks.measurements import MEASUREMENTS
from core import preset
from core.config.overrides import override
from core.errors import UserError
from core.files import read_json_lines, write_json
from launch.executors.base import Target
from launch.executors.local import Local
from launch.executors.profile import make_profile
from launch.node import job
from launch.node.job import run_cell
from launch.node.task import CellTask
from launch.records import lease, process
from launch.records.failures import group_failures
from launch.submit.follow import follow
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest
from launch.submit.retry import RetryRules


class Steps:
    """The steps of a cell, replaced by notes of what was called."""

    def __init__(self, monkeypatch, run):
        self.called = []
        self.finished = True
        monkeypatch.setattr(job, "write_provenance", lambda run, n: self.note("provenance"))
        monkeypatch.setattr(job, "_try_step", lambda config: self.note("try"))
        monkeypatch.setattr(job, "_train", self.train)
        monkeypatch.setattr(job, "_predict", self.predict)
        self.failing = {}
        for kind, known in list(MEASUREMENTS.items()):
            replaced = dataclasses.replace(known, run=self.measurement(kind))
            monkeypatch.setitem(MEASUREMENTS, kind, replaced)

    def note(self, word):
        self.called.append(word)

    def train(self, run, config, should_stop):
        self.note("train")
        return self.finished

    def predict(self, run, config):
        self.note("predict")
        write_json(run.predictions, [])

    def measurement(self, kind):
        def measure(inputs):
            self.note(kind)
            if kind in self.failing:
                raise self.failing[kind]
            return {"kind": kind}

        return measure


@pytest.fixture
def cell(make_run, monkeypatch):
    """``cell("ap")``: a run and its replaced steps."""

    def make(*measure):
        run = make_run(measure=measure)
        return run, Steps(monkeypatch, run)

    return make


def call(run, stop=lambda: False, leader=True):
    return run_cell(run, attempt=1, should_stop=stop, leader=leader)


def test_the_steps_come_in_order_and_leave_records(cell):
    run, steps = cell("fps", "ap", "flops")
    assert call(run)
    assert steps.called == ["provenance", "flops", "try", "train", "predict", "ap", "fps"]
    assert all(run.result(kind).exists() for kind in ("ap", "flops", "fps"))


def test_a_step_whose_record_exists_is_skipped(cell):
    run, steps = cell("ap", "flops", "fps")
    call(run)
    run.result("flops").unlink()
    steps.called.clear()
    assert call(run)
    assert steps.called == ["provenance", "flops"]


def test_predictions_are_enough_to_score_again(cell):
    run, steps = cell("ap")
    call(run)
    run.result("ap").unlink()
    steps.called.clear()
    assert call(run)
    assert steps.called == ["provenance", "ap"]


@pytest.mark.parametrize("measure", [("flops",), ("fps",), ("flops", "fps")])
def test_costs_need_no_training(cell, measure):
    run, steps = cell(*measure)
    assert call(run)
    assert steps.called == ["provenance", *measure]


def test_stopped_while_training_it_is_not_finished(cell):
    run, steps = cell("ap", "flops")
    steps.finished = False
    assert not call(run)
    assert steps.called == ["provenance", "flops", "try", "train"]


@pytest.mark.parametrize(
    ("after", "called"),
    [
        (0, ["provenance"]),
        (1, ["provenance", "flops", "try", "train"]),
        (2, ["provenance", "flops", "try", "train", "predict"]),
        (3, ["provenance", "flops", "try", "train", "predict", "ap"]),
    ],
)
def test_it_stops_between_any_two_steps_and_goes_on(cell, after, called):
    run, steps = cell("ap", "flops", "fps")
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > after

    assert not call(run, stop)
    assert steps.called == called
    assert call(run)
    measured = [word for word in steps.called if word in MEASUREMENTS]
    assert measured == ["flops", "ap", "fps"]


def test_a_measurement_that_another_grid_wants_meanwhile_is_made(cell, make_run):
    run, _ = cell("ap")
    original = MEASUREMENTS["ap"]

    def measure(inputs):
        make_run(measure=["ap", "flops"])
        return original.run(inputs)

    MEASUREMENTS["ap"] = dataclasses.replace(original, run=measure)
    assert call(run)
    assert run.result("flops").exists()


def test_a_helping_task_only_trains(cell):
    run, steps = cell("ap", "flops")
    assert call(run, leader=False)
    assert steps.called == ["train"]
    steps.called.clear()
    write_json(run.predictions, [])  # the training is over
    assert call(run, leader=False)
    assert steps.called == []


def test_a_measurement_that_fails_costs_its_own_figure_and_the_next_launch_does_only_that(cell):
    run, steps = cell("ap", "flops", "fps")
    steps.failing["fps"] = RuntimeError("no clock")
    assert call(run)
    assert steps.called == ["provenance", "flops", "try", "train", "predict", "ap", "fps"]
    assert run.result("ap").exists()
    assert run.result("flops").exists()
    assert not run.result("fps").exists()
    failure = json.loads(run.failed_result("fps").read_text())
    assert failure["last_line"] == "RuntimeError: no clock"
    assert failure["cause"] == "error"
    assert "raise self.failing[kind]" in failure["traceback"]
    steps.called.clear()
    steps.failing.clear()
    assert call(run)
    assert steps.called == ["provenance", "fps"]
    assert not run.failed_result("fps").exists()


def test_counting_that_fails_stops_no_training(cell):
    run, steps = cell("ap", "flops")
    steps.failing["flops"] = UserError("nobody counts fft")
    assert call(run)
    assert steps.called == ["provenance", "flops", "try", "train", "predict", "ap"]
    assert run.failed_measurements(run.measure()) == ("flops",)


def test_a_prediction_that_fails_costs_ap_alone(cell, monkeypatch):
    run, steps = cell("ap", "fps")

    def predict(run, config):
        raise UserError("frame 3 cannot be read")

    monkeypatch.setattr(job, "_predict", predict)
    assert call(run)
    assert steps.called == ["provenance", "try", "train", "fps"]
    assert run.failed_measurements(run.measure()) == ("ap",)


@pytest.mark.parametrize(
    ("error", "stopped"), [(OSError(28, "No space left on device"), False), (RuntimeError(), True)]
)
def test_a_full_disk_and_a_kill_are_no_failures_of_a_measurement(cell, error, stopped):
    run, steps = cell("fps")
    steps.failing["fps"] = error
    with pytest.raises(type(error)):
        call(run, lambda: stopped and "fps" in steps.called)
    assert not run.failed_result("fps").exists()


def test_a_cell_shown_as_done_but_for_a_measurement_is_launched_again_for_it_alone(
    store, signals, monkeypatch
):
    run = store.run("c" * 16)
    run.create(schema=1, name="c", config=preset("tiny"), measure=["flops", "fps"])
    steps = Steps(monkeypatch, run)
    steps.failing["fps"] = RuntimeError("no clock")
    assert CellTask(str(run.path), "b1", 0)() == "done but for fps"
    wanted = ("flops", "fps")
    state = run.state(wanted)
    assert (state.name, state.cause) == ("interrupted", "done but for fps")
    assert run.state(("flops",)).name == "done"
    (group,) = group_failures([("c", run, state.cause)])
    assert (group.cause, group.last_line) == ("done but for fps", "RuntimeError: no clock")
    assert RetryRules().refusal(run, state) is None
    again = RetryRules(measurements=False).refusal(run, state)
    assert again == "done but for fps (the next launch tries again)"
    steps.failing.clear()
    assert CellTask(str(run.path), "b2", 0)() == "done"
    assert run.state(wanted).name == "done"
    assert steps.called == ["provenance", "flops", "fps", "provenance", "fps"]


def test_a_cell_that_is_too_large_fails_before_it_trains(cell, monkeypatch):
    run, steps = cell("ap")

    def too_large(config):
        raise UserError("out of memory in one forward and backward pass") from MemoryError()

    monkeypatch.setattr(job, "_try_step", too_large)
    with pytest.raises(UserError, match="out of memory"):
        call(run)
    assert steps.called == ["provenance"]


def test_every_measurement_of_a_grid_is_known():
    from typing import get_args

    from ablations.cell import MeasurementName

    assert set(MEASUREMENTS) == set(get_args(MeasurementName))


def test_resamples_are_drawn_alike_for_all_cells(make_run, monkeypatch):
    """Paired comparisons of cells need the same draws, whatever the cell's seed."""
    seen = []

    def resampled(result, resamples, *, seed):
        seen.append((resamples, seed))
        return types.SimpleNamespace(to_dict=dict)

    monkeypatch.setattr(score, "heldout_videos", lambda config: None)
    monkeypatch.setattr(evaluate, "evaluate", lambda heldout, predictions: "scored")
    monkeypatch.setattr(score, "bootstrap", resampled)
    monkeypatch.setattr(protocol, "ap_protocol", lambda *_: {"seed": 5})
    monkeypatch.setattr(score, "ap_record", lambda result, protocol, drawn: {"p": protocol})
    run = make_run()
    config = override(run.config(), {"seed": 5})
    record = MEASUREMENTS["ap"].run(Inputs("x", config, run.checkpoint, run.predictions))
    assert seen == [(1000, 0)] and record == {"p": {"seed": 5}}


TINY = {
    "backbone.width": 8,
    "messenger.tokens": 2,
    "head.queries": 4,
    "head.stages": 1,
    "head.channels": 16,
    "head.ffn_channels": 16,
    "head.dynamic_channels": 8,
    "head.mask_convs": 1,
    "data.clip_length": 2,
    "data.train_sizes": [[48, 32]],
    "data.test_size": [48, 32],
    "data.synthetic.videos": 6,
    "data.synthetic.frames": 3,
    "data.synthetic.size": [32, 48],
    "train.steps": 4,
    "train.clips": 1,
    "train.warmup": 1,
    "train.checkpoint_every": 2,
    "train.log_every": 1,
}


@pytest.mark.slow
def test_a_real_cell_stopped_and_resumed_scores_like_one_that_was_not(
    store, signals, monkeypatch, tmp_path
):
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path / "cache"))
    config = override(preset("tiny"), TINY)
    records = []
    for name, interrupted in (("a" * 16, False), ("b" * 16, True)):
        run = store.run(name)
        run.create(schema=1, name=name, config=config, measure=["ap"])
        task = CellTask(str(run.path), "b1", 0)
        if interrupted:
            signals.ask("terminated")
            assert task() == "stopped: terminated"
            assert run.state().name == "interrupted"
            assert [line["step"] for line in read_json_lines(run.history)] == [1]
            signals.withdraw("terminated")
        run.create(schema=1, name=name, config=config, measure=["ap", "flops"])
        assert task() == "done"
        assert [line["step"] for line in read_json_lines(run.history)] == [1, 2, 3, 4]
        losses = [line["loss"] for line in read_json_lines(run.history)]
        score = json.loads(run.result("ap").read_text())["figures"]
        records.append((losses, score, json.loads(run.predictions.read_text())))
    assert records[0] == records[1]
    run = store.run("b" * 16)
    assert len(run.attempts()) == 2
    for attempt in (1, 2):
        provenance = json.loads(run.provenance(attempt).read_text())
        assert provenance["environment"]["packages"]["torch"]
        assert provenance["environment"]["git"].keys() >= {"commit", "dirty", "diff"}
        assert provenance["seed"] == config.seed
        assert provenance["attempt_of"]["host"] == process.myself()["host"]
    assert lease.latest(run.state_folder).end["outcome"] == "done"


@pytest.mark.slow
def test_a_real_cell_on_two_processes_scores_like_on_one(store, signals, monkeypatch, tmp_path):
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")  # named, not there: gloo on the CPU
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = override(preset("tiny"), {**TINY, "train.clips": 2})
    cell = Cell("c", config, {"a": "x"}, ("ap",))
    grid = Grid("two", "", (cell,), {"a": ("x",)}, ("ap",), None)
    target = Target(Local(), make_profile({"gpus": 2}))
    launch(LaunchRequest(store, grid, target))
    found = follow(LaunchRequest(store, grid, target), interval=0.5)
    assert {s.state.name for s in found.cells.values()} == {"done"}
    both = store.run(cell.signature)
    assert both.attempts()[0].holder["tasks"] == 2
    one = store.run("1" * 16)
    one.create(schema=1, name="one", config=config, measure=["ap"])
    assert CellTask(str(one.path), "b1", 0)() == "done"
    losses = [[line["loss"] for line in read_json_lines(run.history)] for run in (both, one)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
