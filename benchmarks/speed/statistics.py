"""What raw timing samples say: median with its uncertainty, tails, ratios pair by pair, trend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEDIAN_RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 5
"""Samples below which there is no interval: of two, the bootstrap's 95% cover 52%, of five 93%."""
TAIL_CONFIDENCE = 0.99


@dataclass(frozen=True)
class MedianInterval:
    """A median and its bootstrap interval; none of fewer samples than :data:`FEWEST`."""

    value: float
    low: float | None
    high: float | None

    def named(self, value: str) -> dict[str, float | None]:
        """For a record, in which the median has a name of its own."""
        return {value: self.value, "low": self.low, "high": self.high}


def median_interval(
    samples: Sequence[float],
    *,
    resamples: int = MEDIAN_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> MedianInterval:
    """Median with its percentile-bootstrap interval, reproducible by ``seed``.

    Raises:
        ValueError: no samples.
    """
    values = np.asarray(samples, dtype=float)
    if not len(values):
        raise ValueError("no samples")
    median = float(np.median(values))
    if len(values) < FEWEST:
        return MedianInterval(median, None, None)
    draws = np.random.default_rng(seed).integers(0, len(values), size=(resamples, len(values)))
    medians = np.median(values[draws], axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return MedianInterval(median, float(low), float(high))


def samples_for_quantile(quantile: float) -> int:
    """Samples from which on their ``quantile`` is worth printing: 459 for 0.99.

    With fewer, the largest of them all is with more than 1% probability below the true quantile
    (the bound by which MLPerf Inference lets its runs stop early).
    """
    return math.ceil(math.log(1 - TAIL_CONFIDENCE) / math.log(quantile))


def tail_quantile(samples_ms: Sequence[float], quantile: float) -> float | None:
    """A quantile of the slow tail; None where the samples are too few to tell it."""
    if len(samples_ms) < samples_for_quantile(quantile):
        return None
    return float(np.quantile(np.asarray(samples_ms, dtype=float), quantile))


def paired_ratio(slow_ms: Sequence[float], fast_ms: Sequence[float]) -> MedianInterval:
    """Median of ``slow / fast``, sample by sample: how many times as fast the second one is.

    Sample k of both was taken in the same round, so a drift of the machine cancels out.

    Raises:
        ValueError: the samples are not in pairs.
    """
    if len(slow_ms) != len(fast_ms):
        raise ValueError(f"{len(slow_ms)} samples against {len(fast_ms)}: not in pairs")
    ratios: NDArray[np.float64] = np.asarray(slow_ms, dtype=float) / np.asarray(fast_ms, float)
    return median_interval(ratios.tolist())


def trend(samples_ms: Sequence[float]) -> float:
    """Relative change of the median from the first half of the samples to the second."""
    if len(samples_ms) < 4:
        return 0.0
    half = len(samples_ms) // 2
    first, second = np.median(samples_ms[:half]), np.median(samples_ms[-half:])
    return float(second / first - 1)
