"""Records of rooflines as a table for a terminal: what each part takes, could take, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.tables import doubt_lines, matmul_rates, precision_below, shape_title, spread

_Record = dict[str, Any]
MOST_OPERATORS = 6
_COLUMNS = ("MAdds\n(G)", "\nMB", "MAdds\na byte", "least\nms", "\nbound by")
TIMES = ("\nms", "\nreached")


def roofline_tables(records: Sequence[_Record]) -> Group:
    """A table a record: parts, the whole, and the kinds of operators that need the most time.

    Everything is a frame's; the protocol stands above, and what makes it suspect below.
    """
    shown: list[RenderableType] = [Text(shape_title("What bounds each part", records))]
    below = precision_below(records)
    for record in records:
        name = ", ".join(filter(None, (record["name"], below(record))))
        shown += [Text(f"\n{name}"), _parts(record), _operators(record)]
        shown.append(Text(_ridge(record)))
    lines = [
        "All a frame. MB: each input and output of an operator once, the least that it moves. "
        "least ms: what its multiply-adds or its bytes need at this machine's rates, whichever "
        "is longer; bound by: most of it. Where little of it is reached, neither bounds.",
        *matmul_rates(records),
        *doubt_lines(records),
    ]
    return Group(*shown, Text("\n".join(["", *lines])))


def _parts(record: _Record) -> Table:
    table = _table("", *_COLUMNS, *TIMES)
    rows = {part.replace("_", " "): values for part, values in record["parts"].items()}
    for part, values in {**rows, "whole model": record["figures"]}.items():
        time = values["ms"]
        took = spread(time, values["low"], values["high"])
        table.add_row(part, *_cells(values), took, f"{values['least_ms'] / time:.0%}")
    return table


def _operators(record: _Record) -> Table:
    """The kinds of operators that need the most time; what they took is not known."""
    table = _table("\nby operator", *_COLUMNS)
    kinds = sorted(record["by_operator"].items(), key=lambda kind: -kind[1]["least_ms"])
    for kind, values in kinds[:MOST_OPERATORS]:
        table.add_row(kind.replace("_", " "), *_cells(values))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None)
    table.add_column(first, no_wrap=True)
    for column in others:
        table.add_column(column, justify="right")
    return table


def _cells(values: _Record) -> list[str]:
    """Of :data:`_COLUMNS`."""
    products, moved, least = values["multiply_adds"], values["bytes"], values["least_ms"]
    return [
        f"{products / 1e9:.3f}",
        f"{moved / 1e6:.1f}",
        f"{products / moved:.1f}" if moved else "",
        f"{least:.3g}",
        bound_by(values["memory_ms"] / least) if least else "",
    ]


def bound_by(memory: float) -> str:
    """What bounds most of the least time, of which ``memory`` bounds that share."""
    return f"memory {memory:.0%}" if memory > 0.5 else f"products {1 - memory:.0%}"


def _ridge(record: _Record) -> str:
    machine = record["machine"]
    width = machine["bandwidth"]
    kind = max(machine["bandwidths"], key=machine["bandwidths"].__getitem__)
    return (
        f"memory: {width / 1e9:.3g} GB a second ({kind}), which bounds what has fewer than "
        f"{machine['matmul_rate'] / width:.1f} multiply-adds a byte"
    )
