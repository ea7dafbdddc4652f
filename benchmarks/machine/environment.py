"""What a figure was measured on: packages, host, devices, and the code's own version.

Facts that do not change while a process runs are here; clocks, temperatures and other processes
are in :mod:`benchmarks.machine.state`.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine.code import code_identity, git_provenance, run_text
from benchmarks.machine.cores import cpu_quota, usable_cores
from benchmarks.machine.proc import values_of

_PACKAGES = (
    "tevit-ablations",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "fvcore",
    "pycocotools",
    "pillow",
    "submitit",
    "mmdet",
    "mmcv-full",
)


def environment(*, with_diff: bool = True) -> dict[str, Any]:
    """Everything about this process and machine that a record has to name (JSON types).

    Args:
        with_diff: keep the text of uncommitted changes; records of figures keep its hash alone.

    Keys: ``python``, ``platform``, ``host``, ``packages`` (name to version), ``cpu`` (model,
    cores this process may use, a container's quota of them), ``threads``, ``gpus``, ``driver``,
    ``cuda``, ``cudnn``, ``float32_matmul_precision``, ``code``, ``git``.
    """
    git = git_provenance()
    if not with_diff:
        git = {key: value for key, value in git.items() if key not in ("diff", "untracked")}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "packages": package_versions(),
        "cpu": {"model": cpu_model(), "cores": usable_cores(), "quota": cpu_quota()},
        "threads": {
            "intra_op": torch.get_num_threads(),
            "inter_op": torch.get_num_interop_threads(),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        },
        "gpus": gpus(),
        "driver": driver_version(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "code": code_identity(),
        "git": git,
    }


def package_versions() -> dict[str, str]:
    """Version of every package that a figure may depend on and that is installed."""
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name."""
    names = values_of(cpuinfo, "model name")
    return names[0] if names else platform.processor() or platform.machine()


def gpus() -> list[dict[str, Any]]:
    """Name, memory in bytes and compute capability of each visible CUDA device."""
    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            {
                "name": properties.name,
                "memory": properties.total_memory,
                "capability": f"{properties.major}.{properties.minor}",
            }
        )
    return found


def driver_version() -> str | None:
    """Version of the NVIDIA driver, or none."""
    text = run_text(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    return text.splitlines()[0].strip() if text else None


def device_name(device: torch.device, threads: int | None = None) -> str:
    """``device`` in the words of a table: the GPU's name, or ``CPU`` with model, threads, quota.

    Args:
        threads: of a CPU; none: this process's.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    quota = cpu_quota()
    limit = "" if quota is None else f", limited to {quota:g} cores"
    return f"CPU ({cpu_model()}, {threads or torch.get_num_threads()} threads{limit})"


def command_line() -> str:
    """The command that made a record, with the program's path reduced to its name."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
