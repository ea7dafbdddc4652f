"""How far a training run is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

SECONDS_BETWEEN_LINES = 30.0

log = logging.getLogger(__name__)


class TrainingDisplay:
    """Shows a run's metrics while its block runs; this one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, metrics: Mapping[str, Any]) -> None:
        """Take in one step's metrics, a line of the history."""


def training_display(enabled: bool, step: int, steps: int) -> TrainingDisplay:
    """A bar on a terminal, lines elsewhere, nothing where not ``enabled``."""
    if not enabled:
        return TrainingDisplay()
    console = Console(stderr=True)
    return _Bar(console, step, steps) if console.is_terminal else _Lines()


class _Lines(TrainingDisplay):
    """A log line at the first step, then at most one in half a minute, and one at the end."""

    def __init__(self) -> None:
        self._told_at = -SECONDS_BETWEEN_LINES

    def show(self, metrics: Mapping[str, Any]) -> None:
        last = metrics["step"] == metrics["steps"]
        if last or time.monotonic() - self._told_at >= SECONDS_BETWEEN_LINES:
            self._told_at = time.monotonic()
            log.info("step %d/%d  %s", metrics["step"], metrics["steps"], describe(metrics))


class _Bar(TrainingDisplay):
    def __init__(self, console: Console, step: int, steps: int) -> None:
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=console,
        )
        self._task = self._bar.add_task("training", total=steps, completed=step, metrics="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, metrics: Mapping[str, Any]) -> None:
        self._bar.update(self._task, completed=metrics["step"], metrics=describe(metrics))


def describe(metrics: Mapping[str, Any]) -> str:
    """Loss in all and by kind (summed over the stages), speed, time left."""
    kinds: dict[str, float] = {}
    for name, value in metrics["losses"].items():
        kind = name.rpartition("loss_")[2]
        kinds[kind] = kinds.get(kind, 0.0) + value
    parts = "  ".join(f"{kind} {value:.2f}" for kind, value in kinds.items())
    scores = ""
    for name, told in (("heldout", "AP"), ("heldout_ema", "AP of the average")):
        if (ap := (metrics.get(name) or {}).get("AP")) is not None:
            scores += f"{told} {100 * ap:.1f}  "
    left = timedelta(seconds=round(metrics["seconds_left"]))
    return (
        f"loss {metrics['loss']:.2f} ({parts})  {scores}{metrics['frames_per_s']:.1f} frames/s  "
        f"{left} left"
    )
