"""What a run takes besides time: ``spent.json``, over all attempts that ended by themselves."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from core.files import write_json
from launch.records import lease
from launch.records.run_folder import RunFolder

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def metered(run: RunFolder) -> Iterator[None]:
    """Meter the block and add it to the run's ``spent.json``, however the block ends.

    ``host_peak`` is this process's resident memory in bytes and ``gpu_peak`` what its allocator
    held of the GPU (null: no GPU); of several attempts the largest.
    """
    import torch

    from benchmarks.machine.memory import host_peak, reset_host_peak

    on_gpu = torch.cuda.is_available()
    reset_host_peak()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        yield
    finally:
        peaks = {
            "host_peak": host_peak(),
            "gpu_peak": torch.cuda.max_memory_reserved() if on_gpu else None,
        }
        before: dict[str, Any] = lease.read_dict(run.spent) or {}
        kept = {name: max(peaks[name] or 0, before.get(name) or 0) or None for name in peaks}
        try:
            write_json(run.spent, {"schema": 1, **kept})
        except OSError as error:  # the run itself is as good without it
            logger.warning("%s: %s", run.spent, error)
