import time

import pytest
import torch

from benchmarks.speed import timing
from benchmarks.speed.timing import Sampling, interleaved
from core.errors import UserError

CPU = torch.device("cpu")


def test_variants_take_turns_after_the_warm_up():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    samples = interleaved(calls, Sampling(2, 3, 0.0), CPU)
    assert "".join(order) == "abc" * 5
    assert {name: len(values) for name, values in samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_it_says_how_far_it_is():
    heard = []
    interleaved({"a": lambda: heard.append("call")}, Sampling(1, 2, 0.0), CPU, heard.append)
    assert heard == [
        "warm-up 1 of 1", "call", "sample 1, at least 2", "call", "sample 2, at least 2", "call",
    ]  # fmt: skip


def test_samples_are_milliseconds_of_each_variant():
    calls = {"slow": lambda: time.sleep(0.02), "fast": lambda: time.sleep(0.002)}
    samples = interleaved(calls, Sampling(1, 5, 0.0), CPU)
    assert all(s >= 20 for s in samples["slow"])
    assert 2 <= sorted(samples["fast"])[2] < 20


def test_it_goes_on_until_the_time_is_up():
    samples = interleaved({"a": lambda: time.sleep(0.001)}, Sampling(1, 1, 0.1), CPU)["a"]
    assert sum(samples) > 50 and len(samples) > 5


def test_it_ends_at_the_most_samples_however_short_the_calls():
    assert len(interleaved({"a": lambda: None}, Sampling(1, 1, 60.0, 50), CPU)["a"]) == 50


@pytest.mark.parametrize(
    "values", [(0, 1, 1.0), (1, 0, 1.0), (1, 10, 1.0, 5), (1, 1, -1.0)]
)  # fmt: skip
def test_efforts_that_make_no_sense(values):
    with pytest.raises(UserError):
        Sampling(*values)


class FakeCuda:
    """A device on which every call takes 3 ms, and a log of what is asked of it."""

    def __init__(self, monkeypatch):
        self.log, self.now = [], 0.0
        monkeypatch.setattr(timing.torch.cuda, "Event", self.event)
        monkeypatch.setattr(timing.torch.cuda, "synchronize", lambda _: self.log.append("sync"))

    def event(self, enable_timing):
        assert enable_timing
        return FakeEvent(self)

    def call(self):
        self.log.append("call")
        self.now += 3.0


class FakeEvent:
    def __init__(self, device):
        self.device = device

    def record(self):
        self.at = self.device.now
        self.device.log.append("record")

    def elapsed_time(self, end):
        self.device.log.append("read")
        return end.at - self.at


def test_on_a_gpu_events_are_read_after_one_synchronisation(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    samples = interleaved(
        {"a": cuda.call, "b": cuda.call}, Sampling(1, 3, 0.0), torch.device("cuda")
    )
    assert samples == {"a": [3.0] * 3, "b": [3.0] * 3}
    measured = ["record", "call", "record"] * 6
    # warm-up and a synchronisation before; one synchronisation after the last call, none between
    assert cuda.log == ["call"] * 2 + ["sync"] + measured + ["sync"] + ["read"] * 6
