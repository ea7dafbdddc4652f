"""The metric history of a run: one JSON object a line, in the order of the steps."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config.schema import TrainConfig
from core.files import append_line, read_json_lines, write_atomic


def append_history(path: Path, line: dict[str, Any]) -> None:
    """Add one step's metrics."""
    append_line(path, json.dumps(line, allow_nan=False))


def truncate_history(path: Path, step: int) -> None:
    """Drop what was recorded after ``step``, which is done again, and what is damaged."""
    lines = [line for line in read_json_lines(path) if _step(line) <= step]
    if path.exists():
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in lines))


def _step(line: Any) -> float:
    """Of a line; none, be it of a damaged file, comes after every other."""
    step = line.get("step") if isinstance(line, dict) else None
    return step if isinstance(step, int) else math.inf


class Speed:
    """Seconds a step, over the steps since the last reset."""

    def __init__(self, frames: int) -> None:
        """Of steps of ``frames`` frames each, over all processes."""
        self.frames = frames
        self.reset()

    def reset(self) -> None:
        """Forget the steps so far."""
        self._seconds, self._steps = 0.0, 0

    def count(self, seconds: float) -> None:
        """Take in one step."""
        self._seconds += seconds
        self._steps += 1

    @property
    def seconds(self) -> float:
        """A step, on average."""
        return self._seconds / self._steps


def metrics(
    step: int,
    train: TrainConfig,
    losses: Mapping[str, float],
    lr: float,
    grad_norm: float,
    speed: Speed,
) -> dict[str, Any]:
    """A line of the history, after ``step`` steps."""
    return {
        "step": step,
        "steps": train.steps,
        "time": time.time(),
        "loss": sum(losses.values()),
        "losses": dict(losses),
        "lr": lr,
        "grad_norm": grad_norm,
        "frames_per_s": speed.frames / speed.seconds,
        "seconds_left": (train.steps - step) * speed.seconds,
    }
