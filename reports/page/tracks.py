"""Which predicted track is which true one, so that both can be drawn in the same colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.diagnosis.followed import places
from core.data.rle import Rle, areas_of, coco

Masks = Sequence[Rle | None]


def overlap(first: Masks, second: Masks) -> float:
    """Spatio-temporal IoU of two tracks: pixels in common over pixels in either, all frames."""
    common = total = 0.0
    # frame by frame: pycocotools takes at most 255 masks a call
    for a, b in zip(first, second, strict=True):
        total += sum(areas_of([mask for mask in (a, b) if mask]))
        if a and b:
            common += sum(areas_of([coco.merge([a, b], True)]))
    return common / (total - common) if total else 0.0


def best_tracks(results: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """The ``count`` results with the highest scores, the best first."""
    return sorted(results, key=lambda result: -float(result["score"]))[:count]


def assign(results: Sequence[Mapping[str, Any]], truth: Sequence[Masks]) -> list[int]:
    """For each result the index of the true track that it overlaps most and that no better-scored
    result has; those without get indices of their own from ``len(truth)`` on.

    Args:
        results: in falling order of their scores.
        truth: masks of each true track, an entry a frame.
    """
    overlaps = [[overlap(result["segmentations"], track) for track in truth] for result in results]
    return places(np.array(overlaps).reshape(len(results), len(truth))).tolist()
