"""Timed calls, several variants taking turns, on the clock of the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from core.errors import UserError

Call = Callable[[], object]


@dataclass(frozen=True)
class Sampling:
    """How long to measure.

    Attributes:
        warmup: untimed calls of each variant, with the shapes that are measured.
        min_samples: timed calls of each variant, at least.
        min_seconds: time of all variants' timed calls together, at least.
        max_samples: timed calls of each variant, at most, however short they are.
    """

    warmup: int = 3
    min_samples: int = 20
    min_seconds: float = 3.0
    max_samples: int = 2000

    def __post_init__(self) -> None:
        if self.warmup < 1 or self.min_samples < 1 or self.max_samples < self.min_samples:
            raise UserError(
                f"warmup={self.warmup}, min_samples={self.min_samples}, "
                f"max_samples={self.max_samples}: each must be 1 or more, and max_samples no "
                "less than min_samples"
            )
        if self.min_seconds < 0:
            raise UserError(f"min_seconds={self.min_seconds} is negative")

    def rounds(self, what: str, report: Callable[[str], None]) -> Iterator[None]:
        """As many rounds as are asked for, each told as a ``what`` before it begins."""
        start = time.perf_counter()
        for done in range(self.max_samples):
            if done >= self.min_samples and time.perf_counter() - start >= self.min_seconds:
                return
            report(f"{what} {done + 1}, at least {self.min_samples}")
            yield

    def protocol(self, device: torch.device) -> dict[str, Any]:
        """How calls on ``device`` are timed, for a record."""
        return {
            "threads": torch.get_num_threads(),
            "warmup": self.warmup,
            "min_samples": self.min_samples,
            "min_seconds": self.min_seconds,
            "clock": "CUDA events" if device.type == "cuda" else "host",
        }


def unheard(line: str) -> None:
    """Where nobody waits for word of how far a measurement is."""


def interleaved(
    calls: Mapping[str, Call],
    sampling: Sampling,
    device: torch.device,
    report: Callable[[str], None] = unheard,
) -> dict[str, list[float]]:
    """Time every call in turns (A B A B ...), so that a drift of the machine hits all alike.

    Args:
        calls: variants by name.
        report: told between calls, outside of what is timed, how far this is.

    Returns:
        Milliseconds of each call, one list a variant; item k of every list is from round k.
    """
    for round_ in range(sampling.warmup):
        report(f"warm-up {round_ + 1} of {sampling.warmup}")
        for call in calls.values():
            call()
    clock = PartClock(device)
    clock.wait()
    for _ in sampling.rounds("sample", report):
        for name, call in calls.items():
            clock.begin(name)
            call()
            clock.mark("end")
    return clock.samples()


class PartClock:
    """Where one part of a repeated piece of work ends and the next begins, on a device's clock.

    On a GPU that is events and one synchronisation, when all is done: the host runs ahead of the
    device as it does in use, and a synchronisation a part would add the launches' latency to it.
    """

    def __init__(self, device: torch.device) -> None:
        """Nothing is marked yet."""
        self.device = device
        self._marks: list[list[tuple[str, Any]]] = []

    def begin(self, part: str) -> None:
        """A new round, of which ``part`` comes first."""
        self._marks.append([])
        self.mark(part)

    def mark(self, part: str) -> None:
        """``part`` begins now; what follows the last mark of a round is not timed."""
        now: Any = time.perf_counter()
        if self.device.type == "cuda":
            now = torch.cuda.Event(enable_timing=True)
            now.record()
        self._marks[-1].append((part, now))

    def forget(self) -> None:
        """Begin anew with the rounds that count."""
        self._marks = []

    def wait(self) -> None:
        """Until the work handed out so far is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def samples(self) -> dict[str, list[float]]:
        """Of each part that was begun, milliseconds of each time."""
        self.wait()
        found: dict[str, list[float]] = {}
        for marks in self._marks:
            for (part, begin), (_, end) in pairwise(marks):
                found.setdefault(part, []).append(_between(begin, end))
        return found

    def milliseconds(self, parts: Sequence[str]) -> dict[str, list[float]]:
        """Of each part, one value a round: the sum of its times in it."""
        self.wait()
        found: dict[str, list[float]] = {part: [] for part in parts}
        for marks in self._marks:
            spent = dict.fromkeys(parts, 0.0)
            for (part, begin), (_, end) in pairwise(marks):
                spent[part] += _between(begin, end)
            for part, value in spent.items():
                found[part].append(value)
        return found


def _between(begin: Any, end: Any) -> float:
    return begin.elapsed_time(end) if hasattr(begin, "elapsed_time") else 1e3 * (end - begin)
