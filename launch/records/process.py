"""What tells one process from every other, on all hosts and over time."""

from __future__ import annotations

import functools
import os
import pwd
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def myself(**facts: Any) -> dict[str, Any]:
    """What tells this process from every other one, with ``facts`` added."""
    return {
        "host": socket.gethostname(),
        "user": _user_name(),
        "uid": os.getuid(),
        "machine": _machine(),
        "pid": os.getpid(),
        "started": _start_time(os.getpid()),
        "time": time.time(),
        **facts,
    }


def _user_name() -> str:
    """By the user's number: the environment (LOGNAME, USER) may say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def busy_now() -> float:
    """Load of this machine in the last minute, for each of its cores."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def is_gone(holder: Mapping[str, Any]) -> bool:
    """Whether ``holder`` is a process of this machine that has ended (else: not known)."""
    if not holder.get("machine") or holder["machine"] != _machine():
        return False
    return _start_time(int(holder["pid"])) != holder.get("started")


@functools.cache
def _machine() -> str | None:
    """One boot of one kernel, and the process numbering in use there; None if not to be had."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return None


def _start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None if it is gone (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
