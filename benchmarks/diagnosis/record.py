"""Records of diagnoses: the cells' ``tracking`` and ``errors``, and that of ``tevit diagnose``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ap.bootstrap import draw_videos
from benchmarks.ap.evaluate import number_of
from benchmarks.ap.match import THRESHOLDS
from benchmarks.ap.protocol import ap_protocol
from benchmarks.ap.score import heldout_videos
from benchmarks.diagnosis.diagnosis import (
    RESAMPLES,
    Diagnosis,
    errors_block,
    lost_by_class,
    of_classes,
    slice_block,
    tracking_block,
    tracking_of,
)
from benchmarks.diagnosis.errors import FOLLOWS, KINDS, LOCATED, SHARED_FRAMES
from benchmarks.diagnosis.examine import Findings, examine
from benchmarks.diagnosis.slices import Slicing, slicings
from benchmarks.diagnosis.tracking import FIGURES
from benchmarks.records import record_head
from core.config.schema import Config

SEED = 0
"""Of the resamples, the same for all cells: they meet the same draws of videos."""


def tracking_record(
    config: Config, checkpoint: Path, predictions: Path, name: str
) -> dict[str, Any]:
    """The tracking figures of a cell's held-out videos.

    Args:
        config: the cell's.
        checkpoint: whose predictions they are, for the protocol.
        predictions: the file of results.
        name: of the model.
    """
    findings, protocol = _examine(config, checkpoint, predictions)
    draws = draw_videos(findings.ap.videos, RESAMPLES, SEED)
    drawn = tracking_block(findings, draws, SEED)
    return {
        **record_head("tracking", name),
        "protocol": {**protocol, **findings.hard.protocol()},
        "figures": drawn.figures,
        "all_classes": _together(findings),
        "per_class": of_classes(findings, tracking_of(findings)[2]),
        "bootstrap": drawn.to_dict(FIGURES),
    }


def errors_record(config: Config, checkpoint: Path, predictions: Path, name: str) -> dict[str, Any]:
    """Where a cell's AP is lost, and its AP on parts of the annotated tracks.

    The arguments are those of :func:`tracking_record`.
    """
    findings, protocol = _examine(config, checkpoint, predictions)
    draws = draw_videos(findings.ap.videos, RESAMPLES, SEED)
    lost = lost_by_class(findings)
    drawn = errors_block(findings, draws, SEED, lost)
    ranges = {}
    for slicing in slicings(findings.dataset):
        figures = slice_block(findings, slicing, draws[:0], SEED).figures
        ranges[slicing.name] = {name.replace(" ", "_"): value for name, value in figures.items()}
    return {
        **record_head("errors", name),
        "protocol": {**protocol, **_thresholds()},
        "figures": drawn.figures,
        "slices": ranges,
        "per_class": of_classes(findings, lost),
        "counts": findings.errors.counts(),
        "bootstrap": drawn.to_dict(KINDS),
    }


def diagnosis_record(
    findings: Findings, found: Diagnosis, chosen: Sequence[Slicing], results: str
) -> dict[str, Any]:
    """The record of ``tevit diagnose``."""
    dataset = findings.dataset
    protocol: Mapping[str, Any] = {
        "data": str(dataset.annotations_path),
        "results": results,
        **_counts(findings),
        "tracking": findings.hard.protocol(),
        "errors": _thresholds(),
        "slices": {
            s.name: {"bounds": list(s.bounds), "instances": s.sizes(dataset)} for s in chosen
        },
    }
    return {
        **record_head("diagnosis", results),
        "protocol": protocol,
        **found.to_dict(),
        "all_classes": _together(findings),
        "thresholds": THRESHOLDS.round(2).tolist(),
        "counts": findings.errors.counts(),
    }


def _examine(
    config: Config, checkpoint: Path, predictions: Path
) -> tuple[Findings, dict[str, Any]]:
    heldout = heldout_videos(config)
    findings = examine(heldout, predictions)
    return findings, ap_protocol(config, heldout, checkpoint) | _counts(findings)


def _counts(findings: Findings) -> dict[str, int]:
    ap = findings.ap
    return {"videos": ap.videos, "instances": ap.instances, "tracks": ap.tracks}


def _thresholds() -> dict[str, float]:
    return {"located": LOCATED, "follows": FOLLOWS, "shared_frames": SHARED_FRAMES}


def _together(findings: Findings) -> dict[str, float | None]:
    return {name: number_of(value[0]) for name, value in tracking_of(findings)[1].items()}
