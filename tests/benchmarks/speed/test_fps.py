import json

import pytest
import torch
from torch import nn

from benchmarks.speed import fps
from benchmarks.speed.fps import measure, memory_of, scope_figures
from benchmarks.speed.matmul_rate import MatmulRate
from benchmarks.speed.timing import Sampling
from benchmarks.workloads.workload import ClipShape, Workload, random_frames
from core.errors import UserError

CPU = torch.device("cpu")
QUICK = Sampling(1, 3, 0.0)
SHAPE = ClipShape(4, 32, 32, batch=2)


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, frames):
        return self.conv(frames.flatten(0, 1)).mean()


def workload(name="a", end_to_end=lambda: None, video_frames=10, **facts):
    module, frames = Mean(), random_frames(SHAPE, CPU)
    return Workload(
        name=name,
        shape=SHAPE,
        model=module,
        traceable=module,
        frames=frames,
        parts={},
        detect=lambda: module(frames),
        segment=lambda: module(frames),
        end_to_end=end_to_end,
        video_frames=video_frames,
        facts=facts,
    )


@pytest.fixture(autouse=True)
def fixed_machine(monkeypatch):
    state = {"load_average": [0, 0, 0], "cpu_mhz": 1.0, "busy_processes": []}
    monkeypatch.setattr(fps, "machine_state", lambda device: state)
    monkeypatch.setattr(fps, "matmul_rate", lambda device, p: MatmulRate({"torch.mm": 1e9}, 64))
    monkeypatch.setattr(fps, "usable_cores", lambda: 64)
    monkeypatch.setattr(fps, "cpu_quota", lambda: None)


@pytest.fixture
def steady(monkeypatch):
    """Every call of scope k takes 10 (k + 1) ms, and 'b' twice as long as 'a'."""
    scopes = iter(range(1, 10))

    def timed(calls, sampling, device, report):
        report("sample 1")
        each = 10.0 * next(scopes)
        return {name: [each * (2 if name == "b" else 1)] * 3 for name in calls}

    monkeypatch.setattr(fps, "interleaved", timed)


def test_the_record_is_json_with_protocol_samples_and_environment():
    (record,) = measure([workload(precision="fp32")], CPU, QUICK)
    assert json.loads(json.dumps(record)) == record
    assert record["kind"] == "fps" and list(record["scopes"]) == list(fps.SCOPES)
    protocol = record["protocol"]
    assert protocol["device"].startswith("CPU (") and protocol["device_type"] == "cpu"
    assert (protocol["clip_length"], protocol["batch"], protocol["height"]) == (4, 2, 32)
    assert protocol["min_samples"] == 3 and protocol["precision"] == "fp32"
    assert len(record["scopes"]["model"]["samples_ms"]) == record["scopes"]["model"]["n"] == 3
    assert {"before", "after", "drift", "packages", "cpu"} <= set(record["environment"])
    assert record["memory"]["scope"] == "postprocess" and record["memory"]["host_peak"] > 0
    assert record["parameters"] == 8


def test_frames_are_counted_and_not_calls(steady):
    (record,) = measure([workload()], CPU, QUICK)
    # 8 frames a call of 10 and 20 ms; a video of 10 frames, each once, in 30 ms
    assert record["figures"]["fps_model"] == pytest.approx(800)
    assert record["figures"]["fps_postprocess"] == pytest.approx(400)
    assert record["figures"]["fps_end_to_end"] == pytest.approx(10 / 0.030)


def test_share_of_the_matmul_rate(steady):
    (record,) = measure([workload()], CPU, QUICK)
    per_frame = 32 * 32 * 3 * 2
    assert record["achieved"]["multiply_adds"] == per_frame
    assert record["figures"]["matmul_share"] == pytest.approx(per_frame * 800 / 1e9)
    shares = [scope["matmul_share"] for scope in record["scopes"].values()]
    assert shares == pytest.approx([per_frame * fps / 1e9 for fps in (800, 400, 10 / 0.030)])


def test_ratios_are_pair_by_pair_and_both_ways(steady):
    a, b = measure([workload("a"), workload("b")], CPU, QUICK)
    assert a["ratios"]["b"]["model"]["ratio"] == 2 and b["ratios"]["a"]["model"]["ratio"] == 0.5
    assert a["protocol"]["interleaved_with"] == ["b"]
    assert a["memory"] is None  # it is not theirs alone


def test_a_workload_that_cannot_do_a_scope_goes_without(steady):
    a, b = measure([workload("a", end_to_end=None), workload("b")], CPU, QUICK)
    assert a["figures"]["fps_end_to_end"] is None and "end_to_end" not in a["scopes"]
    assert set(a["ratios"]["b"]) == {"model", "postprocess"}
    assert b["figures"]["fps_end_to_end"] is not None


def test_only_the_scopes_that_are_asked_for_run():
    def never():
        raise AssertionError

    (record,) = measure([workload(end_to_end=never)], CPU, QUICK, ["model"])
    assert list(record["scopes"]) == ["model"] and record["memory"]["scope"] == "model"
    assert record["figures"]["fps_postprocess"] is None


def test_without_the_model_scope_there_is_no_share():
    (record,) = measure([workload()], CPU, QUICK, ["postprocess"])
    assert record["figures"]["matmul_share"] is None


@pytest.mark.parametrize("scopes", [["modell"], []])
def test_unknown_scopes_name_the_valid_ones(scopes):
    with pytest.raises(UserError, match="model, postprocess, end_to_end"):
        measure([workload()], CPU, QUICK, scopes)


def test_two_workloads_of_one_name():
    with pytest.raises(UserError, match="one name"):
        measure([workload(), workload()], CPU, QUICK)


def test_low_fps_is_that_of_the_high_times():
    figures = scope_figures([10.0, 10.0, 20.0, 40.0, 10.0], frames=2)
    assert figures["fps"] == 200 and figures["median_ms"] == 10
    assert figures["low"] <= figures["fps"] <= figures["high"]
    assert figures["low"] == pytest.approx(2000 / 40)


class Uncountable(nn.Module):
    def forward(self, frames):
        return torch.cdist(frames[0, 0], frames[0, 0])


def test_what_cannot_be_counted_is_still_timed(steady):
    one = workload()
    one.traceable = Uncountable()
    (record,) = measure([one], CPU, QUICK)
    assert record["figures"]["matmul_share"] is None
    assert "cdist" in record["achieved"]["why_not"]
    assert record["figures"]["fps_model"] > 0


class TooLarge(nn.Module):
    def forward(self, frames):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


def test_counting_that_runs_out_of_memory_leaves_the_timing(monkeypatch, steady):
    one = workload()
    monkeypatch.setattr(fps, "count_workload", lambda s: TooLarge()(s.frames))
    (record,) = measure([one], CPU, QUICK)
    assert "more memory" in record["achieved"]["why_not"]


def test_a_drift_of_the_samples_is_in_the_record(monkeypatch):
    drifting = [10.0] * 10 + [13.0] * 10
    monkeypatch.setattr(fps, "interleaved", lambda c, e, d, report: dict.fromkeys(c, drifting))
    (record,) = measure([workload()], CPU, QUICK, ["model"])
    assert record["environment"]["drift"] == [
        "model: +30% from the first to the second half of the samples"
    ]


def test_memory_of_a_scope_that_does_not_exist():
    with pytest.raises(UserError, match="does not run end_to_end"):
        memory_of(workload(end_to_end=None), ["end_to_end"], CPU)


def test_one_sample_has_no_interval_and_no_tail():
    figures = scope_figures([10.0], frames=2)
    assert figures["fps"] == 200
    assert [figures[key] for key in ("low", "high", "p90_ms", "p99_ms")] == [None] * 4


def drift_of(monkeypatch, *rates):
    found = iter(rates)
    monkeypatch.setattr(fps, "matmul_rate", lambda *_: MatmulRate({"torch.mm": next(found)}, 64))
    (record,) = measure([workload()], CPU, QUICK, ["model"])
    return record


def test_116_percent_of_the_matmul_rate_is_flagged(monkeypatch, steady):
    reached = 32 * 32 * 3 * 2 * 800  # multiply-adds a second
    record = drift_of(monkeypatch, reached / 1.16, reached / 1.16)
    assert record["figures"]["matmul_share"] == pytest.approx(1.16)
    assert record["environment"]["drift"] == [
        "model: 116% of the matrix-product rate, which no model reaches: the rate was disturbed, "
        "or an operator is counted too high"
    ]


def test_the_matmul_rate_is_measured_before_and_after(monkeypatch, steady):
    record = drift_of(monkeypatch, 4e9, 1e9)
    achieved = record["achieved"]
    assert (achieved["matmul_rate_before"], achieved["matmul_rate_after"]) == (4e9, 1e9)
    assert achieved["matmul_rate"] == 4e9  # what the machine can do
    assert record["environment"]["drift"] == ["the matrix-product rate went from 4 to 1 G a second"]
    assert drift_of(monkeypatch, 1e9, 1.09e9)["environment"]["drift"] == []


def test_more_threads_than_cores_are_said(monkeypatch):
    monkeypatch.setattr(fps.torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(fps, "usable_cores", lambda: 2)
    (record,) = measure([workload()], CPU, QUICK, ["model"])
    assert "4 threads on 2 cores" in record["environment"]["drift"]
    monkeypatch.setattr(fps, "cpu_quota", lambda: 0.5)
    (record,) = measure([workload()], CPU, QUICK, ["model"])
    assert "4 threads on 0.5 cores" in record["environment"]["drift"]
