"""All that is said of a set of results, every figure with its resamples over videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.ap.accumulate import accumulate
from benchmarks.ap.bootstrap import (
    Bootstrap,
    Compute,
    ap_figures,
    difference_record,
    draw_videos,
    of_values,
    resample,
    workers_for,
)
from benchmarks.ap.evaluate import figures_of, mean_of, number_of
from benchmarks.ap.tracks import Floats, Ints
from benchmarks.diagnosis.errors import KINDS
from benchmarks.diagnosis.examine import DatasetFindings
from benchmarks.diagnosis.gains import Errors, ap_once_mended
from benchmarks.diagnosis.slices import Slicing, sliced
from benchmarks.diagnosis.tracking import tracking_figures

RESAMPLES = 250
"""Enough for standard deviations and the bounds of intervals to a few percent of their width."""
_BLOCKS = ("AP", "tracking", "errors")
_COUNTS = ("IDSW",)
"""Figures that are no shares."""
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
    findings: DatasetFindings,
    slicings: Sequence[Slicing],
    resamples: int = RESAMPLES,
    *,
    seed: int = 0,
    blocks: Sequence[str] = _BLOCKS,
) -> Diagnosis:
    """Every block's figures and resamples.

    Args:
        findings: of :func:`benchmarks.diagnosis.examine.examine_results`.
        slicings: to score by, a block each.
        resamples: over videos; 0: none, and no intervals.
        seed: of the resamples.
        blocks: the others that are wanted.
    """
    computes = _computes(findings, slicings, blocks)
    draws = draw_videos(findings.ap.videos, resamples, seed)
    found = resample(list(computes.values()), draws, workers_for(findings.ap.matches))
    values = dict(zip(computes, found, strict=True))
    for slicing in slicings:
        for label in slicing.of_one_video(findings.dataset):
            for figure in ("AP", "AR"):
                values[slicing.name][f"{figure} {label}"][1:] = np.nan
    columns: dict[str, Floats] = {}
    if "tracking" in blocks:
        columns |= tracking_of(findings)[2]
    if "errors" in blocks:
        before = values["errors", None]["AP"]
        after = {k: values.get(("errors", k), {"AP": before})["AP"] for k in KINDS}
        columns |= {"AP": before} | {f"lost to {k}": ap - before for k, ap in after.items()}
        values["errors"] = {kind: mean_of(ap - before) for kind, ap in after.items()}
    named = [block for block in _BLOCKS if block in blocks] + [s.name for s in slicings]
    drawn = partial(of_values, seed=seed, videos=findings.ap.videos, counts=_COUNTS)
    return Diagnosis(
        {name: drawn(values[name]) for name in named},
        _of_classes(findings, columns),
        {slicing.name: slicing.told(findings.dataset) for slicing in slicings},
    )


def _computes(
    findings: DatasetFindings, slicings: Sequence[Slicing], blocks: Sequence[str]
) -> dict[Any, Compute]:
    """What gives each block's figures; the AP of a kind of error, mended, has a key of its own."""
    computes: dict[Any, Compute] = {}
    if "errors" in blocks:  # the longest ones come first
        kinds = (None, *filter(findings.errors.occurs, KINDS))
        computes |= {("errors", kind): _mended(findings.errors, kind) for kind in kinds}
    computes |= {slicing.name: _of_slices(findings, slicing) for slicing in slicings}
    if "AP" in blocks:
        computes["AP"] = ap_figures(findings.ap.matches)
    if "tracking" in blocks:
        computes["tracking"] = lambda weights: tracking_of(findings, weights)[0]
    return computes


def tracking_of(
    findings: DatasetFindings, weights: Ints | None = None
) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
    """:func:`benchmarks.diagnosis.tracking.tracking_figures`; no weights: each video once."""
    weights = np.ones((1, findings.ap.videos), np.int64) if weights is None else weights
    categories = sorted(findings.dataset.categories)
    return tracking_figures([v.tracking for v in findings.videos], categories, weights)


def _mended(errors: Errors, kind: str | None) -> Compute:
    """What gives the AP of each class once a kind of error is mended."""
    return lambda weights: {"AP": ap_once_mended(errors, kind, weights)}


def _of_slices(findings: DatasetFindings, slicing: Slicing) -> Compute:
    """What gives AP and AR of 100 tracks, of each range: ``AP short`` and so on."""

    def compute(weights: Ints) -> dict[str, Floats]:
        figures = figures_of(accumulate(sliced(findings, slicing), weights))
        return {
            f"{figure} {label}": figures[f"{figure}{size}"]
            for figure in ("AP", "AR")
            for label, size in zip(slicing.labels, _RANGES, strict=True)
        }

    return compute


def _of_classes(
    findings: DatasetFindings, columns: Mapping[str, Floats]
) -> dict[str, dict[str, float | None]]:
    """By class name, the values of (R, K) figures, of the first weighting."""
    return {
        name: {figure: number_of(values[0, k]) for figure, values in columns.items()}
        for k, name in enumerate(findings.dataset.distinct_names.values())
    }
