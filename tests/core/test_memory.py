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


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()
