"""Today's speed against a record of the same machine: faster, slower, as fast, or cannot tell.

Two numbers have to agree: the ratio of the times, and the ratio of the shares of the machine's
matrix-product rate, which was measured beside each; and the machine has to have been steady both
times.  So a machine that is slower today, or busy, is no finding about the code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.speed.isolated import SpeedJob, job_from_dict
from benchmarks.speed.matmul_rate import TORCH
from benchmarks.speed.statistics import FEWEST, LEVEL, MEDIAN_RESAMPLES, MedianInterval
from core.errors import UserError
from core.files import read_json

Word = Literal["faster", "slower", "as fast", "cannot tell"]

_TOLERANCE = 0.05
"""Of one process to the next on a quiet machine: less is no change of the code."""

STEADY = 0.1
"""Change of the matrix-product rate, and share of a CPU that others may use, up to which times
tell of the code."""

_MACHINE = {
    "CPU": ("cpu",),
    "threads": ("threads", "intra_op"),
    "GPUs": ("gpus",),
}


@dataclass(frozen=True)
class Change:
    """One config in one scope.

    Attributes:
        speedup: times as fast as then, by the clock.
        by_rate: the same, each relative to the matrix-product rate of its time.
        word: what both say.
        unsteady: why neither counts; empty: nothing was in the way.
    """

    name: str
    scope: str
    speedup: MedianInterval
    by_rate: MedianInterval
    word: Word
    unsteady: str = ""

    def sentence(self) -> str:
        """In words, with both numbers."""
        return (
            f"{self.name}, {self.scope}: {self.word}: {_text(self.speedup)} times as fast by the "
            f"clock, {_text(self.by_rate)} by the matrix-product rate"
            + (f" ({self.unsteady})" if self.unsteady else "")
        )


def read_record(path: Path) -> tuple[SpeedJob, list[dict[str, Any]]]:
    """The job and the records of a file that ``tevit fps`` or ``tevit bench train`` wrote.

    Raises:
        UserError: it is no such file, or of a version that did not record the job.
    """
    data = read_json(path)
    try:
        job = job_from_dict(data["job"])
        records = [record for record in data["records"] if record["figures"] is not None]
        if job.kind not in ("fps", "train"):
            raise KeyError(job.kind)
        for record in records:
            _ = record["name"], record["scopes"], record["achieved"], record["environment"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: no record that can be measured again; write one with tevit fps ... --json, "
            "or tevit bench train ... --json"
        ) from error
    if not records:
        raise UserError(f"{path}: everything in it ran out of memory, so there is no speed")
    return job, records


def check_machine(
    path: Path, then: Mapping[str, Any], now: Mapping[str, Any], threads: int | None
) -> None:
    """Refuse to compare speeds of two machines.

    Args:
        then: environment of the record.
        now: environment of this process.
        threads: that the job sets itself; none: torch's choice, which has to be the same.

    Raises:
        UserError: naming what differs.
    """
    for what, keys in _MACHINE.items():
        if what == "threads" and threads is not None:
            continue
        old, new = then, now
        for key in keys:
            old, new = old.get(key, {}), new.get(key, {})
        if old != new:
            raise UserError(f"{path}: made on another machine: {what} {old}, here {new}")


def compare_speeds(
    then: Sequence[Mapping[str, Any]],
    now: Sequence[Mapping[str, Any]],
    tolerance: float = _TOLERANCE,
) -> list[Change]:
    """Every config of both, in every scope of both."""
    today = {record["name"]: record for record in now if record["figures"] is not None}
    found = []
    for old in then:
        new = today.get(old["name"])
        for scope, values in old["scopes"].items():
            if new is None or scope not in new["scopes"]:
                continue
            speedup = _ratio(values["samples_ms"], new["scopes"][scope]["samples_ms"])
            by_rate = _times(speedup, _rates_ratio(old["achieved"], new["achieved"]))
            words = {_word(one, tolerance) for one in (speedup, by_rate)}
            unsteady = _unsteady("then", old) or _unsteady("now", new)
            word: Word = words.pop() if len(words) == 1 and not unsteady else "cannot tell"
            found.append(Change(old["name"], scope, speedup, by_rate, word, unsteady))
    return found


def _rates_ratio(then: Mapping[str, Any], now: Mapping[str, Any]) -> float:
    """Matrix-product rate then by now, of the library that was the quickest of those in both."""
    old, new = (one.get("matmul_rates", {TORCH: one["matmul_rate"]}) for one in (then, now))
    library = max(old.keys() & new.keys(), key=old.__getitem__)
    return float(old[library] / new[library])


def _unsteady(when: str, record: Mapping[str, Any]) -> str:
    """What kept the machine from showing what the code can do, in words; or nothing."""
    achieved, seen = record["achieved"], record["environment"]
    first, last = achieved["matmul_rate_before"], achieved["matmul_rate_after"]
    if max(first, last) > (1 + STEADY) * min(first, last):
        return f"{when} the matrix-product rate changed: {first / 1e9:.3g} to {last / 1e9:.3g} G/s"
    if record["protocol"]["device_type"] == "cpu":
        busy = [sum(p["cores"] for p in seen[k]["busy_processes"]) for k in ("before", "after")]
        if max(busy) > STEADY * seen["cpu"]["cores"]:
            return f"{when} other processes computed on {max(busy):.1f} cores"
    return ""


def _ratio(then_ms: Sequence[float], now_ms: Sequence[float]) -> MedianInterval:
    """Median of then over median of now; samples of two processes come in no pairs."""
    value = float(np.median(then_ms) / np.median(now_ms))
    if min(len(then_ms), len(now_ms)) < FEWEST:
        return MedianInterval(value, None, None)
    random = np.random.default_rng(0)
    medians = [
        np.median(random.choice(np.asarray(of), (MEDIAN_RESAMPLES, len(of))), axis=1)
        for of in (then_ms, now_ms)
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(medians[0] / medians[1], [tail, 1 - tail])
    return MedianInterval(value, float(low), float(high))


def _times(one: MedianInterval, factor: float) -> MedianInterval:
    if one.low is None or one.high is None:
        return MedianInterval(one.value * factor, None, None)
    return MedianInterval(one.value * factor, one.low * factor, one.high * factor)


def _word(ratio: MedianInterval, tolerance: float) -> Word:
    if ratio.low is None or ratio.high is None:
        return "cannot tell"
    if ratio.low > 1 + tolerance:
        return "faster"
    if ratio.high < 1 / (1 + tolerance):
        return "slower"
    inside = ratio.low >= 1 / (1 + tolerance) and ratio.high <= 1 + tolerance
    return "as fast" if inside else "cannot tell"


def _text(ratio: MedianInterval) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.3g} (too few samples)"
    return f"{ratio.value:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"
