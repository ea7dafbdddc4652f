import json
from dataclasses import replace

import pytest
import torch

from benchmarks.speed import measure
from benchmarks.speed.fps import measure as time_workloads
from benchmarks.speed.isolated import OutOfMemory, SpeedJob
from benchmarks.speed.matmul_rate import MatmulRate
from benchmarks.speed.measure import fps_of_job, speed_record
from benchmarks.speed.timing import Sampling
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape
from core import preset
from core.errors import UserError

SHAPE = ClipShape(36, 32, 32)
A, B = (WorkloadSpec(name, SHAPE, preset("tiny").to_dict()) for name in "ab")


def record(spec):
    return {"name": spec.name, "figures": {}, "memory": None}


def test_memory_of_several_workloads_is_measured_in_processes_of_their_own():
    jobs = []

    def run(job):
        jobs.append((job.kind, [spec.name for spec in job.workloads]))
        if job.kind == "memory":
            return [{"host_peak": job.workloads[0].name}]
        return [record(spec) for spec in job.workloads]

    records = fps_of_job(SpeedJob("fps", (A, B)), run)
    assert jobs == [("fps", ["a", "b"]), ("memory", ["a"]), ("memory", ["b"])]
    assert [r["memory"]["host_peak"] for r in records] == ["a", "b"]


def test_one_workload_needs_one_process():
    jobs = []

    def run(job):
        jobs.append(job)
        return [record(A)]

    fps_of_job(SpeedJob("fps", (A,)), run)
    assert len(jobs) == 1


def test_out_of_memory_is_a_result_with_its_protocol():
    def run(job):
        raise OutOfMemory("the process was killed")

    (found,) = fps_of_job(SpeedJob("fps", (A,), memory_limit=2**30, threads=7), run)
    assert found["oom"] == "OOM at T=36" and found["figures"] is None
    assert found["reason"] == "the process was killed"
    assert found["protocol"]["clip_length"] == 36
    assert found["protocol"]["memory_limit"] == 2**30
    device = found["protocol"]["device"]
    assert device.startswith("CPU") and ", 7 threads" in device


def test_running_out_of_memory_is_a_record():
    def run(job):
        raise OutOfMemory("killed")

    (found,) = fps_of_job(SpeedJob("fps", (A,)), run)
    assert found["figures"] is None and found["oom"] == "OOM at T=36"
    assert json.loads(json.dumps(found)) == found


def test_what_does_not_fit_together_is_measured_alone():
    def run(job):
        if len(job.workloads) > 1 or job.workloads[0].name == "b":
            raise OutOfMemory("too much")
        return [record(job.workloads[0])]

    first, second = fps_of_job(SpeedJob("fps", (A, B)), run)
    assert first["name"] == "a" and first["figures"] == {}
    assert second["name"] == "b" and second["oom"] == "OOM at T=36"


def test_a_config_is_measured_at_its_own_shape_on_the_default_device(monkeypatch, tmp_path):
    asked = []

    def fake(job):
        asked.append(job)
        return [{}]

    monkeypatch.setattr(measure, "fps_of_job", fake)
    monkeypatch.setattr(measure, "find_device", lambda name=None: "cuda")
    speed_record(preset("tiny"), kind="fps", name="cell", checkpoint=tmp_path / "last.pt")
    (job,) = asked
    (spec,) = job.workloads
    assert job.device == "cuda" and job.threads is None and job.kind == "fps"
    assert spec.shape == ClipShape(3, 64, 96, 1, 64, 96)
    assert spec.checkpoint == str(tmp_path / "last.pt")
    assert spec.config == preset("tiny").to_dict()
    assert replace(spec, checkpoint=None).name == "cell"


@pytest.mark.parametrize(("cuda", "device"), [(True, "cuda"), (False, "cpu")])
def test_the_default_device_is_the_gpu_if_there_is_one(monkeypatch, cuda, device):
    monkeypatch.setattr(measure.torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(measure.torch.cuda, "device_count", lambda: 2)
    assert measure.find_device() == device


def test_a_training_out_of_memory_names_the_threads_and_the_limit_that_were_asked_for():
    def run(job):
        raise OutOfMemory("too much")

    (found,) = fps_of_job(SpeedJob("train", (A,), memory_limit=2**30, threads=7), run)
    known = found["protocol"]
    assert (known["threads"], known["memory_limit"]) == (7, 2**30)
    assert ", 7 threads" in known["device"]


@pytest.mark.parametrize("mode", ["offline", "near_online"])
def test_one_cell_out_of_memory_has_the_protocol_of_its_neighbours(monkeypatch, mode):
    """Else the whole column of a table is said not to be measured alike."""
    config = preset(
        "tiny", {"inference.mode": mode, "inference.clip_length": 2, "inference.stride": 1}
    )
    spec = WorkloadSpec("a", ClipShape(2, 32, 32), config.to_dict())
    job = SpeedJob("fps", (spec,), sampling=Sampling(1, 1, 0.0), scopes=("model",))

    def run(job):
        raise OutOfMemory("too much")

    (failed,) = fps_of_job(job, run)
    rate = MatmulRate({"torch.mm": 1e12}, 1)
    monkeypatch.setattr("benchmarks.speed.fps.matmul_rate", lambda *_: rate)
    cpu = torch.device("cpu")
    (measured,) = time_workloads([spec.build(cpu)], cpu, job.sampling, job.scopes)
    assert failed["figures"] is None
    assert failed["protocol"] == measured["protocol"]


def test_a_gpu_is_found_by_its_number(monkeypatch):
    monkeypatch.setattr(measure.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(measure.torch.cuda, "device_count", lambda: 2)
    assert measure.find_device("cuda:1") == "cuda:1"
    with pytest.raises(UserError, match="--device cuda:2: torch sees 2 GPUs here"):
        measure.find_device("cuda:2")
