"""The commands `tevit flops` and `tevit fps`, without measuring anything."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import cli
from benchmarks import commands as session
from benchmarks.speed import isolated, max_clip
from benchmarks.speed.curves import CURVE_COLUMNS
from core.errors import UserError
from tests.benchmarks import costs

runner = CliRunner()


@pytest.fixture(autouse=True)
def no_measuring(monkeypatch):
    """Jobs that would run, with records in the place of their outcome."""
    jobs = []

    def run(job, report=lambda line: None):
        jobs.append(job)
        report("model, sample 1, at least 20")
        if job.kind == "fits":
            if job.workloads[0].shape.clip_length > 3:
                raise isolated.OutOfMemory("no")
            return []
        make = {"flops": costs.flops, "fps": costs.fps, "memory": costs.memory}[job.kind]
        return [make(spec) for spec in job.workloads]

    monkeypatch.setattr(isolated, "run_job", run)
    monkeypatch.setattr(session, "run_job", run)
    monkeypatch.setattr(
        session, "find_max_clip", lambda *a, **k: max_clip.find_max_clip(*a, run=run, **k)
    )
    return jobs


def call(*args):
    result = runner.invoke(cli.app, list(args), terminal_width=160, env={"COLUMNS": "160"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_flops_prints_a_table_and_writes_records(no_measuring, tmp_path):
    out = tmp_path / "flops.json"
    shown = call("flops", "tiny", "tiny,head.kind=per_frame", "--size", "64x32", "--clip", "2",
                 "--json", str(out))  # fmt: skip
    assert "head.kind=per_frame" in shown and "64x32, T=2" in shown
    written = json.loads(out.read_text())
    assert [r["name"] for r in written["records"]] == ["tiny", "tiny,head.kind=per_frame"]
    assert "commit" in written["git"] and "command" in written
    (job,) = no_measuring
    assert job.kind == "flops" and job.device == "cpu"


def test_fps_passes_its_options_on(no_measuring, tmp_path):
    out = tmp_path / "fps.json"
    call("fps", "tiny", "head.stages=2", "--clip", "4", "--batch", "2", "--samples", "7",
         "--seconds", "0.5", "--warmup", "2", "--scope", "model", "--device", "cpu",
         "--threads", "1", "--memory-limit", "0.5", "--compile", "--json", str(out))  # fmt: skip
    (job,) = no_measuring
    assert (job.sampling.warmup, job.sampling.min_samples, job.sampling.min_seconds) == (2, 7, 0.5)
    assert (job.scopes, job.threads, job.memory_limit) == (("model",), 1, 2**29)
    (spec,) = job.workloads
    assert spec.compiled and spec.shape.batch == 2 and spec.config["head"]["stages"] == 2
    assert json.loads(out.read_text())["records"][0]["kind"] == "fps"


def test_fps_says_when_it_ran_on_a_cpu():
    assert "measured on a CPU" in " ".join(call("fps", "tiny").split())


def test_several_configs_take_turns_in_one_job(no_measuring):
    call("fps", "tiny", "tiny,head.kind=per_frame")
    assert [job.kind for job in no_measuring] == ["fps", "memory", "memory"]
    assert len(no_measuring[0].workloads) == 2


def test_a_curve_prints_points_and_writes_its_data(no_measuring, tmp_path):
    out, table = tmp_path / "curve.json", tmp_path / "curve.csv"
    shown = call("fps", "tiny", "--curve", "clip_length=1,3", "--json", str(out), "--csv",
                 str(table))  # fmt: skip
    assert "tiny at 1: FPS model 10" in shown and "tiny at 3" in shown
    assert table.read_text().splitlines()[0] == ",".join(CURVE_COLUMNS)
    written = json.loads(out.read_text())
    assert written["kind"] == "curve" and len(written["points"]) == 2 and "command" in written
    assert [job.workloads[0].shape.clip_length for job in no_measuring] == [1, 3]


def test_the_longest_clip_is_searched_and_said(no_measuring, tmp_path):
    out = tmp_path / "clip.json"
    shown = call("fps", "tiny", "--find-max-clip", "--most", "16", "--memory-limit", "2",
                 "--json", str(out))  # fmt: skip
    assert "T=4: OOM" in shown and "the longest clip that fits has 3 frames (CPU, 2.0 GiB)" in shown
    assert json.loads(out.read_text())["records"][0]["figures"]["max_clip"] == 3


@pytest.mark.parametrize(
    ("longest", "bounded", "words"),
    [(None, True, "not even one frame"), (8, False, "8 frames fit"), (8, True, "has 8 frames")],
)
def test_verdicts(longest, bounded, words):
    record = {
        "name": "a", "figures": {"max_clip": longest, "bounded": bounded},
        "protocol": {"memory_limit": None, "device_type": "cuda"},
    }  # fmt: skip
    assert words in session.verdict(record) and "CUDA" in session.verdict(record)


def test_running_out_is_a_point_of_a_curve():
    record = {"name": "a", "figures": None, "oom": "OOM at T=36"}
    assert session.point("36", record) == "a at 36: OOM at T=36"


@pytest.mark.parametrize(
    ("args", "words"),
    [(("fps",), "give a config"), (("fps", "tiny", "--scope", "modell"), "valid scopes"),
     (("fps", "tiny", "--curve", "clip=1"), "clip_length"),
     (("fps", "tiny", "--csv", "x.csv"), "--curve"),
     (("fps", "tiny", "--device", "tpu"), "expected cpu, cuda or a GPU by number"),
     (("flops", "tiny", "--device", "cuda:x"), "expected cpu, cuda"),
     (("fps", "tiny", "--device", "cuda:99"), "cuda:99: torch sees"),
     (("fps", "tiny", "--curve", "batch=2,2"), "a value stands there twice"),
     (("fps", "tiny", "--curve", "batch=2", "--find-max-clip"), "one at a time"),
     (("fps", "tiny", "--video-size", "0x0"), "expected WIDTHxHEIGHT"),
     (("flops", "tiny", "--size", "640x360"), "640x384"),
     (("flops", "nosuch"), "nosuch")],
)  # fmt: skip
def test_faults_are_said_before_anything_runs(no_measuring, args, words):
    with pytest.raises(UserError, match=words):
        call(*args)
    assert not no_measuring


@pytest.mark.parametrize(
    ("option", "value"),
    [("--samples", "0"), ("--samples", "2001"), ("--seconds", "nan"), ("--seconds", "inf"),
     ("--warmup", "0"), ("--threads", "0"), ("--memory-limit", "nan"), ("--memory-limit", "0")],
)  # fmt: skip
@pytest.mark.parametrize("command", ["fps", "bench train"])
def test_a_number_out_of_range_names_its_option(no_measuring, command, option, value):
    words = [*command.split(), "tiny", option, value]
    done = CliRunner().invoke(cli.app, words, env={"COLUMNS": "100"})
    assert done.exit_code == 2 and f"Invalid value for '{option}'" in done.output
    assert not no_measuring


def test_a_terminal_is_told_how_far_a_measurement_is(no_measuring):
    job = isolated.SpeedJob("fps", ())
    told = []

    class Status:
        def update(self, text):
            told.append(text)

    console = SimpleNamespace(status=lambda what: nullcontext(Status()))
    with session._shown(console, "measuring tiny") as run:
        run(job)
    assert told == ["model, sample 1, at least 20 · measuring tiny"]


def test_a_point_of_a_curve_says_its_interval_and_its_drift():
    scopes = {"model": {"fps": 50.0, "low": 49.0, "high": 51.0}}
    record = {"name": "a", "figures": {}, "scopes": scopes, "environment": {"drift": ["busy"]}}
    assert session.point("5", record) == "a at 5: FPS model 50 ±1\n  DRIFT: busy"
