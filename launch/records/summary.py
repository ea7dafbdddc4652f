"""A run in four numbers, for tables of thousands of runs."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from core.files import write_atomic
from launch.records import lease
from launch.records.run_folder import RunFolder
from launch.records.shapes import LineFile, RecordFile, misfit

_TAIL_BYTES = 4096


def summary(run: RunFolder) -> dict[str, Any]:
    """Step, steps, loss and seconds left by the metric history, and AP once it is measured.

    Complete runs carry it in ``done.json``, so that a status need not read their records.
    """
    line = last_line(run)
    found = {name: line.get(name) for name in ("step", "steps", "loss", "seconds_left")}
    return {**found, "ap": recorded_ap(run)}


def last_line(run: RunFolder) -> dict[str, Any]:
    """The latest whole line of the metric history; empty if there is none."""
    try:
        with open(f"{run.path}/history.jsonl", "rb") as stream:  # noqa: PTH123 (10,000 files)
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            lines = stream.read().splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue  # half of a line: being written, or cut by where reading began
        if misfit(value, LineFile) is None:
            found: dict[str, Any] = value
            return found
    return {}


def tidy_history(run: RunFolder) -> None:
    """Bring the steps into order, each once.

    While a lost copy of a cell did not know yet that it was replaced, both wrote.
    """
    lines = list(run.history_lines())
    steps = [line["step"] for line in lines]
    if all(a < b for a, b in pairwise(steps)):
        return
    latest = {line["step"]: line for line in lines}
    text = "".join(json.dumps(latest[step]) + "\n" for step in sorted(latest))
    write_atomic(run.history, text)


def recorded_ap(run: RunFolder) -> float | None:
    """AP as a fraction, or None."""
    record = lease.read_dict(f"{run.path}/results/ap.json", RecordFile) or {}
    value = (record.get("figures") or {}).get("AP")
    return float(value) if isinstance(value, int | float) else None
