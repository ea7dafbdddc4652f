"""`tevit bench train` and `tevit regress`, without measuring anything."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from benchmarks import commands
from benchmarks.machine.environment import environment
from benchmarks.speed.curves import TRAIN_COLUMNS
from benchmarks.train_table import _caption
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape
from core import preset
from core.errors import UserError
from reports.plots.recorded.read import read_plot
from tests.benchmarks import costs


@pytest.fixture
def call(monkeypatch):
    """``call("bench", "train", ...)``: what is shown; jobs and their outcome are made up."""
    jobs, said = [], {"step_ms": 100.0}
    calm = {"busy_processes": []}
    here = {**environment(with_diff=False), "before": calm, "after": calm}

    def run(job, report=lambda line: None):
        jobs.append(job)
        if job.kind == "train_memory":
            return [{"allocated": 3 * 2**20}]
        if job.workloads[0].config["train"]["clips"] > 4:
            raise commands_oom("too many")
        made = [costs.train(spec, **said) for spec in job.workloads]
        return [{**one, "environment": {**here, "drift": ["a fly"]}} for one in made]

    from benchmarks.speed.isolated import OutOfMemory as commands_oom

    monkeypatch.setattr(commands, "run_job", run)

    def invoke(*words, code=0):
        result = CliRunner().invoke(cli.app, list(map(str, words)), env={"COLUMNS": "80"})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    invoke.jobs, invoke.said = jobs, said
    return invoke


def test_options_reach_the_job_and_the_file_says_how_to_do_it_again(call, tmp_path):
    out = tmp_path / "train.json"
    shown = call("bench", "train", "tiny", "tiny,train.precision=bf16", "--samples", 7,
                 "--seconds", 0.5, "--warmup", 2, "--threads", 1, "--memory-limit", 0.5,
                 "--tf32", "--no-cudnn-benchmark", "--json", out)  # fmt: skip
    job = call.jobs[0]
    assert (job.kind, job.threads, job.memory_limit) == ("train", 1, 2**29)
    assert (job.sampling.warmup, job.sampling.min_samples, job.sampling.min_seconds) == (2, 7, 0.5)
    assert (job.backends.tf32, job.backends.cudnn_benchmark) == (True, False)
    assert [j.kind for j in call.jobs[1:]] == ["train_memory", "train_memory"]
    for text in ("2 x 3", "60 ±1", "25.0 (25%)", "optimiser", "3", "50%", "DRIFT: tiny: a fly"):
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 80
    title, *table = shown.splitlines()
    assert title == "Training on CPU: 96x64, data synthetic (measured on a CPU)"
    assert any(line.split() == ["fp32", "bf16"] for line in table)
    assert json.loads(out.read_text())["job"]["kind"] == "train"


def test_mmdets_models_stand_in_the_same_table(call, monkeypatch):
    monkeypatch.setattr("benchmarks.request.find_config", Path)
    shown = call("bench", "train", "tiny", "--mmdet", "there/queryinst_r50_fpn_1x_coco.py")
    assert call.jobs[0].workloads[1].mmdet == "there/queryinst_r50_fpn_1x_coco.py"
    assert "mmdet queryinst_r50_fpn_1x_coco" in shown and shown.count("2 x 3") == 2
    assert shown.startswith("Training on CPU: 96x64, fp32, data") and shown.count("fp32") == 1


def test_a_curve_over_clips_has_a_column_each_and_want_of_memory_is_a_point(call, tmp_path):
    out, table = tmp_path / "clips.json", tmp_path / "clips.csv"
    shown = call(
        *("bench", "train", "tiny", "--curve", "batch=1,4,8", "--json", out, "--csv", table)
    )
    assert [job.workloads[0].config["train"]["clips"] for job in call.jobs] == [1, 4, 8]
    assert "4 x 3" in shown and "OOM with 8 clips" in " ".join(shown.split())
    assert "tiny at 4: FPS step 60 ±1" in shown
    rows = list(csv.DictReader(table.open()))
    assert tuple(rows[0]) == TRAIN_COLUMNS
    assert [row["frames"] for row in rows] == ["3", "12", "24"]
    assert (rows[1]["fps"], rows[1]["low"], rows[1]["drift"]) == ("60.0", "59.0", "a fly")
    assert (rows[2]["fps"], rows[2]["oom"]) == ("", "OOM with 8 clips")
    plot = read_plot(out)
    assert plot.data["batch"].tolist() == [1, 4, 8]
    ends = plot.data[["frames a second", "frames low", "frames high"]].iloc[0]
    assert ends.tolist() == [60.0, 59.0, 61.0] and plot.title == (
        "Speed and memory by clips a training step"
    )
    assert plot.notes[1:] == (
        "Memory: resident memory of the process.",
        "Cross: out of memory.",
        "Suspect: 2 of 3 points, such as: a fly.",
    )


def test_csv_without_a_curve_is_refused(call):
    with pytest.raises(UserError, match="--csv holds a curve's points"):
        call("bench", "train", "tiny", "--csv", "x.csv")
    assert not call.jobs


@pytest.mark.parametrize("curve", ["batch", "batch=", "batch=0", "batch=1,x", "clip_length=1"])
def test_a_curve_that_is_none_is_refused(call, curve):
    with pytest.raises(UserError, match=r"expected batch=1,2,4|must be a whole number"):
        call("bench", "train", "tiny", "--curve", curve)
    assert not call.jobs


@pytest.mark.parametrize(
    ("step_ms", "code", "word"), [(100, 0, "as fast"), (70, 0, "faster"), (150, 1, "slower")]
)
def test_regress_says_what_became_of_the_speed_and_exits_with_it(
    call, tmp_path, step_ms, code, word
):
    out = tmp_path / "train.json"
    call("bench", "train", "tiny", "--json", out)
    call.said["step_ms"] = step_ms
    shown = call("regress", out, code=code)
    assert f"tiny, step: {word}: " in shown and "DRIFT: tiny: a fly" in shown


def test_regress_exits_with_3_where_it_cannot_tell(call, tmp_path):
    out = tmp_path / "train.json"
    call("bench", "train", "tiny", "--json", out)
    call.said.update(step_ms=150, rate=0.5e9)
    assert "cannot tell" in call("regress", out, code=3)


def test_train_speed_can_be_asked_of_cells():
    from benchmarks.figures import FIGURES
    from benchmarks.measurements import MEASUREMENTS

    assert not MEASUREMENTS["train_speed"].needs_predictions
    assert FIGURES["train_fps"].kind == FIGURES["train_memory"].kind == "train_speed"


def test_a_caption_claims_an_interval_only_where_there_is_one(call):
    record = costs.train(WorkloadSpec("a", ClipShape(3, 32, 32), preset("tiny").to_dict()))
    assert "20 steps or more, 95% bootstrap interval" in _caption([record])
    record["scopes"]["step"]["n"] = 4
    assert "4 steps or more, no interval, which needs 5 steps" in _caption([record])
