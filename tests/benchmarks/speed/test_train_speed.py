"""Training steps, measured: they are the training's own, and their parts are all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.speed import measure, train_speed
from benchmarks.speed.isolated import OutOfMemory, SpeedJob, do_job, job_from_dict
from benchmarks.speed.matmul_rate import Backends, MatmulRate, backends
from benchmarks.speed.timing import Sampling
from benchmarks.speed.train_speed import PARTS, TimedRun, measure_training, train_protocol
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import clip_shape
from core import build_model, preset
from core.training.train import train

SMALL = {
    "data.synthetic.videos": 8, "data.clip_length": 2, "data.train_sizes": [[64, 32]],
    "head.stages": 1, "head.queries": 5, "train.clips": 2,
}  # fmt: skip
ONCE = Sampling(warmup=1, min_samples=3, min_seconds=0, max_samples=3)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The machine is not looked at for long."""
    rate = MatmulRate({"torch.mm": 1e9}, 256)
    monkeypatch.setattr(train_speed, "matmul_rate", lambda device, precision: rate)
    state = train_speed.machine_state
    monkeypatch.setattr(train_speed, "machine_state", lambda device: state(device, seconds=0.01))


def test_the_steps_are_those_of_training(tmp_path):
    config = preset("tiny", {**SMALL, "train.steps": 3})
    train(config, tmp_path / "a", progress=False)
    timed = TimedRun("x", config, tmp_path / "b", 3)
    for _ in range(3):
        timed.step()
    trained = torch.load(tmp_path / "a/checkpoints/last.pt", weights_only=False)["state_dict"]
    for name, value in timed.run.model.state_dict().items():
        assert torch.equal(value, trained[name]), name


def test_a_record_has_every_part_memory_and_share():
    config = preset("tiny", {**SMALL, "train.accumulate": 2})
    (record,) = measure_training({"small": config}, ONCE)
    figures, step = record["figures"], record["scopes"]["step"]
    assert step["n"] == 3 and step["frames"] == 4
    assert figures["fps"] == pytest.approx(4e3 / figures["step_ms"])
    for k in range(3):
        whole = sum(record["parts"][part]["samples_ms"][k] for part in PARTS)
        assert whole == pytest.approx(step["samples_ms"][k])
    assert all(figures[f"{part}_ms"] > 0 for part in PARTS)
    assert figures["backward_ms"] > figures["optimiser_ms"]
    achieved = record["achieved"]["multiply_adds"]
    assert figures["matmul_share"] == pytest.approx(achieved * 1e3 / figures["step_ms"] / 1e9)
    assert record["memory"]["host_peak"] > 2**20 and record["kind"] == "train_speed"
    assert record["protocol"]["sizes"] == "64x32" and record["protocol"]["accumulate"] == 2


def test_configs_take_turns_and_twice_the_clips_are_twice_the_work():
    one = preset("tiny", {**SMALL, "train.clips": 1})
    told = []
    first, second = measure_training({"one": one, "two": preset("tiny", SMALL)}, ONCE, told.append)
    assert second["achieved"]["multiply_adds"] == pytest.approx(
        2 * first["achieved"]["multiply_adds"], rel=0.02
    )
    assert first["memory"] is None and first["protocol"]["interleaved_with"] == ["two"]
    assert second["ratios"]["one"]["step"]["ratio"] < 1
    assert "step 3, at least 3" in told


class Peer(torch.nn.Module):
    """In the place of mmdet's model: one of ours that is known by its size."""

    def __init__(self, path):
        super().__init__()
        self.model = build_model(preset("tiny", {**SMALL, "head.queries": len(path.stem)}))

    def forward(self, frames, targets):
        return self.model(frames, targets)


def test_mmdets_model_takes_the_steps_in_the_place_of_the_configs(monkeypatch, tmp_path):
    monkeypatch.setattr(train_speed, "MmdetTraining", Peer)
    timed = TimedRun("x", preset("tiny", SMALL), tmp_path, 2, Path("seven__.py"))
    before = {name: value.clone() for name, value in timed.run.model.state_dict().items()}
    assert len(before["model.rpn_head.init_proposal_bboxes.weight"]) == 7
    timed.step()
    changed = {n for n, v in timed.run.model.state_dict().items() if not torch.equal(v, before[n])}
    # one level of the pyramid shows no box
    still = {n for n, _ in timed.run.model.named_parameters() if ".fpn_convs." not in n} - changed
    assert not still
    assert timed.multiply_adds()[0] > 0 and timed.pixels[0] > 0


def test_an_mmdet_model_takes_turns_with_ours_and_says_what_trains(monkeypatch):
    monkeypatch.setattr(train_speed, "MmdetTraining", Peer)
    configs = dict.fromkeys(("ours", "theirs"), preset("tiny", SMALL))
    ours, theirs = measure_training(configs, ONCE, mmdet={"theirs": Path("seven__.py")})
    assert "trains" not in ours["protocol"] and ours["ratios"]["theirs"]["step"]["ratio"] > 0
    assert "mmdet's model, matching and losses" in theirs["protocol"]["trains"]
    assert theirs["parameters"] > ours["parameters"]


def test_an_isolated_process_is_told_which_configs_are_mmdets(monkeypatch):
    monkeypatch.setattr(train_speed, "MmdetTraining", Peer)
    config = preset("tiny", SMALL)
    ours = WorkloadSpec("ours", clip_shape(config), config.to_dict())
    theirs = replace(ours, name="theirs", mmdet="seven__.py")
    trained, peer = do_job(SpeedJob("train", (ours, theirs), "cpu", ONCE))
    assert peer["parameters"] > trained["parameters"]
    (memory,) = do_job(SpeedJob("train_memory", (theirs,), "cpu", ONCE))
    assert memory["host_peak"] > 2**20


def test_want_of_memory_of_an_mmdet_model_has_its_protocol():
    def run(job):
        raise OutOfMemory("so little")

    config = preset("tiny", SMALL)
    spec = WorkloadSpec("x", clip_shape(config), config.to_dict(), mmdet="x.py")
    (record,) = measure.fps_of_job(SpeedJob("train", (spec,), "cpu", ONCE), run)
    assert record["protocol"]["trains"].startswith("mmdet's")


def test_want_of_memory_is_a_record_with_the_same_protocol():
    def run(job):
        raise OutOfMemory("so little")

    config = preset("tiny", SMALL)
    spec = WorkloadSpec("x", clip_shape(config), config.to_dict())
    job = SpeedJob("train", (spec, spec), "cpu", ONCE)
    first, _ = measure.fps_of_job(job, run)
    assert (first["figures"], first["oom"]) == (None, "OOM with 2 clips")
    assert first["protocol"] == train_protocol(config, torch.device("cpu"), ONCE)


def test_memory_of_several_configs_is_measured_apart():
    config = preset("tiny", SMALL)
    specs = tuple(WorkloadSpec(n, clip_shape(config), config.to_dict()) for n in "ab")
    kinds = []

    def run(job):
        kinds.append(job.kind)
        return [{"host_peak": 5} for _ in job.workloads]

    records = measure.fps_of_job(SpeedJob("train", specs, "cpu", ONCE), run)
    assert kinds == ["train", "train_memory", "train_memory"]
    assert records[1]["memory"] == {"host_peak": 5}


def test_a_job_comes_back_from_its_record():
    import dataclasses
    import json

    config = preset("tiny", SMALL)
    spec = WorkloadSpec("x", clip_shape(config), config.to_dict())
    job = SpeedJob("train", (spec,), "cpu", ONCE, backends=Backends(tf32=True))
    assert job_from_dict(json.loads(json.dumps(dataclasses.asdict(job)))) == job


@pytest.fixture
def flags():
    """Flags of torch that are put back afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    yield
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


@pytest.mark.parametrize("value", [True, False])
def test_flags_are_set_and_part_of_a_gpus_protocol(value, flags):
    Backends(tf32=value, cudnn_benchmark=not value).set()
    before = backends(torch.device("cuda"))
    assert before == {
        "matmul_libraries": ["torch.mm", "F.linear"],
        "tf32_products": value,
        "tf32_convolutions": value,
        "cudnn_benchmark": not value,
    }
    Backends().set()
    assert backends(torch.device("cuda")) == before
    assert list(backends(torch.device("cpu"))) == ["matmul_libraries"]
