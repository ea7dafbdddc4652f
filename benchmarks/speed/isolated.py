"""Measurements in a process of their own: nothing that ran before can touch them.

The parent writes a job as JSON, ``python -m benchmarks.speed.isolated`` does it and writes what
came of it.  A process that the kernel ends for want of memory is a result like any other.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.flops.record import workload_record
from benchmarks.machine.code import environment_of_this_code
from benchmarks.machine.memory import OUT_OF_MEMORY, is_out_of_memory, limit_memory
from benchmarks.speed.fps import SCOPES, measure, memory_of
from benchmarks.speed.matmul_rate import Backends
from benchmarks.speed.roofline import measure_rooflines
from benchmarks.speed.timing import Sampling, unheard
from benchmarks.speed.train_speed import measure_training, training_memory
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape
from core.config.overrides import config_from_dict
from core.errors import UserError
from core.files import write_json
from core.memory import keep_freed_memory

PROGRESS = "progress: "
"""Begins a line on standard output that says how far the process is."""


class OutOfMemory(UserError):
    """Memory did not suffice for a job, which some take for a result; the message says of what."""


@dataclass(frozen=True)
class SpeedJob:
    """What an isolated process does.

    Attributes:
        kind: ``fps``, ``train``, ``flops`` and ``roofline`` make records, ``memory`` and
            ``train_memory`` the part of a record that tells of memory; ``fits`` only runs each
            workload once.
        threads: of a CPU; none: torch's own choice.
        memory_limit: bytes that the process may use; none: all there is.
    """

    kind: Literal["fps", "train", "flops", "memory", "train_memory", "fits", "roofline"]
    workloads: tuple[WorkloadSpec, ...]
    device: str = "cpu"
    sampling: Sampling = field(default_factory=Sampling)
    scopes: tuple[str, ...] = SCOPES
    threads: int | None = None
    memory_limit: int | None = None
    backends: Backends = field(default_factory=Backends)


def run_job(job: SpeedJob, report: Callable[[str], None] = unheard) -> list[dict[str, Any]]:
    """Do ``job`` in an isolated process and return its records.

    Args:
        report: told how far the process is.

    Raises:
        OutOfMemory: memory did not suffice.
        UserError: the job is at fault; the message is the process's own.
        RuntimeError: the process failed otherwise; its last lines are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="tevit-job-") as folder:
        paths = Path(folder) / "job.json", Path(folder) / "result.json"
        paths[0].write_text(json.dumps(asdict(job)))
        # -P: modules of the folder that the user stands in do not stand in for ours
        command = [sys.executable, "-P", "-m", "benchmarks.speed.isolated", *map(str, paths)]
        status, errors = _follow(command, Path(folder) / "stderr.txt", report)
        result = json.loads(paths[1].read_text()) if paths[1].exists() else {}
    if "records" in result:
        records: list[dict[str, Any]] = result["records"]
        return records
    if "oom" in result:
        raise OutOfMemory(result["oom"])
    if status == -signal.SIGKILL:
        raise OutOfMemory("the process was killed, as the kernel does when memory runs out")
    if "user_error" in result:
        raise UserError(result["user_error"])
    # near the limit also Python's own small allocations fail, in any place, and not always with
    # a MemoryError
    short = job.memory_limit is not None and "without setting an exception" in errors
    if short or OUT_OF_MEMORY.search(errors):
        raise OutOfMemory("the process broke off for want of memory")
    tail = "\n".join(errors.splitlines()[-15:])
    raise RuntimeError(f"the measuring process failed (status {status}):\n{tail}")


def _follow(command: list[str], stderr: Path, report: Callable[[str], None]) -> tuple[int, str]:
    """Run ``command`` and hand on its word of how far it is; its status and standard error."""
    with (
        stderr.open("w+", errors="replace") as errors,
        subprocess.Popen(
            command,
            env=environment_of_this_code(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(PROGRESS):
                    report(line.removeprefix(PROGRESS).rstrip())
        except BaseException:
            process.kill()  # it would measure on for nobody
            raise
        process.wait()
        errors.seek(0)
        return process.returncode, errors.read()


def _tell(line: str) -> None:
    print(f"{PROGRESS}{line}", flush=True)


def job_from_dict(data: Mapping[str, Any]) -> SpeedJob:
    """The inverse of ``dataclasses.asdict``."""
    workloads = tuple(
        WorkloadSpec(**{**spec, "shape": ClipShape(**spec["shape"])}) for spec in data["workloads"]
    )
    parts = {
        "sampling": Sampling(**data["sampling"]),
        "scopes": tuple(data["scopes"]),
        "backends": Backends(**data["backends"]),
    }
    return SpeedJob(**{**data, "workloads": workloads, **parts})


def do_job(job: SpeedJob, report: Callable[[str], None] = unheard) -> list[dict[str, Any]]:
    """Do ``job`` in this process and return its records; ``fits`` has none."""
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    device = torch.device(job.device)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # whose streams the clock's events are recorded on
    if job.memory_limit is not None:
        limit_memory(device, job.memory_limit)
    job.backends.set()
    if job.kind in ("train", "train_memory"):
        return _do_training(job, report)
    workloads = [spec.build(device) for spec in job.workloads]
    if job.kind == "flops":
        return [workload_record(workload) for workload in workloads]
    if job.kind == "fps":
        return measure(workloads, device, job.sampling, job.scopes, report)
    if job.kind == "roofline":
        return measure_rooflines(workloads, device, job.sampling, report)
    if job.kind == "memory":
        return [memory_of(workload, job.scopes, device) for workload in workloads]
    for workload in workloads:
        workload.segment()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return []


def _do_training(job: SpeedJob, report: Callable[[str], None]) -> list[dict[str, Any]]:
    configs = {spec.name: config_from_dict(spec.config) for spec in job.workloads}
    mmdet = {spec.name: Path(spec.mmdet) for spec in job.workloads if spec.mmdet is not None}
    if job.kind == "train_memory":
        return [training_memory(config, mmdet.get(name)) for name, config in configs.items()]
    return measure_training(configs, job.sampling, report, mmdet)


def main(job_path: Path, result_path: Path) -> None:
    """What the isolated process runs: every outcome but a bug becomes a result."""
    keep_freed_memory()
    result: dict[str, Any]
    try:
        result = {"records": do_job(job_from_dict(json.loads(job_path.read_text())), _tell)}
    except UserError as error:
        result = {"user_error": str(error)}
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        first_line = str(error).partition("\n")[0]
        result = {"oom": f"{type(error).__name__}: {first_line}".rstrip(": ")}
    write_json(result_path, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
