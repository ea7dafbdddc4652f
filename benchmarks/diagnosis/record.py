"""Records of diagnoses: the cells' ``tracking`` and ``errors``, and that of ``tevit diagnose``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.ap.bootstrap import Bootstrap
from benchmarks.ap.evaluate import number_of
from benchmarks.ap.match import THRESHOLDS
from benchmarks.diagnosis.diagnosis import RESAMPLES, Diagnosis, diagnose, tracking_of
from benchmarks.diagnosis.errors import FOLLOWS, KINDS, LOCATED, SHARED_FRAMES
from benchmarks.diagnosis.examine import DatasetFindings
from benchmarks.diagnosis.slices import Slicing, slicings
from benchmarks.diagnosis.tracking import TRACKING_FIGURES
from benchmarks.records import record_head

SEED = 0
"""Of the resamples, the same for all cells: they meet the same draws of videos."""


def tracking_record(
    findings: DatasetFindings, protocol: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """The tracking figures of a cell's held-out videos.

    Args:
        findings: of the cell's predictions.
        protocol: of their AP.
        name: of the model.
    """
    found = diagnose(findings, (), RESAMPLES, seed=SEED, blocks=("tracking",))
    drawn = found.blocks["tracking"]
    return {
        **record_head("tracking", name),
        "protocol": {**protocol, **_counts(findings), **asdict(findings.hard)},
        "figures": drawn.figures,
        "all_classes": _together(findings),
        "per_class": found.per_class,
        "bootstrap": drawn.to_dict(TRACKING_FIGURES),
    }


def errors_record(
    findings: DatasetFindings, protocol: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """Where a cell's AP is lost, and its AP on parts of the annotated tracks.

    The arguments are those of :func:`tracking_record`.
    """
    chosen = slicings(findings.dataset)
    found = diagnose(findings, chosen, RESAMPLES, seed=SEED, blocks=("errors",))
    drawn = found.blocks["errors"]
    ranges = {s.name: _named(found.blocks[s.name]) for s in chosen}
    return {
        **record_head("errors", name),
        "protocol": {**protocol, **_counts(findings), **_thresholds()},
        "figures": drawn.figures,
        "slices": {name: block.figures for name, block in ranges.items()},
        "per_class": found.per_class,
        "counts": findings.errors.counts(),
        "bootstrap": drawn.to_dict(KINDS)
        | {"slices": {name: block.to_dict(()) for name, block in ranges.items()}},
    }


def diagnosis_record(
    findings: DatasetFindings, found: Diagnosis, chosen: Sequence[Slicing], results: str
) -> dict[str, Any]:
    """The record of ``tevit diagnose``."""
    dataset = findings.dataset
    protocol: Mapping[str, Any] = {
        "data": str(dataset.annotations_path),
        "results": results,
        **_counts(findings),
        "tracking": asdict(findings.hard),
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


def _named(block: Bootstrap) -> Bootstrap:
    """The figures by names that a table can ask for: ``AP_short``."""
    return replace(
        block,
        figures={name.replace(" ", "_"): value for name, value in block.figures.items()},
        samples={name.replace(" ", "_"): values for name, values in block.samples.items()},
    )


def _counts(findings: DatasetFindings) -> dict[str, int]:
    ap = findings.ap
    return {"videos": ap.videos, "instances": ap.instances, "tracks": ap.tracks}


def _thresholds() -> dict[str, float]:
    return {"located": LOCATED, "follows": FOLLOWS, "shared_frames": SHARED_FRAMES}


def _together(findings: DatasetFindings) -> dict[str, float | None]:
    return {name: number_of(value[0]) for name, value in tracking_of(findings)[1].items()}
