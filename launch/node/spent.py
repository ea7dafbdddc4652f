"""What a run takes besides time: ``spent.json``, over all attempts that ended by themselves.

``host_peak`` is the first process's resident memory in bytes, ``gpu_peak`` what its allocator held
of the GPU (null: no GPU), both the largest of the attempts.  ``energy`` holds the ``joules`` of
the GPUs (or, where cells have none, of the machine's CPU packages, whoever used them), their
``source``, and the ``attempts`` that they are of; or ``why_not``.  ``busy`` is the load of each of
the machine's cores in the latest attempt's last minute: up to 1, nobody had to wait.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from core.files import write_json
from launch.node.job_environment import JobEnvironment
from launch.records import lease
from launch.records.process import busy_now
from launch.records.run_folder import RunFolder
from launch.records.shapes import SpentFile

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def metered(run: RunFolder) -> Iterator[None]:
    """Meter the block and add it to the run's ``spent.json``, however the block ends.

    The energy of an attempt that is killed is lost, and ``attempts`` tells so.
    """
    import torch

    from benchmarks.machine.memory import host_peak, reset_host_peak

    on_gpu = torch.cuda.is_available()
    energy = _Energy(on_gpu)
    reset_host_peak()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        with energy.watched():
            yield
    finally:
        peaks = {
            "host_peak": host_peak(),
            "gpu_peak": torch.cuda.max_memory_reserved() if on_gpu else None,
        }
        before: dict[str, Any] = lease.read_dict(run.spent, SpentFile) or {}
        kept: dict[str, Any] = {
            name: max(peaks[name] or 0, before.get(name) or 0) or None for name in peaks
        }
        kept["busy"] = round(busy_now(), 3)
        kept["energy"] = energy.added_to(before.get("energy"))
        try:
            write_json(run.spent, {"schema": 1, **kept})
        except OSError as error:  # the run itself is as good without it
            logger.warning("%s: %s", run.spent, error)


class _Energy:
    """The joules of one attempt, where the machine counts them."""

    def __init__(self, on_gpu: bool) -> None:
        import torch

        from benchmarks.machine import energy

        self._module, self.meter, self.why_not = energy, None, ""
        tasks = JobEnvironment.detect().tasks
        try:
            if on_gpu and tasks > torch.cuda.device_count():
                raise energy.NotMeasurableError("its GPUs are not all on this node")
            self.meter = energy.make_meter(torch.device("cuda" if on_gpu else "cpu"), tasks)
        except energy.NotMeasurableError as error:
            self.why_not = str(error)

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """For the length of the attempt."""
        return contextlib.nullcontext() if self.meter is None else self._module.watched(self.meter)

    def added_to(self, before: Any) -> dict[str, Any]:
        """With what earlier attempts took."""
        known = before if isinstance(before, dict) and "joules" in before else {}
        if self.meter is None:
            return known or {"why_not": self.why_not}
        try:
            joules = self.meter.joules()
        except self._module.NotMeasurableError as error:
            return known or {"why_not": str(error)}
        return {
            "source": self.meter.name,
            "joules": known.get("joules", 0.0) + joules,
            "attempts": known.get("attempts", 0) + 1,
        }
