"""What bounds each part of a model: the machine's products, its memory, or neither.

An operator takes at least as long as its multiply-adds at the machine's matrix-product rate, and
at least as long as its bytes at the memory's; the larger is its roof.  The roofs of a part's
operators add up to the least time that it could take, beside which stands what it took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from benchmarks.flops.traffic import REST, Operator, in_parts, modules_of_parts, operators
from benchmarks.machine.state import machine_state
from benchmarks.records import record_head
from benchmarks.speed.bandwidth import bandwidth
from benchmarks.speed.fps import protocol, rate_doubts, timed_in
from benchmarks.speed.matmul_rate import matmul_rate, rate_facts
from benchmarks.speed.statistics import median_interval, trend
from benchmarks.speed.timing import PartClock, Sampling, interleaved, unheard
from benchmarks.workloads.workload import Workload

UNIT = "milliseconds, multiply-adds and bytes per frame"
BYTES = "each input once and each output once, by operator; attention as one operator"


def measure_rooflines(
    workloads: Sequence[Workload],
    device: torch.device,
    sampling: Sampling,
    report: Callable[[str], None] = unheard,
) -> list[dict[str, Any]]:
    """Count and time the parts of each model, in turns: a record of kind ``roofline`` for each.

    Raises:
        FlopCountError: an operator is not counted.
    """
    report("multiply-adds and bytes")
    ran = {workload.name: operators(workload) for workload in workloads}
    report("matrix-product rate and memory")
    precisions = {workload.precision for workload in workloads}
    rates = {p: [matmul_rate(device, p)] for p in precisions}
    moved = [bandwidth(device)]
    before = machine_state(device)
    clocks = {workload.name: PartClock(device) for workload in workloads}
    with ExitStack() as hooks:
        calls = {w.name: _timed(w, clocks[w.name], hooks) for w in workloads}
        whole = interleaved(calls, sampling, device, report)
    after = machine_state(device)
    for precision, found in rates.items():
        found.append(matmul_rate(device, precision))
    moved.append(bandwidth(device))
    memory = {name: max(one[name] for one in moved) for name in moved[0]}
    records = []
    for workload in workloads:
        machine = {**rate_facts(rates[workload.precision]), "bandwidth": max(memory.values())}
        clock, samples = clocks[workload.name], whole[workload.name]
        times = clock.milliseconds([*modules_of_parts(workload), REST])
        timed = {part: of[sampling.warmup :] for part, of in times.items()}
        known = protocol(workload, workloads, device, sampling)
        trends = [("model", trend(samples))]
        records.append(
            {
                **record_head("roofline", workload.name),
                "protocol": {**known, "unit": UNIT, "scope": "model", "bytes": BYTES},
                **_figures(ran[workload.name], samples, timed, workload.shape.frames, machine),
                "machine": {**machine, "bandwidths": memory},
                "environment": timed_in(before, after, trends, rate_doubts(machine, device)),
            }
        )
    return records


def _timed(workload: Workload, clock: PartClock, hooks: ExitStack) -> Callable[[], None]:
    """A call of the model that marks its parts."""
    hooks.enter_context(
        in_parts(
            workload.traceable, modules_of_parts(workload), clock.mark, lambda _: clock.mark(REST)
        )
    )

    def call() -> None:
        clock.begin(REST)
        workload.detect()
        clock.mark("end")

    return call


def _figures(
    ran: Sequence[Operator],
    samples: Sequence[float],
    timed: Mapping[str, Sequence[float]],
    frames: int,
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole model, each part, and each kind of operator (whose time is not known)."""

    def of(ran: Sequence[Operator]) -> dict[str, float]:
        return bounds(ran, frames, machine)

    kinds = dict.fromkeys(one.name for one in ran)
    return {
        "figures": {**of(ran), **_took(samples, frames)},
        "parts": {
            part: {**of([one for one in ran if one.part == part]), **_took(of_part, frames)}
            for part, of_part in timed.items()
        },
        "by_operator": {kind: of([one for one in ran if one.name == kind]) for kind in kinds},
    }


def bounds(ran: Sequence[Operator], frames: int, machine: Mapping[str, Any]) -> dict[str, float]:
    """Multiply-adds, bytes and the least time, all a frame; and what of the time memory bounds.

    Args:
        machine: ``matmul_rate`` (multiply-adds a second) and ``bandwidth`` (bytes a second).
    """
    by_products = [one.multiply_adds / machine["matmul_rate"] for one in ran]
    by_memory = [one.bytes / machine["bandwidth"] for one in ran]
    roofs = list(zip(by_products, by_memory, strict=True))
    return {
        "multiply_adds": sum(one.multiply_adds for one in ran) / frames,
        "bytes": sum(one.bytes for one in ran) / frames,
        "least_ms": 1e3 * sum(max(roof) for roof in roofs) / frames,
        "memory_ms": 1e3 * sum(m for p, m in roofs if m > p) / frames,
    }


def _took(samples_ms: Sequence[float], frames: int) -> dict[str, Any]:
    """Milliseconds a frame, and the samples, of a call each."""
    median = median_interval([ms / frames for ms in samples_ms])
    return {**median.named("ms"), "samples_ms": list(samples_ms)}
