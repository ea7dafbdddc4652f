"""Records of training speed as a table for a terminal, with their protocol in the title."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from rich.console import Group
from rich.text import Text

from benchmarks.columns import Columns
from benchmarks.speed.statistics import FEWEST
from benchmarks.tables import (
    NO_GPU,
    doubt_lines,
    matmul_rates,
    memory_cell,
    one_precision,
    precision_below,
    ratio_cell,
    share_cell,
    speed_cell,
)

_Record = dict[str, Any]


def train_table(records: Sequence[_Record]) -> Group:
    """Frames a second of training, a step's parts, memory and share of the matrix-product rate.

    A column a record; below it whatever makes the figures suspect.
    """
    table = Columns(records, precision_below(records))
    row = table.add_figure
    table.add_out_of_memory()
    row("clips x frames a step", lambda r: "{clips} x {clip_length}".format(**r["protocol"]))
    row("frames a second", lambda r: speed_cell(r["scopes"]["step"]))
    first = records[0]["name"]
    if any(first in record.get("ratios", {}) for record in records):
        row("  times the first", lambda r: ratio_cell(r, first, "step"))
    row("a step (ms)", lambda r: f"{r['figures']['step_ms']:.1f}")
    for part in ("data", "forward", "backward", "optimiser"):
        row(f"  {part}", partial(_part, part))
    row("peak memory (MiB)", memory_cell)
    row("of the matmul rate", share_cell)
    return Group(Text(_title(records)), table, Text(_caption(records)))


def _title(records: Sequence[_Record]) -> str:
    known = records[0]["protocol"]
    precision = one_precision(records)
    title = f"Training on {known['device']}: {known['sizes']}{precision}, data {known['data']}"
    return f"{title} ({NO_GPU})" if known["device_type"] == "cpu" else title


def _caption(records: Sequence[_Record]) -> str:
    counts = [scope["n"] for r in records for scope in r.get("scopes", {}).values()]
    lines = []
    if counts:
        few = f"no interval, which needs {FEWEST} steps"
        interval = few if min(counts) < FEWEST else "95% bootstrap interval"
        lines.append(f"median of {min(counts)} steps or more, {interval}")
    return "\n".join([*lines, *matmul_rates(records), *doubt_lines(records)])


def _part(part: str, record: _Record) -> str:
    value = record["parts"][part]["median_ms"]
    return f"{value:.1f} ({value / record['figures']['step_ms']:.0%})"
