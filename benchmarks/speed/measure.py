"""FPS of configs, each in an isolated process; running out of memory is a result."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.machine.environment import device_name, environment
from benchmarks.records import record_head
from benchmarks.speed.fps import protocol
from benchmarks.speed.isolated import OutOfMemory, SpeedJob, run_job
from benchmarks.speed.train_speed import train_protocol
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import clip_shape
from core.config.overrides import config_from_dict
from core.config.schema import Config
from core.errors import UserError

RunJob = Callable[[SpeedJob], list[dict[str, Any]]]


def speed_record(
    config: Config, *, kind: Literal["fps", "train"], name: str, checkpoint: Path | None = None
) -> dict[str, Any]:
    """Measure ``config``, or its training steps, alone in an isolated process, at its own shape.

    Args:
        name: what tables call it.
        checkpoint: weights; none: initial ones.

    Returns:
        A record of kind ``fps`` or ``train_speed``; if memory does not suffice its ``figures`` are
        null and ``oom`` says at which size.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the GPU's memory is for the process that measures
    weights = str(checkpoint.resolve()) if checkpoint else None
    spec = WorkloadSpec(name, clip_shape(config), config.to_dict(), checkpoint=weights)
    return fps_of_job(SpeedJob(kind, (spec,), find_device()))[0]


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
        config = config_from_dict(spec.config)
        others = [other.name for other in job.workloads if other is not spec]
        known = train_protocol(config, device, job.sampling, others, spec.mmdet is not None)
        kind, size = "train_speed", f"with {config.train.clips} clips"
    else:
        known = protocol(spec, job.workloads, device, job.sampling)
        kind, size = "fps", f"at T={spec.shape.clip_length}"
    if job.threads is not None:
        known |= {"threads": job.threads, "device": device_name(device, job.threads)}
    if job.memory_limit is not None:
        known["memory_limit"] = job.memory_limit
    return {
        **record_head(kind, spec.name),
        "protocol": known,
        "figures": None,
        "oom": f"OOM {size}",
        "reason": reason,
        "environment": environment(with_diff=False),
    }
