"""Peak memory of a call, and what running out of it looks like."""

from __future__ import annotations

import contextlib
import gc
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine.proc import bytes_of
from core.memory import give_back_freed_memory

SELF = Path("/proc/self")
# what allocators say when memory is short, on hosts and on GPUs
OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|Cannot allocate memory"
    r"|MemoryError|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|std::bad_alloc",
    re.IGNORECASE,
)


def peak_memory(call: Callable[[], object], device: torch.device) -> dict[str, Any]:
    """Peak memory in bytes while ``call`` runs, counted anew from before it.

    Returns:
        ``allocated`` and ``reserved`` of a GPU's caching allocator (None on a CPU), ``host_peak``
        (resident memory of the process, with ``host_before`` as it was before the call) and
        ``host_reset``: whether the host's peak could be reset, else it is that of the whole
        process.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    give_back_freed_memory()  # of what ran before; it is no part of this call's need
    before = resident()
    reset = reset_host_peak()
    call()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
    return {
        "allocated": torch.cuda.max_memory_allocated(device) if on_gpu else None,
        "reserved": torch.cuda.max_memory_reserved(device) if on_gpu else None,
        "host_before": before,
        "host_peak": host_peak(),
        "host_reset": reset,
    }


def reset_host_peak() -> bool:
    """Set the peak of resident memory to its present value; false where the system refuses."""
    try:
        (SELF / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def host_peak() -> int:
    """Peak resident memory of this process in bytes, since the last reset."""
    used = bytes_of(SELF / "status", "VmHWM")
    return used or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def resident() -> int | None:
    """Resident memory of this process in bytes; None where the system does not say."""
    return bytes_of(SELF / "status", "VmRSS")


def available_memory() -> int | None:
    """Host memory in bytes that can be used without swapping: of the host or its control group."""
    free, group = bytes_of(Path("/proc/meminfo"), "MemAvailable"), Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # the group has no limit, or it is "max"
        limit = int((group / "memory.max").read_text())
        rest = limit - int((group / "memory.current").read_text())
        return rest if free is None else min(free, rest)
    return free


def limit_memory(device: torch.device, limit: int) -> None:
    """Let this process have at most ``limit`` bytes, of the GPU's memory or of the host's.

    More than that is then an error of the allocator that can be told apart from others, instead
    of a process that the kernel ends.
    """
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)
    else:
        # data, not address space: libraries reserve far more addresses than they use
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(OUT_OF_MEMORY.search(str(error)))
