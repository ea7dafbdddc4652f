"""Time a full-size evaluation: 300 videos of 30 frames of 640x360 with 100 predicted tracks each.

    python tools/time_evaluation.py

prints the seconds that the figures and 1,000 resamples take (medians of three), how many times as
long a whole diagnosis takes as AP alone, without and with resamples, and, so that machines can be
compared, the seconds to measure the area of every mask once with pycocotools.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from benchmarks.ap.bootstrap import bootstrap
from benchmarks.ap.evaluate import evaluate
from benchmarks.diagnosis.diagnosis import RESAMPLES, diagnose
from benchmarks.diagnosis.examine import examine
from benchmarks.diagnosis.slices import slicings
from core.data.annotations import parse
from core.data.dataset import VideoDataset

VIDEOS, FRAMES, TRACKS, CLASSES = 300, 30, 100, 40
HEIGHT, WIDTH = 360, 640
Entries = list[dict[str, Any]]


def generated() -> tuple[dict[str, Any], Entries]:
    """Annotations and results, half of which follow an instance."""
    rng = np.random.default_rng(0)
    annotations: Entries = []
    results: Entries = []
    for video in range(VIDEOS):
        for _ in range(rng.integers(1, 6)):
            shape, category = blob(rng), int(rng.integers(CLASSES))
            truth = {"id": len(annotations) + 1, "iscrowd": 0, "video_id": video}
            masks = moving(rng, shape)
            annotations.append(truth | {"category_id": category, "segmentations": masks})
            for _ in range(TRACKS // 12):
                # as a tracker would: frames of the object, here and there a frame off
                near = [masks[max(f - int(rng.integers(0, 3)), 0)] for f in range(FRAMES)]
                results.append(track(rng, video, near, category))
        pool = [moving(rng, blob(rng)) for _ in range(3)]
        while len(results) < (video + 1) * TRACKS:
            masks = [pool[rng.integers(3)][f] for f in range(FRAMES)]
            results.append(track(rng, video, masks, int(rng.integers(CLASSES))))
    files = [f"{frame}.jpg" for frame in range(FRAMES)]
    videos = [
        {"id": v, "height": HEIGHT, "width": WIDTH, "file_names": files} for v in range(VIDEOS)
    ]
    names = [{"id": c, "name": str(c)} for c in range(CLASSES)]
    return {"videos": videos, "annotations": annotations, "categories": names}, results


def track(rng: np.random.Generator, video: int, masks: Entries, category: int) -> dict[str, Any]:
    """A predicted track that misses some frames."""
    score = float(rng.random())
    seen = [None if rng.random() < 0.05 else mask for mask in masks]
    return {
        "video_id": video,
        "category_id": category,
        "score": score,
        "segmentations": seen,
    }


def blob(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(14, 2) corners of a polygon around the origin."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, 14))
    radius = np.exp(rng.uniform(np.log(25), np.log(150))) * rng.uniform(0.7, 1.2, 14)
    return np.stack([radius * np.cos(angles), 0.7 * radius * np.sin(angles)], 1)


def moving(rng: np.random.Generator, shape: npt.NDArray[np.float64]) -> Entries:
    """The polygon's mask in every frame, moving straight."""
    start, speed = rng.uniform([60, 60], [580, 300]), rng.normal(0, 4, 2)
    polygons = [(shape + start + speed * frame).ravel().tolist() for frame in range(FRAMES)]
    return [
        {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}
        for rle in coco.frPyObjects(polygons, HEIGHT, WIDTH)
    ]


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Median wall time of calls of ``function``."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def ratio(truth: VideoDataset, results: Entries, draws: int) -> float:
    """Median of a diagnosis' time to that of AP, turn by turn; with resamples, AP has 1,000."""
    ratios = []
    for _ in range(3):
        before = seconds(lambda: ap(truth, results, 1000 if draws else 0), 1)
        ratios.append(seconds(lambda: diagnosis(truth, results, draws), 1) / before)
    return statistics.median(ratios)


def ap(truth: VideoDataset, results: Entries, draws: int) -> None:
    """AP, with its resamples."""
    result = evaluate(truth, results)
    if draws:
        bootstrap(result, draws)


def diagnosis(truth: VideoDataset, results: Entries, draws: int) -> None:
    """All that ``tevit diagnose`` computes."""
    diagnose(examine(truth, results), slicings(truth), draws)


def main() -> None:
    """Generate, evaluate, resample; print the times."""
    # as files hold them: no two tracks share a mask's object
    annotations, results = json.loads(json.dumps(generated()))
    truth = parse(annotations, Path("generated"), Path(), "generated").dataset
    tracks = [[mask for mask in track["segmentations"] if mask] for track in results]
    print(f"areas of all masks: {seconds(lambda: [coco.area(masks) for masks in tracks]):.2f} s")
    print(f"evaluation, one process: {seconds(lambda: evaluate(truth, results, workers=1)):.2f} s")
    print(f"evaluation, all cores: {seconds(lambda: evaluate(truth, results)):.2f} s")
    result = evaluate(truth, results)
    print(f"1,000 resamples: {seconds(lambda: bootstrap(result, 1000)):.2f} s")
    for draws in (0, RESAMPLES):
        print(f"diagnosis with {draws} resamples: {ratio(truth, results, draws):.2f} x AP")
    print(f"AP {result.figures['AP']:.3f}, {result.tracks} tracks")


if __name__ == "__main__":
    main()
