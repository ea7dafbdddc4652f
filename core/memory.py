"""Freed memory stays with the process, so that the next tensor need not ask the system for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Have the C library give no memory back to the system before the process ends.

    It gives large blocks back as soon as they are free.  A feature map of the next layer then
    comes from the system anew, which clears every page of it first: a quarter of the time of
    inference on a CPU.  Nothing that is computed depends on it.  For a process that trains,
    predicts or measures, at its start.

    Returns:
        Whether the C library can do so: glibc, not musl or that of macOS.
    """
    mallopt = _of_glibc("mallopt")
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1))


def give_back_freed_memory() -> None:
    """Have the system have what is free now, so that what is resident is what is in use."""
    if (malloc_trim := _of_glibc("malloc_trim")) is not None:
        malloc_trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return found
