"""What changes on a machine while it measures: clocks, temperature, other processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine.code import run_text
from benchmarks.machine.proc import values_of

PROC = Path("/proc")
# a process counts as busy from this share of one core on
BUSY = 0.1
CLOCK_CHANGE = 0.05
TIME_CHANGE = 0.05
WARMER = 10.0  # degrees Celsius
GPU_FIELDS = {
    "clock_sm_mhz": "clocks.sm",
    "clock_memory_mhz": "clocks.mem",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
    "utilisation_percent": "utilization.gpu",
    "throttle": "clocks_throttle_reasons.active",
}
# bits of nvidia-smi's throttle mask: software power cap, hardware slowdown, software and hardware
# thermal slowdown, hardware power brake
THROTTLED = 0x04 | 0x08 | 0x20 | 0x40 | 0x80


def machine_state(device: torch.device, seconds: float = 0.3) -> dict[str, Any]:
    """Load, clocks, temperatures and other processes now (JSON types).

    Args:
        device: a GPU's clocks and processes are read where it is one.
        seconds: how long to watch which other processes compute.
    """
    state: dict[str, Any] = {
        "load_average": list(os.getloadavg()),
        "cpu_mhz": cpu_mhz(),
        "busy_processes": busy_processes(seconds),
    }
    if device.type == "cuda":
        state["gpu"] = gpu_state(device)
        state["gpu_processes"] = gpu_processes(device)
    return state


def cpu_mhz(cpuinfo: Path = PROC / "cpuinfo") -> float | None:
    """Mean clock of the cores; None where the system does not say."""
    clocks = [float(clock) for clock in values_of(cpuinfo, "cpu MHz")]
    return sum(clocks) / len(clocks) if clocks else None


def busy_processes(seconds: float, proc: Path = PROC) -> list[dict[str, Any]]:
    """Processes other than this one and its children that compute (name, pid, share of a core)."""
    before = _cpu_seconds(proc)
    start = time.perf_counter()
    time.sleep(seconds)
    after = _cpu_seconds(proc)
    elapsed = time.perf_counter() - start
    own = _descendants({pid: parent for pid, (_, parent, _) in after.items()}, os.getpid())
    busy = []
    for pid, (name, _, used) in after.items():
        share = (used - before[pid][2]) / elapsed if pid in before else 0.0
        if share >= BUSY and pid not in own:
            busy.append({"pid": pid, "name": name, "cores": round(share, 2)})
    return sorted(busy, key=lambda p: -p["cores"])


def _cpu_seconds(proc: Path) -> dict[int, tuple[str, int, float]]:
    """Name, parent and processor seconds of every process that may be read."""
    tick = os.sysconf("SC_CLK_TCK")
    table = {}
    for path in proc.glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:  # it ended, or is not ours to see
            continue
        # the name stands in parentheses and may hold blanks and parentheses itself
        name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        used = (int(fields[11]) + int(fields[12])) / tick
        table[int(path.parent.name)] = (name, int(fields[1]), used)
    return table


def _descendants(parents: dict[int, int], root: int) -> set[int]:
    """``root``, its children, theirs, and so on."""
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def _nvidia_smi(device: torch.device, *query: str) -> list[list[str]]:
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    uuid = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
    text = run_text(["nvidia-smi", "-i", uuid, *query, "--format=csv,noheader,nounits"])
    return [[cell.strip() for cell in line.split(",")] for line in (text or "").splitlines()]


def gpu_state(device: torch.device) -> dict[str, Any] | None:
    """Clocks, temperature, power, use and throttling of a GPU; None without nvidia-smi."""
    rows = _nvidia_smi(device, f"--query-gpu={','.join(GPU_FIELDS.values())}")
    if not rows:
        return None
    return {name: _number(text) for name, text in zip(GPU_FIELDS, rows[0], strict=True)}


def gpu_processes(device: torch.device) -> list[dict[str, Any]]:
    """Other processes that hold memory on the GPU.

    In a container the driver's process numbers are not this one's, so the own process may be
    listed; what is compared is the list before with the list after.
    """
    rows = _nvidia_smi(device, "--query-compute-apps=pid,used_memory")
    return [
        {"pid": int(pid), "memory_mib": _number(memory)}
        for pid, memory in rows
        if int(pid) != os.getpid()
    ]


def _number(text: str) -> float | None:
    """A cell of nvidia-smi; None for ``[N/A]`` and the like."""
    try:
        return float(int(text, 16)) if text.startswith("0x") else float(text)
    except ValueError:
        return None


def drift(
    before: dict[str, Any], after: dict[str, Any], trends: Iterable[tuple[str, float]] = ()
) -> list[str]:
    """Why figures taken between the two states are suspect; empty if nothing is.

    Args:
        trends: what was timed, and the relative change of its time from first to second half.
    """
    reasons = [
        f"{what}: {change:+.0%} from the first to the second half of the samples"
        for what, change in trends
        if abs(change) > TIME_CHANGE
    ]
    for when, state in (("before", before), ("after", after)):
        reasons += _company(when, state["busy_processes"])
    reasons += _clock_change("CPU", before["cpu_mhz"], after["cpu_mhz"])
    return reasons + _gpu_drift(before, after)


def _company(when: str, processes: list[dict[str, Any]]) -> list[str]:
    if not processes:
        return []
    cores = sum(process["cores"] for process in processes)
    names = ", ".join(dict.fromkeys(process["name"] for process in processes))
    return [f"other processes computed {when} the measurement ({cores:.1f} cores: {names})"]


def _gpu_drift(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    one, two = before.get("gpu"), after.get("gpu")
    if not one or not two:
        return []
    reasons = _clock_change("GPU", one["clock_sm_mhz"], two["clock_sm_mhz"])
    reasons += _clock_change("GPU memory", one["clock_memory_mhz"], two["clock_memory_mhz"])
    cold, warm = one["temperature_c"], two["temperature_c"]
    if cold is not None and warm is not None and warm - cold > WARMER:
        reasons.append(f"GPU temperature from {cold:g} to {warm:g} C")
    for when, state in (("before", one), ("after", two)):
        if int(state["throttle"] or 0) & THROTTLED:
            reasons.append(f"GPU throttled {when} (mask {int(state['throttle']):#x})")
    known = {process["pid"] for process in before["gpu_processes"]}
    others = len(known), len({p["pid"] for p in after["gpu_processes"]} - known)
    if any(others):
        reasons.append(f"other processes on the GPU: {others[0]} before, {others[1]} came")
    return reasons


def _clock_change(what: str, before: float | None, after: float | None) -> list[str]:
    if not before or not after or abs(after / before - 1) <= CLOCK_CHANGE:
        return []
    return [f"{what} clock from {before:.0f} to {after:.0f} MHz"]
