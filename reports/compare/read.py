"""Two runs, scored on the same videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.ap.accumulate import accumulate
from benchmarks.ap.evaluate import figures_of, number_of
from benchmarks.ap.score import heldout_videos
from benchmarks.ap.table import unpredicted
from benchmarks.diagnosis.diagnosis import Diagnosis, diagnose
from benchmarks.diagnosis.examine import DatasetFindings, examine_results
from benchmarks.diagnosis.slices import Slicing, slicings
from benchmarks.diagnosis.tracking import HardTracks
from core.data.dataset import VideoDataset
from core.errors import UserError
from core.files import read_json
from core.names import listed
from launch.records.run_folder import RunFolder


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        name: what it is called.
        run: its folder.
        findings: of its predictions.
        diagnosis: figures with their resamples.
        ap: by video id, AP of the video alone; none where nothing is annotated.
    """

    name: str
    run: RunFolder
    findings: DatasetFindings
    diagnosis: Diagnosis
    ap: Mapping[int, float | None]

    @cached_property
    def results(self) -> Sequence[Mapping[str, Any]]:
        """Its predictions."""
        results: Sequence[Mapping[str, Any]] = read_json(self.run.predictions)
        return results


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same videos; ``other`` is set against ``base``."""

    base: Side
    other: Side
    slicings: Sequence[Slicing]

    @property
    def dataset(self) -> VideoDataset:
        """The videos that both are scored on."""
        return self.base.findings.dataset

    def notes(self) -> list[str]:
        """What to know before a difference is believed: a run that left most videos out."""
        sides = (self.base, self.other)
        found = [(side.name, unpredicted(side.findings.ap)) for side in sides]
        return [f"{name}: {text}" for name, text in found if text]

    def gain(self, video: int) -> float | None:
        """How much the AP of a video alone grows from ``base`` to ``other``."""
        before, after = self.base.ap[video], self.other.ap[video]
        return None if before is None or after is None else after - before

    def by_gain(self) -> list[int]:
        """Ids of all videos, those that gain most first; those without a figure last."""
        gains = {number: self.gain(number) for number in sorted(self.dataset.by_id)}
        return sorted(gains, key=lambda n: (gains[n] is None, -(gains[n] or 0.0), n))


def read_comparison(
    base: RunFolder, other: RunFolder, resamples: int, hard: HardTracks
) -> Comparison:
    """Score two runs.

    Args:
        base: the run that the other one is set against.
        other: the run with the switch.
        resamples: over videos, for the intervals of differences.
        hard: which scored tracks are shown, and tracking figures are of.

    Raises:
        UserError: a run has no predictions, or they are of different videos.
    """
    datasets = []
    for run in (base, other):
        if not run.predictions.exists():
            raise UserError(f"{run.path}: has no predictions.json yet")
        datasets.append(heldout_videos(run.config()))
    if difference := _difference(*datasets):
        raise UserError(
            f"{base.name} and {other.name} are scored on different videos: {difference}"
        )
    dataset = datasets[0]
    chosen = slicings(dataset)
    names = (base.name, other.name)
    if names[0] == names[1]:
        names = (f"{base.name} ({base.signature})", f"{other.name} ({other.signature})")
    first_side, second_side = (
        _side(name, run, examine_results(dataset, run.predictions, hard), chosen, resamples)
        for name, run in zip(names, (base, other), strict=True)
    )
    return Comparison(first_side, second_side, chosen)


def _side(
    name: str, run: RunFolder, findings: DatasetFindings, chosen: Sequence[Slicing], resamples: int
) -> Side:
    alone = figures_of(accumulate(findings.ap.matches, np.eye(findings.ap.videos, dtype=int)))["AP"]
    ids = sorted(findings.dataset.by_id)
    ap = {number: number_of(value) for number, value in zip(ids, alone, strict=True)}
    return Side(name, run, findings, diagnose(findings, chosen, resamples), ap)


def _difference(first: VideoDataset, second: VideoDataset) -> str | None:
    """What forbids to compare runs that are scored on these; none: nothing."""
    for what in ("name", "annotations_path"):
        values = getattr(first, what), getattr(second, what)
        if values[0] != values[1]:
            return f"{values[0]} and {values[1]}"
    ids = first.by_id.keys(), second.by_id.keys()
    if ids[0] == ids[1]:
        return None
    one = sorted(ids[0] ^ ids[1])
    named = listed(map(str, one))
    return f"{len(ids[0])} and {len(ids[1])} videos, of which one run alone has videos {named}"
