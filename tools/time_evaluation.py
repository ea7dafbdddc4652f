"""Time a full-size evaluation: 300 videos of 30 frames of 640x360 with 100 predicted tracks each.

    python tools/time_evaluation.py [--videos N] [--rounds N]

prints what the figures, 1,000 resamples and a whole diagnosis take, by the clock and in processor
time, and how many times as long a diagnosis takes as AP alone (in turns; medians over the rounds).
So that machines can be compared, pycocotools measures the area of every mask once.
"""

from __future__ import annotations

import argparse
import json
import os
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
from benchmarks.diagnosis.examine import examine_results
from benchmarks.diagnosis.slices import slicings
from core.data.annotations import parse
from core.data.dataset import VideoDataset

VIDEOS, FRAMES, TRACKS, CLASSES = 300, 30, 100, 40
HEIGHT, WIDTH = 360, 640
Entries = list[dict[str, Any]]


def generated(videos: int) -> tuple[dict[str, Any], Entries]:
    """Annotations and results, half of which follow an instance."""
    rng = np.random.default_rng(0)
    annotations: Entries = []
    results: Entries = []
    for video in range(videos):
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
    head = {"height": HEIGHT, "width": WIDTH, "file_names": files}
    names = [{"id": c, "name": str(c)} for c in range(CLASSES)]
    return {
        "videos": [head | {"id": v} for v in range(videos)],
        "annotations": annotations,
        "categories": names,
    }, results


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


def times(function: Callable[[], object]) -> npt.NDArray[np.float64]:
    """Seconds by the clock, and of processors, those of other processes among them."""
    start = spent()
    function()
    return spent() - start


def spent() -> npt.NDArray[np.float64]:
    """The clock, and the processor time of this process and of those that have ended."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


def works(truth: VideoDataset, results: Entries) -> dict[str, Callable[[], object]]:
    """By name, what is timed."""
    masks = [[mask for mask in entry["segmentations"] if mask] for entry in results]
    ap = evaluate(truth, results)

    def whole(draws: int) -> Callable[[], object]:
        return lambda: diagnose(examine_results(truth, results), slicings(truth), draws)

    return {
        "areas of all masks": lambda: [coco.area(of_track) for of_track in masks],
        "AP, one process": lambda: evaluate(truth, results, workers=1),
        "AP": lambda: evaluate(truth, results),
        "1,000 resamples of AP": lambda: bootstrap(ap, 1000),
        "AP with 1,000 resamples": lambda: bootstrap(evaluate(truth, results), 1000),
        "diagnosis": whole(0),
        f"diagnosis with {RESAMPLES} resamples": whole(RESAMPLES),
    }


def main() -> None:
    """Generate, evaluate in turns, print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    # as files hold them: no two tracks share a mask's object
    annotations, results = json.loads(json.dumps(generated(asked.videos)))
    truth = parse(annotations, Path("generated"), Path(), "generated").dataset
    timed = works(truth, results)
    rounds = [{name: times(work) for name, work in timed.items()} for _ in range(asked.rounds)]
    print("medians, by the clock and in processor time")
    for name in timed:
        clock, processors = np.median([of[name] for of in rounds], axis=0)
        print(f"{name}: {clock:.2f} s, {processors:.2f} s")
    plain, drawn = list(timed)[-2:]
    for name, other in ((plain, "AP"), (drawn, "AP with 1,000 resamples")):
        clock, processors = np.median([of[name] / of[other] for of in rounds], axis=0)
        print(f"{name} / {other}: {clock:.2f}, {processors:.2f}")


if __name__ == "__main__":
    main()
