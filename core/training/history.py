"""The metric history of a run: one JSON object a line, in the order of the steps."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config.schema import Config
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


class Metrics:
    """What the history says of steps; speeds are those since the line before."""

    def __init__(self, config: Config) -> None:
        """Of a run of ``config``, all of its processes together."""
        self.train = config.train
        self.frames = config.train.clips * config.data.clip_length
        self._seconds, self._steps = 0.0, 0

    def count(self, seconds: float) -> None:
        """Take in the time of one step."""
        self._seconds += seconds
        self._steps += 1

    def line(
        self, step: int, losses: Mapping[str, float], lr: float, grad_norm: float
    ) -> dict[str, Any]:
        """A line of the history, after ``step`` steps."""
        seconds = self._seconds / self._steps
        self._seconds, self._steps = 0.0, 0
        return {
            "step": step,
            "steps": self.train.steps,
            "time": time.time(),
            "loss": sum(losses.values()),
            "losses": dict(losses),
            "lr": lr,
            "grad_norm": grad_norm,
            "frames_per_s": self.frames / seconds,
            "seconds_left": (self.train.steps - step) * seconds,
        }
