"""FPS of configs, each in an isolated process; running out of memory is a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.fps import SCOPES, out_of_memory_record, protocol
from benchmarks.speed.isolated import OutOfMemory, SpeedJob, WorkloadSpec, run_job
from benchmarks.speed.timing import Sampling
from benchmarks.workloads.workload import ClipShape, clip_shape
from core.config.schema import Config

RunJob = Callable[[SpeedJob], list[dict[str, Any]]]


def fps_record(
    config: Config,
    *,
    name: str,
    shape: ClipShape | None = None,
    checkpoint: Path | None = None,
    device: str | None = None,
    sampling: Sampling | None = None,
    scopes: tuple[str, ...] = SCOPES,
    threads: int | None = None,
) -> dict[str, Any]:
    """Measure ``config`` alone in an isolated process.

    Args:
        name: what tables call it.
        shape: of the input; none: the config's own (``clip_shape``).
        checkpoint: weights; none: initial ones.
        device: none: the GPU if there is one, else the CPU.
        sampling: none: 20 samples and 3 seconds a scope, at least.
        threads: of a CPU; none: torch's own choice.

    Returns:
        A record of kind ``fps``; if memory does not suffice its ``figures`` are null and ``oom``
        says at which clip length.
    """
    spec = WorkloadSpec(
        name,
        shape or clip_shape(config),
        config.to_dict(),
        checkpoint=str(checkpoint.resolve()) if checkpoint else None,
    )
    job = SpeedJob(
        "fps", (spec,), device or gpu_or_cpu(), sampling or Sampling(), scopes, threads=threads
    )
    return fps_of_job(job)[0]


def gpu_or_cpu() -> str:
    """The GPU if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def fps_of_job(job: SpeedJob, run: RunJob = run_job) -> list[dict[str, Any]]:
    """Records of a job of kind ``fps``, one a workload, in their order.

    Several workloads take turns in one process for their speed; memory is measured in a process of
    each one's own.  Where they do not fit together each is measured alone.
    """
    try:
        records = run(job)
    except OutOfMemory as error:
        if len(job.workloads) == 1:
            return [_out_of_memory(job, job.workloads[0], str(error))]
        alone = [replace(job, workloads=(spec,)) for spec in job.workloads]
        return [record for one in alone for record in fps_of_job(one, run)]
    if len(job.workloads) > 1:
        for spec, record in zip(job.workloads, records, strict=True):
            record["memory"] = run(replace(job, kind="memory", workloads=(spec,)))[0]
    return records


def _out_of_memory(job: SpeedJob, spec: WorkloadSpec, reason: str) -> dict[str, Any]:
    """The record has the protocol that the figure would have had, so that it can be compared."""
    known = protocol(
        spec.shape,
        torch.device(job.device),
        job.sampling,
        video_frames=spec.video_frames,
        together=[other.name for other in job.workloads if other is not spec],
        facts=spec.facts,
    )
    if job.threads is not None:
        known["threads"] = job.threads
    if job.memory_limit is not None:
        known["memory_limit"] = job.memory_limit
    return out_of_memory_record(spec.name, spec.shape.clip_length, known, reason)
