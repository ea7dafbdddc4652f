"""FPS records: unique video frames a second in three scopes, with memory and drift.

The scopes: *model* is frames to boxes, classes and masks inside boxes; *postprocess* adds masks
at the video's size; *end to end* goes from image files to run-length encoded results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.flops.counters import FlopCountError
from benchmarks.flops.record import count_workload
from benchmarks.machine.cores import cpu_quota, usable_cores
from benchmarks.machine.energy import energy_of
from benchmarks.machine.environment import device_name, environment
from benchmarks.machine.memory import is_out_of_memory, peak_memory
from benchmarks.machine.state import drift, machine_state
from benchmarks.records import record_head
from benchmarks.speed.matmul_rate import MatmulRate, backends, matmul_rate, rate_facts
from benchmarks.speed.statistics import median_interval, paired_ratio, tail_quantile, trend
from benchmarks.speed.timing import Sampling, interleaved, unheard
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import Workload
from core.errors import UserError

SCOPES = ("model", "postprocess", "end_to_end")
RATE_CHANGE = 0.1

Samples = dict[str, dict[str, list[float]]]
"""Milliseconds of each call, by scope and by workload."""


def measure(
    workloads: Sequence[Workload],
    device: torch.device,
    sampling: Sampling,
    scopes: Sequence[str] = SCOPES,
    report: Callable[[str], None] = unheard,
) -> list[dict[str, Any]]:
    """Time the workloads in turns and write a record of kind ``fps`` for each.

    The process should be an isolated one (:func:`benchmarks.speed.isolated.run_job`): memory is
    what this process uses, and is left out when several workloads share it.

    Raises:
        UserError: a scope that does not exist, or two workloads of one name.
    """
    _check(workloads, scopes)
    report("matrix-product rate")
    precisions = {workload.precision for workload in workloads}
    rates = {p: [matmul_rate(device, p)] for p in precisions}
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the large matrices' memory is the model's again
    before = machine_state(device)
    samples: Samples = {}
    for scope in scopes:
        calls = {s.name: call for s in workloads if (call := call_of(s, scope)) is not None}
        samples[scope] = interleaved(calls, sampling, device, _prefixed(f"{scope}, ", report))
    after = machine_state(device)
    report("matrix-product rate and multiply-adds")
    # what follows disturbs clocks and caches, so it comes after the timing
    for precision, known in rates.items():
        known.append(matmul_rate(device, precision))
    report("energy")
    energies = [_energy(workload, scopes, device) for workload in workloads]
    timed = [_timed(workload, samples, rates[workload.precision]) for workload in workloads]
    return [
        {
            **record_head("fps", workload.name),
            "protocol": protocol(workload, workloads, device, sampling),
            **figures,
            "memory": memory_of(workload, scopes, device) if len(workloads) == 1 else None,
            "energy": energy,
            "ratios": ratios(workload.name, samples),
            "parameters": workload.parameters()[0],
            "environment": timed_in(
                before, after, _trends(workload.name, samples), doubts(figures, device)
            ),
        }
        for workload, figures, energy in zip(workloads, timed, energies, strict=True)
    ]


def timed_in(
    before: dict[str, Any],
    after: dict[str, Any],
    trends: Iterable[tuple[str, float]],
    doubts: Sequence[str],
) -> dict[str, Any]:
    """The environment of a record, and all that makes its figures suspect, as ``drift``.

    Args:
        before: state of the machine, as ``after``.
        trends: as of :func:`benchmarks.machine.state.drift`.
        doubts: further reasons.
    """
    return {
        **environment(with_diff=False),
        "before": before,
        "after": after,
        "drift": [*drift(before, after, trends), *doubts],
    }


def _energy(workload: Workload, scopes: Sequence[str], device: torch.device) -> dict[str, Any]:
    """Of the scope that memory is measured in: alone, since counters are slower than calls."""
    scope = "postprocess" if "postprocess" in scopes else scopes[0]
    call = call_of(workload, scope)
    if call is None:
        return {"why_not": f"{workload.name} does not run {scope}"}
    return {"scope": scope, **energy_of(call, frames_of(workload, scope), device)}


def doubts(figures: Mapping[str, Any], device: torch.device) -> list[str]:
    """Why the share of the matrix-product rate, and with it the speed, is suspect.

    Args:
        figures: ``scopes`` and ``achieved`` of a record.
    """
    found = rate_doubts(figures["achieved"], device)
    for scope, values in figures["scopes"].items():
        if (values["matmul_share"] or 0) > 1:
            found.append(
                f"{scope}: {values['matmul_share']:.0%} of the matrix-product rate, which no model "
                "reaches: the rate was disturbed, or an operator is counted too high"
            )
    return found


def rate_doubts(achieved: Mapping[str, Any], device: torch.device) -> list[str]:
    """Why the matrix-product rate itself (``rate_facts``) is suspect."""
    found = []
    before, after = achieved["matmul_rate_before"], achieved["matmul_rate_after"]
    if abs(after / before - 1) > RATE_CHANGE:
        found.append(
            f"the matrix-product rate went from {before / 1e9:.3g} to {after / 1e9:.3g} G a second"
        )
    threads, cores = torch.get_num_threads(), min(usable_cores(), cpu_quota() or math.inf)
    if device.type == "cpu" and threads > cores:
        found.append(f"{threads} threads on {cores:g} cores")
    return found


def _prefixed(prefix: str, report: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: report(prefix + line)


def call_of(workload: Workload, scope: str) -> Callable[[], object] | None:
    """What is timed in ``scope``; none if the workload cannot do it."""
    calls = (workload.detect, workload.segment, workload.end_to_end)
    return dict(zip(SCOPES, calls, strict=True))[scope]


def frames_of(workload: Workload, scope: str) -> int:
    """Unique video frames of one call in ``scope``: a frame seen in two clips counts once."""
    return workload.video_frames if scope == "end_to_end" else workload.shape.frames


def protocol(
    of: Workload | WorkloadSpec,
    together: Sequence[Workload | WorkloadSpec],
    device: torch.device,
    sampling: Sampling,
) -> dict[str, Any]:
    """Everything that a figure depends on and that can be chosen.

    Args:
        together: all that take turns, itself among them.
    """
    return {
        "unit": "unique video frames per second",
        "device": device_name(device),
        "device_type": device.type,
        **asdict(of.shape),
        "video_frames": of.video_frames,
        **sampling.protocol(device),
        "interleaved_with": [other.name for other in together if other is not of],
        **backends(device),
        **of.facts,
    }


def scope_figures(samples_ms: list[float], frames: int) -> dict[str, Any]:
    """FPS of ``frames`` a call with its bootstrap interval, the slow tail, and the samples."""
    median = median_interval(samples_ms)
    return {
        "fps": 1e3 * frames / median.value,
        "low": 1e3 * frames / median.high if median.high else None,
        "high": 1e3 * frames / median.low if median.low else None,
        "median_ms": median.value,
        "p90_ms": tail_quantile(samples_ms, 0.9),
        "p99_ms": tail_quantile(samples_ms, 0.99),
        "n": len(samples_ms),
        "frames": frames,
        "samples_ms": samples_ms,
    }


def ratios(name: str, samples: Samples) -> dict[str, dict[str, dict[str, float | None]]]:
    """How many times as fast as each other workload ``name`` is, by scope, pair by pair."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for scope, by_name in samples.items():
        for other in by_name:
            if other != name and name in by_name:
                ratio = paired_ratio(by_name[other], by_name[name])
                found.setdefault(other, {})[scope] = ratio.named("ratio")
    return found


def _timed(workload: Workload, samples: Samples, rates: Sequence[MatmulRate]) -> dict[str, Any]:
    """Scopes, headline figures and the share of the machine's matrix-product rate.

    Args:
        rates: before and after; the higher one is what the machine can do.
    """
    machine = rate_facts(rates)
    scopes = {
        scope: scope_figures(by_name[workload.name], frames_of(workload, scope))
        for scope, by_name in samples.items()
        if workload.name in by_name
    }
    figures = {f"fps_{s}": scopes[s]["fps"] if s in scopes else None for s in SCOPES}
    per_frame, why_not = _multiply_adds(workload)
    for scope in scopes.values():
        achieved = scope["fps"] * per_frame if per_frame is not None else None
        scope["matmul_share"] = achieved / machine["matmul_rate"] if achieved is not None else None
    share = scopes["model"]["matmul_share"] if "model" in scopes else None
    return {
        "scopes": scopes,
        "figures": {**figures, "matmul_share": share},
        "achieved": {"multiply_adds": per_frame, "why_not": why_not, **machine},
    }


def _multiply_adds(workload: Workload) -> tuple[float | None, str | None]:
    """Multiply-adds a frame, or why they cannot be counted (which costs no FPS figure)."""
    try:
        return count_workload(workload).total / workload.shape.frames, None
    except FlopCountError as error:
        return None, str(error)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None, f"counting needs more memory than running: {error}"


def memory_of(workload: Workload, scopes: Sequence[str], device: torch.device) -> dict[str, Any]:
    """Peak memory of the model with post-processing, or of the model if only that was asked for.

    The workload should be alone in its process, and have run before.
    """
    scope = "postprocess" if "postprocess" in scopes else scopes[0]
    call = call_of(workload, scope)
    if call is None:
        raise UserError(f"{workload.name} does not run {scope}")
    call()  # what is allocated once only, such as a library's workspace, is there from here on
    return {"scope": scope, **peak_memory(call, device)}


def _trends(name: str, samples: Samples) -> list[tuple[str, float]]:
    return [(scope, trend(by_name[name])) for scope, by_name in samples.items() if name in by_name]


def check_scopes(scopes: Sequence[str]) -> None:
    """Refuse scopes that do not exist.

    Raises:
        UserError: naming them and the valid ones.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise UserError(f"unknown scope {', '.join(unknown)}; valid scopes: {', '.join(SCOPES)}")


def _check(workloads: Sequence[Workload], scopes: Sequence[str]) -> None:
    check_scopes(scopes)
    names = [workload.name for workload in workloads]
    if len(set(names)) < len(names):
        raise UserError(f"two workloads of one name: {', '.join(names)}")
