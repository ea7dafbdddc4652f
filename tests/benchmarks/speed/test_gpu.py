"""What only a GPU can show."""

import pytest
import torch

from benchmarks.flops.record import flops_record
from benchmarks.machine.memory import peak_memory
from benchmarks.machine.state import gpu_state
from benchmarks.speed.fps import measure
from benchmarks.speed.isolated import OutOfMemory, SpeedJob, run_job
from benchmarks.speed.matmul_rate import matmul_rate
from benchmarks.speed.timing import Sampling, interleaved
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.tevit import tevit_workload
from benchmarks.workloads.workload import ClipShape
from core import preset

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SHAPE = ClipShape(3, 64, 96, 1, 64, 96)
CUDA = torch.device("cuda")


def test_the_counts_are_those_of_the_cpu():
    """Though other kernels run: fused attention, cuDNN's batch norm."""
    on_cpu = flops_record(preset("tiny"), name="tiny", shape=SHAPE)
    on_gpu = flops_record(preset("tiny"), name="tiny", shape=SHAPE, device=CUDA)
    assert on_gpu["by_module"] == on_cpu["by_module"]


def test_events_measure_what_the_device_takes():
    a = torch.randn(4096, 4096, device=CUDA)
    times = interleaved(
        {"one": lambda: a @ a, "four": lambda: [a @ a for _ in range(4)]},
        Sampling(3, 20, 0.5),
        CUDA,
    )
    one, four = (sorted(times[name])[len(times[name]) // 2] for name in ("one", "four"))
    assert four / one == pytest.approx(4, rel=0.2)


def test_a_record_of_a_gpu():
    workload = tevit_workload(preset("tiny"), SHAPE, CUDA, name="tiny")
    (record,) = measure([workload], CUDA, Sampling(2, 5, 0.2))
    assert record["protocol"]["device"] == torch.cuda.get_device_name()
    assert record["protocol"]["clock"] == "CUDA events"
    assert 0 < record["figures"]["matmul_share"] < 1
    assert 0 < record["memory"]["allocated"] <= record["memory"]["reserved"]
    assert record["achieved"]["why_not"] is None


def test_peak_memory_is_that_of_the_call():
    torch.empty(2**28, dtype=torch.uint8, device=CUDA)
    before = torch.cuda.memory_allocated()
    found = peak_memory(lambda: torch.empty(2**26, dtype=torch.uint8, device=CUDA), CUDA)
    assert found["allocated"] == before + 2**26


def test_running_out_of_memory_is_told_apart():
    spec = WorkloadSpec("tiny", ClipShape(64, 384, 640), preset("tiny").to_dict())
    with pytest.raises(OutOfMemory):
        run_job(SpeedJob("fits", (spec,), device="cuda", memory_limit=2**28))


def test_state_and_rate_of_a_gpu():
    state = gpu_state(CUDA)
    assert state is None or state["clock_sm_mhz"] > 0
    assert matmul_rate(CUDA, "bf16", seconds=0.2, size=4096).per_second > 1e12
