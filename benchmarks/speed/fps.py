"""FPS records: unique video frames a second in three scopes, with memory and drift.

The scopes: *model* is frames to boxes, classes and masks inside boxes; *postprocess* adds masks
at the video's size; *end to end* goes from image files to run-length encoded results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.flops.counters import FlopCountError
from benchmarks.flops.record import count_workload
from benchmarks.machine.environment import device_name, environment
from benchmarks.machine.memory import is_out_of_memory, peak_memory
from benchmarks.machine.state import drift, machine_state
from benchmarks.records import record_head
from benchmarks.speed.matmul_rate import MatmulRate, matmul_rate
from benchmarks.speed.statistics import Interval, paired_ratio, summarise, trend
from benchmarks.speed.timing import Sampling, interleaved, unheard
from benchmarks.workloads.workload import Workload
from core.errors import UserError

SCOPES = ("model", "postprocess", "end_to_end")

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
    before = machine_state(device)
    samples: Samples = {}
    for scope in scopes:
        calls = {s.name: call for s in workloads if (call := call_of(s, scope)) is not None}
        samples[scope] = interleaved(calls, sampling, device, _prefixed(f"{scope}, ", report))
    after = machine_state(device)
    report("matrix-product rate and multiply-adds")
    # what follows disturbs clocks and caches, so it comes after the timing
    rates = {p: matmul_rate(device, p) for p in {_precision(s) for s in workloads}}
    return [
        {
            **record_head("fps", workload.name),
            "protocol": protocol(workload, device, sampling, workloads),
            **_timed(workload, samples, rates[_precision(workload)]),
            "memory": memory_of(workload, scopes, device) if len(workloads) == 1 else None,
            "ratios": ratios(workload.name, samples),
            "parameters": workload.parameters()[0],
            "environment": {
                **environment(with_diff=False),
                "before": before,
                "after": after,
                "drift": drift(before, after, _trends(workload.name, samples)),
            },
        }
        for workload in workloads
    ]


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
    workload: Workload, device: torch.device, sampling: Sampling, together: Sequence[Workload]
) -> dict[str, Any]:
    """Everything that a figure of ``workload`` depends on and that can be chosen."""
    shape = workload.shape
    return {
        "unit": "unique video frames per second",
        "device": device_name(device),
        "device_type": device.type,
        "clip_length": shape.clip_length,
        "batch": shape.batch,
        "height": shape.height,
        "width": shape.width,
        "video_height": shape.video_height,
        "video_width": shape.video_width,
        "video_frames": workload.video_frames,
        "threads": torch.get_num_threads(),
        "warmup": sampling.warmup,
        "min_samples": sampling.min_samples,
        "min_seconds": sampling.min_seconds,
        "clock": "CUDA events" if device.type == "cuda" else "host",
        "interleaved_with": [other.name for other in together if other is not workload],
        **workload.facts,
    }


def scope_figures(samples_ms: list[float], frames: int) -> dict[str, Any]:
    """FPS of ``frames`` a call with its bootstrap interval, the slow tail, and the samples."""
    timing = summarise(samples_ms)
    return {
        "fps": 1e3 * frames / timing.median.value,
        "low": 1e3 * frames / timing.median.high,
        "high": 1e3 * frames / timing.median.low,
        "median_ms": timing.median.value,
        "p90_ms": timing.p90,
        "p99_ms": timing.p99,
        "n": timing.n,
        "frames": frames,
        "samples_ms": samples_ms,
    }


def ratios(name: str, samples: Samples) -> dict[str, dict[str, dict[str, float]]]:
    """How many times as fast as each other workload ``name`` is, by scope, pair by pair."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for scope, by_name in samples.items():
        for other in by_name:
            if other != name and name in by_name:
                ratio = paired_ratio(by_name[other], by_name[name])
                found.setdefault(other, {})[scope] = _as_dict(ratio)
    return found


def out_of_memory_record(
    name: str, clip_length: int, protocol: dict[str, Any], reason: str
) -> dict[str, Any]:
    """The result of a measurement for which memory did not suffice."""
    return {
        **record_head("fps", name),
        "protocol": protocol,
        "figures": None,
        "oom": f"OOM at T={clip_length}",
        "reason": reason,
        "environment": environment(with_diff=False),
    }


def _as_dict(interval: Interval) -> dict[str, float]:
    return {"ratio": interval.value, "low": interval.low, "high": interval.high}


def _precision(workload: Workload) -> str:
    return str(workload.facts.get("precision", "fp32"))


def _timed(workload: Workload, samples: Samples, rate: MatmulRate) -> dict[str, Any]:
    """Scopes, headline figures and the share of the machine's matrix-product rate."""
    scopes = {
        scope: scope_figures(by_name[workload.name], frames_of(workload, scope))
        for scope, by_name in samples.items()
        if workload.name in by_name
    }
    figures = {f"fps_{s}": scopes[s]["fps"] if s in scopes else None for s in SCOPES}
    per_frame, why_not = _multiply_adds(workload)
    for scope in scopes.values():
        achieved = scope["fps"] * per_frame if per_frame is not None else None
        scope["matmul_share"] = achieved / rate.per_second if achieved is not None else None
    share = scopes["model"]["matmul_share"] if "model" in scopes else None
    return {
        "scopes": scopes,
        "figures": {**figures, "matmul_share": share},
        "achieved": {
            "multiply_adds": per_frame,
            "why_not": why_not,
            "matmul_rate": rate.per_second,
            "matmul_size": rate.size,
        },
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
