import json
import subprocess
import sys

import pytest
import torch

from benchmarks.machine import memory

CPU = torch.device("cpu")
MIB = 2**20


PEAK_OF_A_CALL = """
import json, torch
from benchmarks.machine.memory import peak_memory
touch = lambda mib: torch.ones(mib * 2**18)
touch(400)  # a higher peak, before the reset
print(json.dumps(peak_memory(lambda: touch(64), torch.device("cpu"))))
"""


def test_peak_is_that_of_the_call_and_not_of_what_was_before():
    # in a process of its own, as measurements are: from a long-lived one pages may be taken back
    command = [sys.executable, "-c", PEAK_OF_A_CALL]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    if not found["host_reset"]:
        pytest.skip("this system does not let a process reset its peak")
    grown = found["host_peak"] - found["host_before"]
    assert 56 * MIB < grown < 128 * MIB
    assert found["allocated"] is None and found["reserved"] is None


def test_without_proc_the_whole_process_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "SELF", tmp_path / "absent")
    found = memory.peak_memory(lambda: None, CPU)
    assert not found["host_reset"] and found["host_before"] is None and found["host_peak"] > 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ],
)
def test_what_running_out_of_memory_looks_like(error):
    assert memory.is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), ValueError("out of memory"), KeyError("memory")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert not memory.is_out_of_memory(error)


def test_a_real_allocation_that_is_too_large_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert memory.is_out_of_memory(caught.value)


def test_available_memory_is_plausible():
    free = memory.available_memory()
    assert free is None or 2**20 < free < 2**50


def test_the_gpu_limit_is_a_share_of_its_memory(monkeypatch):
    class Properties:
        total_memory = 80 * 2**30

    asked = []
    monkeypatch.setattr(memory.torch.cuda, "get_device_properties", lambda device: Properties())
    monkeypatch.setattr(
        memory.torch.cuda, "set_per_process_memory_fraction", lambda f, d: asked.append(f)
    )
    memory.limit_memory(torch.device("cuda"), 20 * 2**30)
    memory.limit_memory(torch.device("cuda"), 200 * 2**30)
    assert asked == [0.25, 1.0]
