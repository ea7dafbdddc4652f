"""Records of training speed as a table for a terminal, with their protocol in the title."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.tables import NO_GPU, doubt_lines, matmul_rates, spread

_Record = dict[str, Any]


def train_table(records: Sequence[_Record]) -> Group:
    """Frames a second of training, a step's parts, memory and share of the matrix-product rate.

    A column a record; below it whatever makes the figures suspect.
    """
    table = Table(box=None)
    table.add_column("")
    for record in records:
        table.add_column(record["name"], justify="right", overflow="fold")

    def row(label: str, cell: Callable[[_Record], str]) -> None:
        """Empty for a record that ran out of memory."""
        table.add_row(label, *("" if r["figures"] is None else cell(r) for r in records))

    if any(record["figures"] is None for record in records):
        table.add_row("out of memory", *(record.get("oom") or "" for record in records))
    row("clips x frames a step", lambda r: "{clips} x {clip_length}".format(**r["protocol"]))
    row("frames a second", lambda r: _interval(r["scopes"]["step"], "fps"))
    first = records[0]["name"]
    if any(first in record.get("ratios", {}) for record in records):
        row("  times the first", lambda r: _ratio(r, first))
    row("a step (ms)", lambda r: f"{r['figures']['step_ms']:.1f}")
    for part in ("data", "forward", "backward", "optimiser"):
        row(f"  {part}", partial(_part, part))
    row("peak memory (MiB)", _memory)
    row("of the matmul rate", lambda r: f"{r['figures']['matmul_share']:.0%}")
    return Group(Text(_title(records)), table, Text(_caption(records)))


def _title(records: Sequence[_Record]) -> str:
    known = records[0]["protocol"]
    precisions = ", ".join(dict.fromkeys(r["protocol"]["precision"] for r in records))
    title = f"Training on {known['device']}: {known['sizes']}, {precisions}, data {known['data']}"
    return f"{title} ({NO_GPU})" if known["device_type"] == "cpu" else title


def _caption(records: Sequence[_Record]) -> str:
    counts = [scope["n"] for r in records for scope in r.get("scopes", {}).values()]
    lines = [f"median of {min(counts)} steps or more, 95% bootstrap interval"] if counts else []
    return "\n".join([*lines, *matmul_rates(records), *doubt_lines(records)])


def _interval(values: _Record, name: str) -> str:
    return spread(values[name], values["low"], values["high"])


def _part(part: str, record: _Record) -> str:
    value = record["parts"][part]["median_ms"]
    return f"{value:.1f} ({value / record['figures']['step_ms']:.0%})"


def _memory(record: _Record) -> str:
    memory = record["memory"] or {}
    used = memory.get("allocated") or memory.get("host_peak")
    return f"{used / 2**20:.0f}" if used else ""


def _ratio(record: _Record, first: str) -> str:
    if record["name"] == first:
        return "1"
    ratio = record["ratios"].get(first, {}).get("step")
    return spread(ratio["ratio"], ratio["low"], ratio["high"]) if ratio else ""
