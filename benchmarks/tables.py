"""FLOPs and FPS records as tables for a terminal, with their protocol in the title."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from benchmarks.columns import Columns
from benchmarks.speed.statistics import FEWEST, samples_for_quantile

_Record = dict[str, Any]
NO_GPU = "measured on a CPU"
WIDE, UNEVEN = 0.25, 1.5


def flops_table(records: Sequence[_Record]) -> Group:
    """Parameters and multiply-adds a frame, in total and by part, a column a record."""
    table = Columns(records, _shape)
    table.add("parameters (M)", lambda r: f"{r['figures']['parameters'] / 1e6:.2f}")
    table.add("total", lambda r: f"{r['figures']['total'] / 1e9:.3f}")
    for part in dict.fromkeys(part for record in records for part in record["by_module"]):
        table.add(f"  {part}", lambda r, p=part: _giga(r["by_module"].get(p)))
    if any("products" in record["figures"] for record in records):
        table.add("products outside, at most", lambda r: _giga(r["figures"].get("products")))
    for counter in records[0]["by_counter"]:
        table.add(f"by {counter}", lambda r, c=counter: f"{r['by_counter'][c] / 1e9:.3f}")
    return Group(Text("Multiply-adds (G) a frame; FLOPs are twice as many"), table)


def _shape(record: _Record) -> str:
    protocol = record["protocol"]
    return f"{protocol['width']}x{protocol['height']}, T={protocol['clip_length']}"


SCOPE_LABELS = {
    "model": "FPS, model",
    "postprocess": "FPS, with masks",
    "end_to_end": "FPS, files to RLE",
}


def fps_table(records: Sequence[_Record]) -> Group:
    """Speed in each scope, memory and share of the matrix-product rate, a column a record.

    The protocol stands above it, and below it whatever makes the figures suspect.
    """
    table = Columns(records, precision_below(records))
    row = table.add_figure
    row("parameters (M)", lambda r: f"{r['parameters'] / 1e6:.2f}")
    row("multiply-adds (G) a frame", lambda r: _giga(r["achieved"]["multiply_adds"]))
    table.add_out_of_memory()
    first = records[0]["name"]
    compared = any(first in record.get("ratios", {}) for record in records)
    timed = {scope for record in records for scope in record.get("scopes", {})}
    for scope, label in SCOPE_LABELS.items():
        if scope not in timed:
            continue
        row(label, lambda r, s=scope: speed_cell(r["scopes"].get(s)))
        if compared:
            row("  times the first", lambda r, s=scope: ratio_cell(r, first, s))
    if any(_p99(record) for record in records if record["figures"] is not None):
        row("p99 of a call (ms)", _p99)
    row("peak memory (MiB)", memory_cell)
    if any(_joules(record) for record in records):
        row("joules a frame", _joules)
        row("  idle (W)", lambda r: f"{r['energy']['idle_watts']:.0f}" if _joules(r) else "")
    row("of the matmul rate", share_cell)
    return Group(Text(_fps_title(records)), table, Text(_fps_caption(records)))


def _precision(record: _Record) -> str:
    return str(record["protocol"].get("precision", "fp32"))


def precision_below(records: Sequence[_Record]) -> Callable[[_Record], str | None]:
    """What stands below a record's name: its precision, where that is not every record's."""
    one = one_precision(records)
    return lambda record: None if one else _precision(record)


def one_precision(records: Sequence[_Record]) -> str:
    """The precision for a title, after a comma; nothing where the records have several."""
    precisions = {_precision(record) for record in records}
    return f", {precisions.pop()}" if len(precisions) == 1 else ""


def _fps_title(records: Sequence[_Record]) -> str:
    protocol = records[0]["protocol"]
    masks = f", masks at {protocol['video_width']}x{protocol['video_height']}"
    return shape_title("Unique video frames a second", records, masks)


def shape_title(what: str, records: Sequence[_Record], further: str = "") -> str:
    """``what`` was measured on which device, at which shape and, if it is one, which precision."""
    protocol = records[0]["protocol"]
    title = (
        f"{what} on {protocol['device']}: {protocol['width']}x{protocol['height']}, "
        f"T={protocol['clip_length']}, batch {protocol['batch']}"
        f"{one_precision(records)}{further}"
    )
    return f"{title} ({NO_GPU})" if protocol["device_type"] == "cpu" else title


def _fps_caption(records: Sequence[_Record]) -> str:
    """How many samples, and what makes which figures suspect."""
    counts = [scope["n"] for r in records for scope in r.get("scopes", {}).values()]
    lines = []
    if counts:
        lines.append(f"median of {min(counts)} calls or more{_what_is_missing(min(counts))}")
    lines += matmul_rates(records)
    why_not = dict.fromkeys((r.get("energy") or {}).get("why_not") for r in records)
    lines += [f"energy: not measurable here: {reason}" for reason in why_not if reason]
    return "\n".join([*lines, *doubt_lines(records)])


def doubt_lines(records: Sequence[_Record]) -> list[str]:
    """A line for each reason that makes the figures of a record suspect."""
    several = len(records) > 1
    return [
        f"DRIFT: {record['name']}: {reason}" if several else f"DRIFT: {reason}"
        for record in records
        for reason in record["environment"].get("drift", [])
    ]


def matmul_rates(records: Sequence[_Record]) -> list[str]:
    """What this machine's matrix products reach, and by which library, a line a precision."""
    found = {}
    for record in records:
        achieved = record.get("machine") or record.get("achieved") or {}
        if "matmul_library" in achieved:
            rate, library = achieved["matmul_rate"] / 1e9, achieved["matmul_library"]
            found[_precision(record)] = f"matmul rate: {rate:.3g} G a second by {library}"
    several = len(found) > 1
    return [f"{line}, {precision}" if several else line for precision, line in found.items()]


def _what_is_missing(calls: int) -> str:
    if calls < FEWEST:
        return f"; no interval, which needs {FEWEST} calls, and no p99"
    needed = samples_for_quantile(0.99)
    tail = f"; no p99, which needs {needed} calls" if calls < needed else ""
    return f", 95% bootstrap interval{tail}"


def _p99(record: _Record) -> str:
    model = record["scopes"].get("model")
    return f"{model['p99_ms']:.1f}" if model and model["p99_ms"] is not None else ""


def memory_cell(record: _Record) -> str:
    """Peak in MiB: what a GPU's allocator gave, or what the process held."""
    memory = record["memory"] or {}
    used = memory.get("allocated") or memory.get("host_peak")
    return f"{used / 2**20:.0f}" if used else ""


def _joules(record: _Record) -> str:
    joules = (record.get("energy") or {}).get("joules_per_frame")
    return "" if joules is None else f"{joules:.3g}"


def share_cell(record: _Record) -> str:
    """Of the matrix-product rate."""
    share = record["figures"]["matmul_share"]
    return f"{share:.0%}" if share is not None else ""


def speed_cell(scope: _Record | None) -> str:
    """Frames a second and the interval."""
    return "" if scope is None else spread(scope["fps"], scope["low"], scope["high"])


def spread(value: float, low: float | None, high: float | None) -> str:
    """A figure and its interval: half its width, or both ends where they lie unevenly or far off.

    Example:
        >>> spread(50, 49, 51), spread(0.932, 0.59, 2.82), spread(43, None, None)
        ('50 ±1', '0.932 (0.59 to 2.82)', '43')
    """
    if low is None or high is None:
        return f"{value:.3g}"
    half = (high - low) / 2
    if half > WIDE * value or max(high - value, value - low) > UNEVEN * half:
        return f"{value:.3g} ({low:.3g} to {high:.3g})"
    return f"{value:.3g} ±{half:.1g}"


def ratio_cell(record: _Record, first: str, scope: str) -> str:
    """How many times as fast as the record of that name, and the interval."""
    if record["name"] == first:
        return "1" if scope in record["scopes"] else ""
    ratio = record["ratios"].get(first, {}).get(scope)
    return spread(ratio["ratio"], ratio["low"], ratio["high"]) if ratio else ""


def _giga(value: float | None) -> str:
    return "" if value is None else f"{value / 1e9:.3f}"
