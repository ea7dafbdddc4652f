"""AP as tables on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.ap import ApResult
from benchmarks.ap_bootstrap import Bootstrap, Interval

MEANINGS = {
    "AP": "mean over IoU 0.50 to 0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "APs": "small: up to 128\u00b2 pixels",
    "APm": "medium: 128\u00b2 to 256\u00b2 pixels",
    "APl": "large: from 256\u00b2 pixels",
    "AR1": "1 track a video and class",
    "AR10": "10 tracks",
    "AR100": "100 tracks",
    "ARs": "small, 100 tracks",
    "ARm": "medium, 100 tracks",
    "ARl": "large, 100 tracks",
}


def print_ap(result: ApResult, bootstrap: Bootstrap | None, console: Console) -> None:
    """Print the twelve figures, in percent, and the AP by class."""
    console.print(
        f"{result.videos} videos, {result.instances} annotated instances, "
        f"{result.tracks} predicted tracks"
    )
    console.print(_figures(result, bootstrap))
    console.print(_classes(result))


def _figures(result: ApResult, bootstrap: Bootstrap | None) -> Table:
    table = Table("figure", "of")
    table.add_column("%", justify="right")
    if bootstrap is not None:
        table.add_column(f"{bootstrap.level:.0%} interval", justify="right")
        table.add_column("std", justify="right")
    for name, value in result.figures.items():
        table.add_row(name, MEANINGS[name], percent(value), *_spread(name, bootstrap))
    return table


def _classes(result: ApResult) -> Table:
    table = Table("class")
    table.add_column("AP %", justify="right")
    for name, value in result.per_class.items():
        table.add_row(name, percent(value))
    return table


def _spread(name: str, bootstrap: Bootstrap | None) -> list[str]:
    if bootstrap is None:
        return []
    interval: Interval | None = bootstrap.intervals[name]
    if interval is None:
        return ["-", "-"]
    return [f"{percent(interval.low)} to {percent(interval.high)}", percent(interval.std)]


def percent(value: float | None) -> str:
    """``12.34`` of 0.1234; ``-`` where the figure is absent."""
    return "-" if value is None else f"{100 * value:.2f}"
