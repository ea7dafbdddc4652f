"""How much of the processor this process may use: cores, and a container's quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores that this process may run on, which under a scheduler are fewer than the host's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> float | None:
    """Cores' worth of time that the control group (a container) grants; None: no limit.

    Every group above the process's own may set a limit; the tightest one counts.
    """
    limits = [limit for folder in _groups(cgroups, own) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _groups(cgroups: Path, own: Path) -> Iterator[Path]:
    """Folders of the groups that hold this process, of both versions of control groups."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in (*lines, "0::/", "1:cpu:/"):  # a container may see its own group as the root
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / "cpu" if controllers else cgroups
        group = root / path.strip("/")
        yield group
        yield from (parent for parent in group.parents if parent.is_relative_to(root))


def _limit(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # absent, or "max"
        return None
