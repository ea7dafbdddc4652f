import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import torch

from benchmarks.machine.code import code_root
from benchmarks.speed import isolated
from benchmarks.speed.isolated import (
    OutOfMemory,
    SpeedJob,
    do_job,
    job_from_dict,
    main,
    run_job,
)
from benchmarks.speed.timing import Sampling
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape
from core import preset
from core.errors import UserError

TINY = WorkloadSpec("tiny", ClipShape(1, 32, 32, 1, 32, 32), preset("tiny").to_dict())
JOB = SpeedJob("fps", (TINY,), sampling=Sampling(1, 2, 0.0), scopes=("model",), threads=1)


def test_jobs_survive_json():
    assert job_from_dict(json.loads(json.dumps(asdict(JOB)))) == JOB


def test_precision_of_a_spec():
    bf16 = preset("tiny", {"inference.precision": "bf16"})
    assert WorkloadSpec("b", TINY.shape, bf16.to_dict()).facts["precision"] == "bf16"
    assert WorkloadSpec("mmdet", TINY.shape, mmdet="x.py").facts["precision"] == "fp32"


@pytest.mark.slow
def test_an_isolated_process_measures_and_says_on_how_many_threads():
    heard = []
    (record,) = run_job(JOB, heard.append)
    assert heard == [
        "matrix-product rate",
        "model, warm-up 1 of 1",
        "model, sample 1, at least 2",
        "model, sample 2, at least 2",
        "matrix-product rate and multiply-adds",
        "energy",
    ]
    assert record["figures"]["fps_model"] > 0
    assert record["protocol"]["threads"] == 1
    assert record["memory"]["host_peak"] > 2**26


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "limit"), [(40, 1000), (1, 150)])
def test_a_process_that_may_use_little_memory_runs_out_of_it(clip, limit):
    """In one large tensor, or in the many small ones of the weights."""
    spec = replace(TINY, shape=ClipShape(clip, 384, 640))
    with pytest.raises(OutOfMemory):
        run_job(SpeedJob("fits", (spec,), threads=1, memory_limit=limit * 2**20))


def outcome(monkeypatch, result, status=0, stderr=""):
    """What run_job makes of a process that wrote ``result``."""

    def follow(command, stderr_file, report):
        assert command[1:4] == ["-P", "-m", "benchmarks.speed.isolated"]
        if result is not None:
            isolated.write_json(isolated.Path(command[-1]), result)
        return status, stderr

    monkeypatch.setattr(isolated, "_follow", follow)
    return run_job(JOB)


def test_word_of_progress_is_handed_on_and_other_output_is_not(tmp_path):
    script = (
        "import sys; print('noise'); print('progress: half'); print('bad', file=sys.stderr); "
        "sys.exit(3)"
    )
    heard = []
    found = isolated._follow([sys.executable, "-c", script], tmp_path / "errors", heard.append)
    assert found == (3, "bad\n")
    assert heard == ["half"]


def test_the_process_runs_the_code_that_starts_it(tmp_path):
    for room in ("core", "benchmarks"):
        shutil.copytree(code_root() / room, tmp_path / room)
    asks = "import benchmarks; print('progress:', benchmarks.__file__)"
    script = f"""
import sys
from pathlib import Path
from benchmarks.speed.isolated import _follow
print(_follow([sys.executable, "-P", "-c", {asks!r}], Path("errors"), print))
"""
    command = [sys.executable, "-c", script]  # finds the copy, since it stands in its folder
    said = subprocess.check_output(command, cwd=tmp_path, text=True).splitlines()
    assert said == [str(tmp_path / "benchmarks" / "__init__.py"), "(0, '')"]


def test_whoever_stops_waiting_stops_the_process(tmp_path):
    script = "import os, time; print('progress:', os.getpid(), flush=True); time.sleep(60)"
    pids = []

    def stop(line):
        pids.append(int(line))
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        isolated._follow([sys.executable, "-c", script], tmp_path / "errors", stop)
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_records_come_back(monkeypatch):
    assert outcome(monkeypatch, {"records": [{"a": 1}]}) == [{"a": 1}]


def test_out_of_memory_is_told_apart(monkeypatch):
    with pytest.raises(OutOfMemory, match="CUDA out of memory"):
        outcome(monkeypatch, {"oom": "OutOfMemoryError: CUDA out of memory"})


def test_a_killed_process_ran_out_of_memory(monkeypatch):
    with pytest.raises(OutOfMemory, match="killed"):
        outcome(monkeypatch, None, status=-signal.SIGKILL)


def test_a_process_that_breaks_off_near_the_limit_ran_out_of_memory(monkeypatch):
    with pytest.raises(OutOfMemory, match="want of memory"):
        outcome(monkeypatch, None, 1, "SystemError: NULL\nMemoryError\n")


def test_user_errors_keep_their_message(monkeypatch):
    with pytest.raises(UserError, match="no such file"):
        outcome(monkeypatch, {"user_error": "no such file"}, status=0)


def test_a_bug_shows_the_end_of_its_traceback(monkeypatch):
    with pytest.raises(RuntimeError, match=r"(?s)status 1.*line 40") as caught:
        outcome(monkeypatch, None, 1, "\n".join(f"line {n}" for n in range(41)))
    assert "line 10" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (UserError("wrong"), {"user_error": "wrong"}),
        (MemoryError(), {"oom": "MemoryError"}),
        (RuntimeError("CUDA out of memory.\nmore"), {"oom": "RuntimeError: CUDA out of memory."}),
    ],
)
def test_the_process_turns_outcomes_into_results(monkeypatch, tmp_path, error, result):
    def fail(job, report):
        raise error

    monkeypatch.setattr(isolated, "do_job", fail)
    (tmp_path / "job").write_text(json.dumps(asdict(JOB)))
    main(tmp_path / "job", tmp_path / "result")
    assert json.loads((tmp_path / "result").read_text()) == result


def test_the_process_does_not_hide_bugs(monkeypatch, tmp_path):
    def fail(job, report):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(isolated, "do_job", fail)
    (tmp_path / "job").write_text(json.dumps(asdict(JOB)))
    with pytest.raises(RuntimeError, match="shapes"):
        main(tmp_path / "job", tmp_path / "result")


def test_fits_runs_the_model_and_has_no_records():
    assert do_job(SpeedJob("fits", (TINY,))) == []


def test_another_gpu_is_made_the_current_one(monkeypatch):
    chosen = []
    monkeypatch.setattr(isolated.torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(isolated.torch.cuda, "synchronize", lambda device: None)
    do_job(SpeedJob("fits", (), device="cpu"))
    do_job(SpeedJob("fits", (), device="cuda"))
    assert not chosen
    do_job(SpeedJob("fits", (), device="cuda:1"))
    assert chosen == [torch.device("cuda:1")]


def test_flops_in_an_isolated_process_are_those_of_this_one():
    from benchmarks.flops.record import flops_record

    (record,) = do_job(SpeedJob("flops", (TINY,)))
    assert record["figures"] == flops_record(preset("tiny"), name="t", shape=TINY.shape)["figures"]


def test_memory_of_a_workload_alone():
    (memory,) = do_job(SpeedJob("memory", (TINY,), scopes=("model",)))
    assert memory["scope"] == "model" and memory["host_peak"] > 0
