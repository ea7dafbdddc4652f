"""What a figure was measured on: packages, host, devices, and the code's own version.

Facts that do not change while a process runs are here; clocks, temperatures and other processes
are in :mod:`benchmarks.machine.state`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine.cores import cpu_quota, usable_cores

PACKAGES = (
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
LARGEST_DIFF = 1_000_000


def environment(*, with_diff: bool = True) -> dict[str, Any]:
    """Everything about this process and machine that a record has to name (JSON types).

    Args:
        with_diff: keep the text of uncommitted changes; records of figures keep its hash alone.

    Keys: ``python``, ``platform``, ``host``, ``packages`` (name to version), ``cpu`` (model,
    cores this process may use, a container's quota of them), ``threads``, ``gpus``, ``driver``,
    ``cuda``, ``cudnn``, ``float32_matmul_precision``, ``git``.
    """
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
        "cudnn": cudnn_version(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "git": git_provenance() if with_diff else _without_diff(git_provenance()),
    }


def package_versions() -> dict[str, str]:
    """Version of every package in :data:`PACKAGES` that is installed."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name."""
    try:
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


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


def cudnn_version() -> int | None:
    """Version of cuDNN where it would be used."""
    if not torch.cuda.is_available():
        return None
    return torch.backends.cudnn.version()


def device_name(device: torch.device) -> str:
    """``device`` in the words of a table: the GPU's name, or ``CPU`` with model, threads, quota."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    quota = cpu_quota()
    limit = "" if quota is None else f", limited to {quota:g} cores"
    return f"CPU ({cpu_model()}, {torch.get_num_threads()} threads{limit})"


def git_provenance(folder: Path | None = None) -> dict[str, Any]:
    """Commit and uncommitted changes of the code, so that a run can be repeated.

    Args:
        folder: any folder of the checkout; none: the one that this file lies in.

    Returns:
        ``commit`` (None outside a checkout), ``branch``, ``dirty`` (None: not known), ``diff``
        (tracked files against the commit; cut after :data:`LARGEST_DIFF` characters),
        ``diff_sha256`` (of the whole diff) and ``untracked`` (names only).
    """
    git = ["git", "-C", str(folder or Path(__file__).resolve().parent)]
    commit = run_text([*git, "rev-parse", "HEAD"])
    if not commit:
        return {"commit": None, "branch": None, "dirty": None, "diff": None, "untracked": []}
    top = run_text([*git, "rev-parse", "--show-toplevel"]) or "."
    git = ["git", "-C", top.strip()]
    answer = run_text([*git, "diff", "HEAD", "--no-color", "--no-ext-diff"])
    diff = answer or ""
    untracked = run_text([*git, "ls-files", "--others", "--exclude-standard"]) or ""
    return {
        "commit": commit.strip(),
        "branch": (run_text([*git, "rev-parse", "--abbrev-ref", "HEAD"]) or "").strip(),
        "dirty": None if answer is None else bool(diff),
        "diff": diff[:LARGEST_DIFF],
        "diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else None,
        "untracked": untracked.splitlines(),
    }


def _without_diff(provenance: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key not in ("diff", "untracked")}


def run_text(command: list[str], timeout: float = 20.0) -> str | None:
    """Standard output of ``command``; None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def command_line() -> str:
    """The command that made a record, with the program's path reduced to its name."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
