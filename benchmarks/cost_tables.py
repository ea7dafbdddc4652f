"""FLOPs and FPS records as tables for a terminal, with their protocol in the title."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

Record = dict[str, Any]
NO_GPU = "measured on a CPU"


def flops_table(records: Sequence[Record]) -> Table:
    """Parameters and multiply-adds a frame, in total and by part, a column a record."""
    table = Table(title="Multiply-adds (G) a frame; FLOPs are twice as many", box=None)
    table.add_column("")
    for record in records:
        protocol = record["protocol"]
        shape = f"{protocol['width']}x{protocol['height']}, T={protocol['clip_length']}"
        table.add_column(f"{record['name']}\n{shape}", justify="right", overflow="fold")
    parts = list(dict.fromkeys(part for record in records for part in record["by_module"]))
    _row(table, "parameters (M)", records, lambda r: f"{r['figures']['parameters'] / 1e6:.2f}")
    _row(table, "total", records, lambda r: f"{r['figures']['total'] / 1e9:.3f}")
    for part in parts:
        _row(table, f"  {part}", records, lambda r, p=part: _giga(r["by_module"].get(p)))
    for counter in records[0]["by_counter"]:
        label = f"by {counter}"
        _row(table, label, records, lambda r, c=counter: f"{r['by_counter'][c] / 1e9:.3f}")
    return table


def _row(table: Table, label: str, records: Sequence[Record], cell: Callable[..., str]) -> None:
    table.add_row(label, *(cell(record) for record in records))


def fps_table(records: Sequence[Record]) -> Table:
    """Speed in each scope, memory and share of the matrix-product rate, a row a record."""
    table = Table(title=_fps_title(records), caption=_fps_caption(records), box=None)
    table.add_column("", no_wrap=True)
    for name in ("Params\nM", "MAdds\nG/frame", "FPS\nmodel", "FPS\n+masks", "FPS\nfiles-RLE"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("p99\nms/call", "mem\nMiB", "of\nmatmul"):
        table.add_column(name, justify="right", no_wrap=True)
    several = len(records) > 1 and any(record.get("ratios") for record in records)
    if several:
        table.add_column("vs\nfirst", justify="right", no_wrap=True)
    for record in records:
        if record["figures"] is None:
            table.add_row(record["name"], "", "", record["oom"])
            continue
        cells = _fps_cells(record)
        if several:
            cells.append(_ratio(record, records[0]["name"]))
        table.add_row(*cells)
    return table


def _fps_title(records: Sequence[Record]) -> str:
    protocol = records[0]["protocol"]
    title = (
        f"Unique video frames a second on {protocol['device']}: "
        f"{protocol['width']}x{protocol['height']}, T={protocol['clip_length']}, "
        f"batch {protocol['batch']}, {protocol.get('precision', 'fp32')}, "
        f"masks at {protocol['video_width']}x{protocol['video_height']}"
    )
    return f"{title} ({NO_GPU})" if protocol["device_type"] == "cpu" else title


def _fps_caption(records: Sequence[Record]) -> str:
    """How many samples, and whatever makes the figures suspect."""
    counts = [scope["n"] for r in records for scope in r.get("scopes", {}).values()]
    lines = []
    if counts:
        lines.append(f"median of {min(counts)} calls or more, 95% bootstrap interval")
    reasons = dict.fromkeys(r for record in records for r in record["environment"].get("drift", []))
    return "\n".join([*lines, *(f"DRIFT: {reason}" for reason in reasons)])


def _fps_cells(record: Record) -> list[str]:
    scopes, figures = record["scopes"], record["figures"]
    memory = record["memory"] or {}
    used = memory.get("allocated") or memory.get("host_peak")
    share = figures["matmul_share"]
    model = scopes.get("model")
    return [
        record["name"],
        f"{record['parameters'] / 1e6:.1f}",
        _giga(record["achieved"]["multiply_adds"]),
        *(_speed(scopes.get(scope)) for scope in ("model", "postprocess", "end_to_end")),
        f"{model['p99_ms']:.1f}" if model else "",
        f"{used / 2**20:.0f}" if used else "",
        f"{share:.0%}" if share is not None else "",
    ]


def _speed(scope: Record | None) -> str:
    return "" if scope is None else _spread(scope["fps"], scope["low"], scope["high"])


def _spread(value: float, low: float, high: float) -> str:
    """A figure and half the width of its interval."""
    return f"{value:.3g} ±{(high - low) / 2:.1g}"


def _ratio(record: Record, first: str) -> str:
    if record["name"] == first:
        return "1"
    ratio = record["ratios"].get(first, {}).get("model")
    return _spread(ratio["ratio"], ratio["low"], ratio["high"]) if ratio else ""


def _giga(value: float | None) -> str:
    return "" if value is None else f"{value / 1e9:.3f}"
