"""What raw timing samples say: median with its uncertainty, tails, ratios pair by pair, trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """Summary of samples in milliseconds: median with its interval, and the slow tail."""

    median: Interval
    p90: float
    p99: float
    n: int


def median_interval(
    samples: Sequence[float], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Median with its percentile-bootstrap interval (reproducible by ``seed``).

    Raises:
        ValueError: no samples.
    """
    values = np.asarray(samples, dtype=float)
    if not len(values):
        raise ValueError("no samples")
    draws = np.random.default_rng(seed).integers(0, len(values), size=(resamples, len(values)))
    medians = np.median(values[draws], axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(np.median(values)), float(low), float(high))


def summarise(samples_ms: Sequence[float]) -> Timing:
    """Median, p90 and p99 of samples in milliseconds."""
    p90, p99 = np.quantile(np.asarray(samples_ms, dtype=float), [0.9, 0.99])
    return Timing(median_interval(samples_ms), float(p90), float(p99), len(samples_ms))


def paired_ratio(slow_ms: Sequence[float], fast_ms: Sequence[float]) -> Interval:
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
