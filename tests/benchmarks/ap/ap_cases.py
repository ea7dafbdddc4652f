"""Random small datasets, and their scores by pycocotools alone from decoded pixels."""

from __future__ import annotations

import contextlib
import copy
import io
from pathlib import Path

import numpy as np
from pycocotools import mask as coco
from pycocotools.cocoeval import COCOeval

from benchmarks.ap import evaluate as scoring
from benchmarks.ap.evaluate import ApResult
from core.data.annotations import DatasetError, parse, read_annotations
from core.data.rle import decode, encode

HEIGHT, WIDTH = 330, 350
SUMMARY = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
)
"""What COCOeval's summary holds, in its order."""
RANGES = [[0, 1e10], [0, 128**2], [128**2, 256**2], [256**2, 1e10]]


def evaluate(truth, results, **options) -> ApResult:
    """The score against an annotation file or the content of one."""
    if isinstance(truth, Path):
        return scoring.evaluate(read_annotations(truth), results, **options)
    parsed = parse(truth, Path("truth.json"), Path(), "truth", keep_empty=True)
    if parsed.faults:
        raise DatasetError("truth.json", parsed.faults)
    return scoring.evaluate(parsed.dataset, results, **options)


def random_case(seed, *, videos=4, categories=3, ties=False, predictions=8):
    """(ground truth, results): boxes of all sizes, crowds, nulls, near and far predictions."""
    rng = np.random.default_rng(seed)
    annotations, results, shapes = [], [], []
    for video in rng.permutation(np.arange(1, videos + 1) * 3).tolist():
        length = int(rng.integers(1, 4))
        shapes.append(video_entry(video, length))
        truths = [
            (random_boxes(rng, length), int(rng.integers(1, categories + 1)))
            for _ in range(rng.integers(0, 4))
        ]
        for boxes, category in truths:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": video,
                    "category_id": category,
                    "iscrowd": int(rng.random() < 0.2),
                    "segmentations": masks_of(boxes),
                }
            )
        for _ in range(rng.integers(0, predictions + 1)):
            boxes, category = random_boxes(rng, length), int(rng.integers(1, categories + 1))
            if truths and rng.random() < 0.7:
                near, of = truths[rng.integers(len(truths))]
                boxes, category = moved(rng, near), of if rng.random() < 0.8 else category
            score = rng.integers(1, 4) / 4 if ties else rng.random()
            results.append(
                {
                    "video_id": video,
                    "category_id": category,
                    "score": float(score),
                    "segmentations": masks_of(boxes),
                }
            )
    names = [{"id": c, "name": f"class {c}"} for c in range(1, categories + 2)]
    return {"videos": shapes, "annotations": annotations, "categories": names}, results


def video_entry(video, length, height=HEIGHT, width=WIDTH):
    files = [f"v{video}/{frame:05d}.jpg" for frame in range(length)]
    return {
        "id": video,
        "height": height,
        "width": width,
        "length": length,
        "file_names": files,
    }


def random_boxes(rng, length):
    """A box (top, left, bottom, right) a frame, some of them none."""
    small = rng.random() < 0.5
    height, width = rng.integers(20, 150, 2) if small else rng.integers(150, HEIGHT + 1, 2)
    top, left = rng.integers(0, HEIGHT + 1 - height), rng.integers(0, WIDTH + 1 - width)
    box = (int(top), int(left), int(top + height), int(left + width))
    return [None if rng.random() < 0.15 else box for _ in range(length)]


def moved(rng, boxes):
    down, right = rng.integers(-12, 13, 2).tolist()
    return [
        None
        if box is None or rng.random() < 0.1
        else (
            max(box[0] + down, 0),
            max(box[1] + right, 0),
            min(max(box[2] + down, 5), HEIGHT),
            min(max(box[3] + right, 5), WIDTH),
        )
        for box in boxes
    ]


def masks_of(boxes):
    return [None if box is None else box_mask(*box) for box in boxes]


def box_mask(top, left, bottom, right, height=HEIGHT, width=WIDTH):
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return encode(mask)


class PixelEvaluation(COCOeval):
    """pycocotools' evaluation with tracks for instances, overlaps counted pixel by pixel."""

    def __init__(self, ground_truth, results):
        super().__init__(iouType="segm")
        self.params.imgIds = [video["id"] for video in ground_truth["videos"]]
        self.params.catIds = [category["id"] for category in ground_truth["categories"]]
        self.params.areaRng = RANGES
        self.tracks = ground_truth["annotations"], results

    def _prepare(self):
        truths, results = copy.deepcopy(self.tracks)
        for index, track in enumerate(truths):
            track |= {"id": index + 1, "ignore": track["iscrowd"], "area": mean_area(track)}
            self._gts[track["video_id"], track["category_id"]].append(track)
        for index, track in enumerate(results):
            track |= {"id": index + 1, "area": mean_area(track)}
            self._dts[track["video_id"], track["category_id"]].append(track)

    def computeIoU(self, video, category):
        truths, results = self._gts[video, category], self._dts[video, category]
        results = sorted(results, key=lambda track: -track["score"])[:100]
        pairs = [[pixel_overlap(result, truth) for truth in truths] for result in results]
        return np.array(pairs).reshape(len(results), len(truths))


def mean_area(track):
    if track.get("areas"):
        areas = [area for area in track["areas"] if area]
    else:
        areas = [int(coco.area(mask)) for mask in track["segmentations"] if mask]
    areas = [area for area in areas if area]
    return np.mean(areas) if areas else 0


def pixel_overlap(first, second):
    common = joint = 0
    for a, b in zip(first["segmentations"], second["segmentations"], strict=True):
        a = decode(a) if a else np.zeros((1, 1), bool)
        b = decode(b) if b else np.zeros((1, 1), bool)
        common += int((a & b).sum())
        joint += int((a | b).sum())
    return common / joint if joint else 0.0


def reference_scores(ground_truth, results):
    """(twelve figures, AP of each category by id); none where absent."""
    evaluation = PixelEvaluation(ground_truth, results)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = dict(zip(SUMMARY, evaluation.stats, strict=True))
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    per_class = {
        category: precision[:, :, k].mean()
        for k, category in enumerate(sorted(evaluation.params.catIds))
    }
    return {k: none_if_absent(v) for k, v in figures.items()}, {
        k: none_if_absent(v) for k, v in per_class.items()
    }


def summary(figures):
    """Of all figures those that the reference has, too."""
    return {name: figures[name] for name in SUMMARY}


def none_if_absent(value):
    return None if value < 0 else float(value)


def same(first, second, tolerance=1e-9):
    """Whether two dicts of figures agree, absent ones included."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        other = second[name]
        if value is None or other is None:
            assert value is other, name
        else:
            assert abs(value - other) <= tolerance, (name, value, other)
    return True
