"""Freed memory that stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from core import memory
from core.memory import keep_freed_memory

# in a process of its own: nothing undoes it
BLOCKS = """
import ctypes, resource, sys
from core.memory import keep_freed_memory
if "keep" in sys.argv:
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
SIZE = 100_000_000
def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(ctypes.c_size_t(SIZE))
    ctypes.memset(block, 1, SIZE)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
use()
print(use())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its ways")
def test_a_block_that_was_free_is_used_again_without_asking_the_system():
    faults = {
        words: int(subprocess.check_output([sys.executable, "-c", BLOCKS, *words]))
        for words in ((), ("keep",))
    }
    assert faults["keep",] < faults[()] / 10


PEAK = """
import torch
from benchmarks.machine.memory import peak_memory
from core.memory import keep_freed_memory
assert keep_freed_memory()
def need(blocks):
    return lambda: [torch.ones(25_000_000) for _ in range(blocks)]
cpu = torch.device("cpu")
need(4)()
print(peak_memory(need(1), cpu)["host_peak"] - peak_memory(need(0), cpu)["host_peak"])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its ways")
def test_the_peak_of_a_call_leaves_out_what_was_freed_before_it():
    needed = int(subprocess.check_output([sys.executable, "-c", PEAK]))
    assert 90e6 < needed < 110e6


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()
    memory.give_back_freed_memory()
