"""FPS of configs, each in an isolated process; running out of memory is a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.machine.environment import device_name, environment
from benchmarks.records import record_head
from benchmarks.speed.fps import SCOPES, out_of_memory_record, protocol
from benchmarks.speed.isolated import OutOfMemory, SpeedJob, WorkloadSpec, run_job
from benchmarks.speed.timing import Sampling
from benchmarks.speed.train_speed import train_protocol
from benchmarks.workloads.workload import ClipShape, clip_shape
from core.config.overrides import config_from_dict
from core.config.schema import Config
from core.errors import UserError

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
        "fps", (spec,), find_device(device), sampling or Sampling(), scopes, threads=threads
    )
    return fps_of_job(job)[0]


def train_speed_record(config: Config, *, name: str) -> dict[str, Any]:
    """Measure the training steps of ``config`` alone in an isolated process.

    Returns:
        A record of kind ``train_speed``; its ``figures`` are null if memory does not suffice.
    """
    spec = WorkloadSpec(name, clip_shape(config), config.to_dict())
    return fps_of_job(SpeedJob("train", (spec,), find_device(), Sampling()))[0]


def find_device(name: str | None = None) -> str:
    """The device of that name; none: the GPU if there is one, else the CPU.

    Raises:
        UserError: there is no such device.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return "cuda" if gpus else "cpu"
    kind, colon, index = name.partition(":")
    if name != "cpu" and not (kind == "cuda" and (not colon or index.isdecimal())):
        raise UserError(f"--device {name}: expected cpu, cuda or a GPU by number, such as cuda:1")
    if kind == "cuda" and int(index or 0) >= gpus:
        raise UserError(f"--device {name}: torch sees {gpus or 'no'} GPU{'s' * (gpus > 1)} here")
    return name


def fps_of_job(job: SpeedJob, run: RunJob = run_job) -> list[dict[str, Any]]:
    """Records of a job of kind ``fps`` or ``train``, one a workload, in their order.

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
        kind: Literal["memory", "train_memory"] = "memory" if job.kind == "fps" else "train_memory"
        for spec, record in zip(job.workloads, records, strict=True):
            record["memory"] = run(replace(job, kind=kind, workloads=(spec,)))[0]
    return records


def _out_of_memory(job: SpeedJob, spec: WorkloadSpec, reason: str) -> dict[str, Any]:
    """The record has the protocol that the figure would have had, so that it can be compared."""
    device = torch.device(job.device)
    if job.kind == "train":
        record = _training_out_of_memory(job, spec, reason)
    else:
        known = protocol(spec, job.workloads, device, job.sampling)
        record = out_of_memory_record(spec.name, spec.shape.clip_length, known, reason)
    if job.threads is not None:
        named = device_name(device, job.threads)
        record["protocol"] |= {"threads": job.threads, "device": named}
    if job.memory_limit is not None:
        record["protocol"]["memory_limit"] = job.memory_limit
    return record


def _training_out_of_memory(job: SpeedJob, spec: WorkloadSpec, reason: str) -> dict[str, Any]:
    config, others = config_from_dict(spec.config), [s for s in job.workloads if s is not spec]
    return {
        **record_head("train_speed", spec.name),
        "protocol": train_protocol(
            config,
            torch.device(job.device),
            job.sampling,
            [other.name for other in others],
            spec.mmdet is not None,
        ),
        "figures": None,
        "oom": f"OOM with {config.train.clips} clips",
        "reason": reason,
        "environment": environment(with_diff=False),
    }
