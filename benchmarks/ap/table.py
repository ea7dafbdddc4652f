"""AP as tables on a terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.ap.bootstrap import Bootstrap, Interval, paired_difference
from benchmarks.ap.evaluate import ApResult

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
_IN_IMAGES = {
    "track": "detection",
    "a video": "an image",
    "video": "image",
    "128": "32",
    "256": "96",
}
"""What a table says of videos, and what of images, whose areas are pycocotools'."""


def print_ap(result: ApResult, bootstrap: Bootstrap | None, console: Console) -> None:
    """Print the twelve figures, in percent, and AP and AR100 by class."""
    text = (
        f"{result.videos} videos, {result.instances} annotated instances, "
        f"{result.tracks} predicted tracks"
    )
    console.print(_told(text, result))
    console.print(_figures(result, bootstrap))
    console.print(_classes(result))


def unpredicted(result: ApResult) -> str | None:
    """What to say where most videos have no prediction; none: most have."""
    without = result.videos - len(np.unique(result.matches.video))
    if 2 * without <= result.videos:
        return None
    text = f"{without} of {result.videos} videos have no prediction: all of theirs is missed."
    return _told(text, result)


def unpredicted_note(result: ApResult, results: Path, split: Path | None) -> str | None:
    """The same of a file of results, with what may be the cause.

    Args:
        results: the file that was scored; in a run folder its split lies beside it.
        split: whose held-out videos were scored; none: the whole file.
    """
    text = unpredicted(result)
    if text is None or split is not None:
        return text
    recorded = results.with_name("split.json")
    if recorded.is_file():
        return f"{text} To score the held-out videos alone: --split {recorded}"
    return f"{text} If predictions are of a held-out part, name it: --split"


def print_difference(result: Bootstrap, other: Bootstrap, name: str, console: Console) -> None:
    """Print how far each figure is from other results', with the interval over shared draws.

    Args:
        result: of the results that were scored.
        other: of those to compare with, drawn alike.
        name: what to call the other results.
        console: where to.
    """
    table = Table("figure")
    for heading in ("its %", "difference", f"{result.level:.0%} interval"):
        table.add_column(heading, justify="right")
    for figure, value in result.figures.items():
        before, interval = other.figures[figure], paired_difference(other, result, figure)
        if value is None or before is None or interval is None:
            table.add_row(figure, percent(before), "-", "-")
            continue
        low, high = signed_percent(interval.low), signed_percent(interval.high)
        table.add_row(figure, percent(before), signed_percent(value - before), f"{low} to {high}")
    console.print(f"difference to {name}", soft_wrap=True)
    console.print(table)
    console.print("An interval that holds 0: other videos of this kind may turn the order round.")


def _told(text: str, result: ApResult) -> str:
    """A text about videos as it is, or about images."""
    for word, other in _IN_IMAGES.items() if result.box_figures else ():
        text = text.replace(word, other)
    return text


def _figures(result: ApResult, bootstrap: Bootstrap | None) -> Table:
    table = Table("figure", "of")
    table.add_column("masks %" if result.box_figures else "%", justify="right")
    if bootstrap is not None:
        table.add_column(f"{bootstrap.level:.0%} interval", justify="right")
        table.add_column("std", justify="right")
    if result.box_figures:
        table.add_column("boxes %", justify="right")
    for name, value in result.figures.items():
        boxes = [percent(result.box_figures[f"box_{name}"])] if result.box_figures else []
        meaning = _told(MEANINGS.get(name, ""), result)
        table.add_row(name, meaning, percent(value), *_spread(name, bootstrap), *boxes)
    return table


def _classes(result: ApResult) -> Table:
    table = Table("class")
    for figure in ("AP", "AR100"):
        table.add_column(f"{figure} %", justify="right")
    for name, value in result.per_class.items():
        table.add_row(name, percent(value), percent(result.recall_per_class[name]))
    return table


def _spread(name: str, bootstrap: Bootstrap | None) -> list[str]:
    if bootstrap is None:
        return []
    interval: Interval | None = bootstrap.intervals[name]
    if interval is None:
        return ["-", "-"]
    return [f"{percent(interval.low)} to {percent(interval.high)}", percent(interval.std)]


def signed_percent(difference: float) -> str:
    """``+1.23`` of 0.0123."""
    return f"{100 * difference:+.2f}"


def percent(value: float | None) -> str:
    """``12.34`` of 0.1234; ``-`` where the figure is absent."""
    return "-" if value is None else f"{100 * value:.2f}"
