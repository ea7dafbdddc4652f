"""How much host memory a cell gets that ran out of it before."""

from __future__ import annotations

import re

from core.errors import UserError
from launch.executors.profile import Shape
from launch.records.journal import Journal
from launch.records.run_folder import RunFolder

_OUT_OF_MEMORY = "out of memory"
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def grown_memory(journal: Journal, run: RunFolder, shape: Shape) -> str | None:
    """The memory, such as "48G", if attempts of the run needed more than ``shape`` gives.

    Each attempt that ran out of host memory asks for ``on_out_of_memory.memory`` times what it
    had, up to ``most``; what later attempts end of changes nothing.
    """
    rule, least = shape.on_out_of_memory, shape.memory
    if rule is None or least is None:
        return None
    wanted = 0.0
    for attempt in run.attempts():
        end = attempt.end or {}
        if end.get("cause") == _OUT_OF_MEMORY and end.get("memory") != "gpu":
            wanted = max(wanted, rule.memory * _had(journal, attempt.holder.get("batch"), least))
    wanted = min(wanted, size(rule.most))
    if wanted <= size(least):
        return None
    megabytes = round(wanted / 2**20)
    return f"{megabytes}M" if megabytes % 1024 else f"{megabytes // 1024}G"


def more_memory(journal: Journal, run: RunFolder, shape: Shape) -> str | None:
    """As :func:`grown_memory`, if that is more than the latest attempt had, which ran out of it."""
    attempts = run.attempts()
    if not attempts or (attempts[-1].end or {}).get("cause") != _OUT_OF_MEMORY:
        return None
    now = grown_memory(journal, run, shape)
    had = _had(journal, attempts[-1].holder.get("batch"), shape.memory or "0M")
    return now if now is not None and size(now) > had else None


def size(memory: str) -> float:
    """Bytes, of "32G" and the like, as SLURM reads it."""
    number, unit = re.fullmatch(r"([\d.]+)([KMGT]?)B?", memory.upper()).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit or "M"]


def _had(journal: Journal, batch: object, otherwise: str) -> float:
    try:
        given = journal.read(str(batch)).parameters.get("mem")
    except UserError:
        given = None
    return size(str(given or otherwise))
