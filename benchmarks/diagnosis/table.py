"""A diagnosis as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.ap.bootstrap import Bootstrap, paired_difference
from benchmarks.ap.table import MEANINGS, percent, signed_percent
from benchmarks.diagnosis.diagnosis import Diagnosis

TITLES = {
    "AP": "average precision",
    "tracking": "tracking",
    "errors": "AP lost to",
    "length": "by length in frames",
    "speed": "by speed, in sizes a frame",
    "occlusion": "by degree of occlusion",
    "instances": "by instances in the video",
}
OF = {
    **MEANINGS,
    "HOTA": "detection and association, mean over IoU 0.05 to 0.95",
    "DetA": "its part for detection",
    "AssA": "its part for association",
    "LocA": "mean IoU of matched masks",
    "IDF1": "masks under the right identity, IoU 0.5",
    "IDSW": "identity switches, a count",
    "class": "tracks in place, of the wrong class",
    "mask": "tracks of instances with wrong masks",
    "identity": "tracks that jump, or parts of one instance",
    "frames": "frames missing, or too many",
    "duplicate": "tracks of what another has found",
    "background": "tracks of nothing",
    "both": "wrong class and out of place",
    "missed": "instances without a track",
}


def print_diagnosis(
    diagnosis: Diagnosis, console: Console, other: Diagnosis | None = None, name: str = ""
) -> None:
    """Print every block in percent, with intervals where there are resamples.

    Args:
        diagnosis: what to print.
        console: where to.
        other: of other results for the same videos, to compare with.
        name: what the other results are called.
    """
    for block, drawn in diagnosis.blocks.items():
        against = None if other is None else other.blocks[block]
        console.print(TITLES.get(block, f"by {block}"))
        console.print(_block(drawn, diagnosis.about.get(block, OF), against))
    if other is not None:
        console.print(f"Differences are to {name}, over the same draws of videos.", soft_wrap=True)
        console.print("An interval that holds 0: other videos may turn the order round.")


def _block(drawn: Bootstrap, about: Mapping[str, str], other: Bootstrap | None) -> Table:
    level = f"{drawn.level:.0%} interval"
    resampled = any(len(values) for values in drawn.samples.values())
    table = Table("figure", "of")
    for head in ["%", *([level] if resampled else []), *(["its %", "difference"] if other else [])]:
        table.add_column(head, justify="right")
    if other and resampled:
        table.add_column(level, justify="right")
    for figure in drawn.figures:
        table.add_row(figure, about.get(figure, ""), *_cells(drawn, figure, other, resampled))
    return table


def _cells(drawn: Bootstrap, figure: str, other: Bootstrap | None, resampled: bool) -> list[str]:
    shown, signed = (_count, _signed_count) if figure in drawn.counts else (percent, signed_percent)
    value, interval = drawn.figures[figure], drawn.intervals[figure]
    cells = [shown(value)]
    if resampled:
        cells.append(f"{shown(interval.low)} to {shown(interval.high)}" if interval else "-")
    if other is None:
        return cells
    before, change = other.figures[figure], paired_difference(other, drawn, figure)
    cells += [shown(before), "-" if None in (value, before) else signed(_gap(value, before))]
    if resampled:
        cells.append(f"{signed(change.low)} to {signed(change.high)}" if change else "-")
    return cells


def _gap(value: float | None, before: float | None) -> float:
    return (value or 0.0) - (before or 0.0)


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _signed_count(value: float) -> str:
    return f"{value:+.0f}"
