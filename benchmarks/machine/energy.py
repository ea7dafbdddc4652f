"""Energy by the counters of the hardware: NVML's on a GPU, RAPL's on a CPU; never an estimate.

Both count all that the GPUs or the CPU packages take, whoever uses them.  RAPL zones lie in
``/sys/class/powercap`` (the kernel's Documentation/power/powercap): packages ``intel-rapl:N`` and,
where there is one, their memory ``intel-rapl:N:M`` named ``dram``, which a package leaves out.
Since 2020 kernels let root alone read them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.periodic import periodically

POWERCAP = Path("/sys/class/powercap")
_POLL_SECONDS = 30.0
"""Between two looks at a counter: RAPL's wrap around after some ten minutes under load."""
IDLE_SECONDS = 2.0
INSTALL = "install nvidia-ml-py (pip install 'tevit-ablations[energy]')"


class NotMeasurableError(Exception):
    """This machine does not say what it takes; the message says why."""


@dataclass(frozen=True)
class Counter:
    """One counter of joules.

    Attributes:
        name: of what it counts.
        read: its present value in joules.
        span: joules after which it begins anew; none: never.
    """

    name: str
    read: Callable[[], float]
    span: float | None = None


class Meter:
    """What several counters have counted since it was made."""

    def __init__(self, source: str, counters: Sequence[Counter]) -> None:
        """Of ``source``, such as NVML.

        Raises:
            NotMeasurableError: a counter cannot be read.
        """
        self.source, self.counters = source, tuple(counters)
        self._lock = threading.Lock()
        self._joules = 0.0
        self._last = [_read(counter) for counter in self.counters]

    @property
    def name(self) -> str:
        """The source and what it counts."""
        return f"{self.source}: {', '.join(counter.name for counter in self.counters)}"

    def joules(self) -> float:
        """So far; to be asked at least once in the time that a counter takes to wrap around.

        Raises:
            NotMeasurableError: a counter cannot be read any more.
        """
        with self._lock:
            for k, counter in enumerate(self.counters):
                now = _read(counter)
                more = now - self._last[k]
                if more < 0:
                    if counter.span is None:
                        raise NotMeasurableError(f"the counter of {counter.name} was set back")
                    more += counter.span
                self._joules += more
                self._last[k] = now
            return self._joules


def _read(counter: Counter) -> float:
    try:
        return counter.read()
    except Exception as error:  # NVML's errors have a class of their own
        raise NotMeasurableError(f"{counter.name} cannot be read: {error}") from error


def make_meter(device: torch.device, gpus: int = 1, powercap: Path = POWERCAP) -> Meter:
    """A meter of the first ``gpus`` GPUs that this process sees, or of the machine's CPU packages.

    Raises:
        NotMeasurableError: there are no counters, or they may not be read.
    """
    if device.type == "cuda":
        return Meter("NVML", _nvml(gpus if device.index is None else 1, device.index or 0))
    return Meter("RAPL", rapl(powercap))


def rapl(powercap: Path = POWERCAP) -> list[Counter]:
    """The packages of the CPU, and their memory where it is counted.

    Raises:
        NotMeasurableError: the kernel shows none.
    """
    counters = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        with contextlib.suppress(OSError, ValueError):
            name = (zone / "name").read_text().strip()
            if name.startswith("package-") or name == "dram":
                span = int((zone / "max_energy_range_uj").read_text()) / 1e6
                counters.append(Counter(f"{name} ({zone.name})", _microjoules(zone), span))
    if not counters:
        raise NotMeasurableError("this CPU shows no energy counters (no RAPL in the kernel)")
    return counters


def _microjoules(zone: Path) -> Callable[[], float]:
    return lambda: int((zone / "energy_uj").read_text()) / 1e6


def _nvml(count: int, first: int) -> list[Counter]:
    try:
        import pynvml
    except ImportError:
        raise NotMeasurableError(INSTALL) from None
    try:
        pynvml.nvmlInit()
        return [_gpu(pynvml, index) for index in range(first, first + count)]
    except pynvml.NVMLError as error:
        raise NotMeasurableError(f"NVML: {error}") from error


def _gpu(pynvml: Any, index: int) -> Counter:
    uuid = str(torch.cuda.get_device_properties(index).uuid)
    handle = pynvml.nvmlDeviceGetHandleByUUID(
        uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    )
    return Counter(f"GPU {index}", lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)


def watched(meter: Meter, every: float = _POLL_SECONDS) -> AbstractContextManager[None]:
    """Look at the counters now and then for the length of the block, so that no wrap is missed."""

    def look() -> None:
        with contextlib.suppress(NotMeasurableError):  # the last look says so
            meter.joules()

    return periodically(look, every, "energy")


def idle_watts(meter: Meter, seconds: float) -> float:
    """What the devices take now, while this process waits."""
    before, start = meter.joules(), time.perf_counter()
    time.sleep(seconds)
    return (meter.joules() - before) / (time.perf_counter() - start)


def energy_of(
    call: Callable[[], object], frames: int, device: torch.device, seconds: float = 3.0
) -> dict[str, Any]:
    """Joules a frame of ``call``, which takes ``frames`` frames, over at least ``seconds``.

    Returns:
        ``source``, ``joules_per_frame``, ``watts`` and, apart, ``idle_watts`` from before it; or
        ``why_not``.
    """
    try:
        meter = make_meter(device)
        idle = idle_watts(meter, IDLE_SECONDS)
        calls, before, start = 0, meter.joules(), time.perf_counter()
        while time.perf_counter() - start < seconds:
            call()
            calls += 1
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        joules, spent = meter.joules() - before, time.perf_counter() - start
    except NotMeasurableError as error:
        return {"why_not": str(error)}
    return {
        "source": meter.name,
        "joules_per_frame": joules / (calls * frames),
        "watts": joules / spent,
        "idle_watts": idle,
        "seconds": spent,
        "frames": calls * frames,
    }
