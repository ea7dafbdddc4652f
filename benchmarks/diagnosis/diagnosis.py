"""All that is said of a set of results, every figure with its resamples over videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.ap.accumulate import Matches, accumulate
from benchmarks.ap.bootstrap import Bootstrap, difference_record, draw_videos, resample
from benchmarks.ap.evaluate import class_names, figures_of, mean_of, number_of
from benchmarks.ap.tracks import Floats, Ints
from benchmarks.diagnosis.errors import KINDS
from benchmarks.diagnosis.examine import Findings
from benchmarks.diagnosis.gains import gains
from benchmarks.diagnosis.slices import Slicing, sliced
from benchmarks.diagnosis.tracking import tracking_figures
from benchmarks.machine.fork_map import usable_workers

RESAMPLES = 250
"""Enough for standard deviations and the bounds of intervals to a few percent of their width."""
FEW_TRACKS = 5_000
"""Fewer predicted tracks are resampled in this process."""
_RANGES = ("s", "m", "l")


@dataclass(frozen=True)
class Diagnosis:
    """Figures of one set of results, in blocks; each block has the same draws of videos.

    Attributes:
        blocks: by name: ``AP``, ``tracking``, ``errors`` (the AP that each kind costs, in the
            order of :data:`benchmarks.diagnosis.errors.KINDS`), and one for each slicing.
        per_class: by class name: AP, the tracking figures, and what each kind costs.
        about: by slicing, which annotated tracks each figure is of.
    """

    blocks: Mapping[str, Bootstrap]
    per_class: Mapping[str, Mapping[str, float | None]]
    about: Mapping[str, Mapping[str, str]]

    def to_dict(self, against: Diagnosis | None = None, name: str = "") -> dict[str, Any]:
        """For a record: every block's figures and intervals; ``against``: with the differences.

        Args:
            against: of other results for the same videos.
            name: what those are called.
        """
        record: dict[str, Any] = {}
        for block, drawn in self.blocks.items():
            record[block] = {"figures": drawn.figures, "bootstrap": drawn.to_dict(())}
            if against is not None:
                other = against.blocks[block]
                record[block]["against"] = difference_record(other, drawn, name)
        return record | {"per_class": {n: dict(figures) for n, figures in self.per_class.items()}}


def diagnose(
    findings: Findings, slicings: Sequence[Slicing], resamples: int = RESAMPLES, *, seed: int = 0
) -> Diagnosis:
    """Every block's figures and resamples.

    Args:
        findings: of :func:`benchmarks.diagnosis.examine.examine`.
        slicings: to score by.
        resamples: over videos; 0: none, and no intervals.
        seed: of the resamples.
    """
    draws = draw_videos(findings.ap.videos, resamples, seed)
    lost = lost_by_class(findings)
    blocks = {
        "AP": ap_block(findings.ap.matches, draws, seed, findings.ap.figures),
        "tracking": tracking_block(findings, draws, seed),
        "errors": errors_block(findings, draws, seed, lost),
    }
    blocks |= {slicing.name: slice_block(findings, slicing, draws, seed) for slicing in slicings}
    about = {slicing.name: slicing.told(findings.dataset) for slicing in slicings}
    columns = {**tracking_of(findings)[2], **lost}
    return Diagnosis(blocks, of_classes(findings, columns), about)


def ap_block(
    matches: Matches, draws: Ints, seed: int, figures: dict[str, float | None] | None = None
) -> Bootstrap:
    """The twelve figures of AP; ``figures``: where they are known."""

    def compute(weights: Ints) -> dict[str, Floats]:
        return figures_of(accumulate(matches, weights))

    workers = _workers(matches)
    return resample(compute, figures, draws, seed=seed, workers=workers)


def tracking_block(findings: Findings, draws: Ints, seed: int) -> Bootstrap:
    """The tracking figures, means over the annotated classes."""

    def compute(weights: Ints) -> dict[str, Floats]:
        return tracking_of(findings, weights)[0]

    return resample(compute, None, draws, seed=seed, counts=("IDSW",))


def errors_block(
    findings: Findings, draws: Ints, seed: int, lost: Mapping[str, Floats]
) -> Bootstrap:
    """The AP that would be gained if each kind of error were mended.

    Args:
        lost: of :func:`lost_by_class`.
    """

    def compute(weights: Ints) -> dict[str, Floats]:
        return {name: mean_of(gain) for name, gain in gains(findings.errors, weights)[1].items()}

    figures = {kind: number_of(mean_of(lost[f"lost to {kind}"])[0]) for kind in KINDS}
    workers = _workers(findings.ap.matches)
    return resample(compute, figures, draws, seed=seed, workers=workers)


def slice_block(findings: Findings, slicing: Slicing, draws: Ints, seed: int) -> Bootstrap:
    """AP and AR of 100 tracks, of each range: ``AP short`` and so on."""
    drawn = ap_block(sliced(findings, slicing), draws, seed)
    names = {
        f"{figure} {label}": f"{figure}{size}"
        for figure in ("AP", "AR")
        for label, size in zip(slicing.labels, _RANGES, strict=True)
    }
    figures = {name: drawn.figures[of] for name, of in names.items()}
    return replace(
        drawn, figures=figures, samples={n: drawn.samples[of] for n, of in names.items()}
    )


def of_classes(
    findings: Findings, columns: Mapping[str, Floats]
) -> dict[str, dict[str, float | None]]:
    """By class name, the values of (R, K) figures, of the first weighting."""
    return {
        name: {figure: number_of(values[0, k]) for figure, values in columns.items()}
        for k, name in enumerate(class_names(findings.dataset.categories))
    }


def lost_by_class(findings: Findings) -> dict[str, Floats]:
    """(1, K) AP of each class, and what each kind of error costs it: ``lost to KIND``."""
    before, gained = gains(findings.errors, _ones(findings.ap.videos))
    return {"AP": before} | {f"lost to {kind}": gain for kind, gain in gained.items()}


def tracking_of(
    findings: Findings, weights: Ints | None = None
) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
    """:func:`benchmarks.diagnosis.tracking.tracking_figures`; no weights: each video once."""
    weights = _ones(findings.ap.videos) if weights is None else weights
    categories = sorted(findings.dataset.categories)
    return tracking_figures([v.tracking for v in findings.videos], categories, weights)


def _ones(videos: int) -> Ints:
    return np.ones((1, videos), np.int64)


def _workers(matches: Matches) -> int:
    """Processes for resamples: starting others takes longer than few tracks do."""
    return usable_workers() if len(matches.video) >= FEW_TRACKS else 1
