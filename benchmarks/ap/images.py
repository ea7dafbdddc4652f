"""Images by pycocotools' own evaluation: which masks and boxes find which annotations.

Its matches are taken over as those of videos of one frame, so that everything made of matches
(the figures, AP by class, resamples over images) holds for images, too.
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.ap.match import VideoMatches, concatenated
from core.data.dataset import VideoDataset
from core.data.rle import boxes_of, encode

_Coco: Any = COCO  # neither has annotations that mypy could check
_Evaluation: Any = COCOeval


def match_images(
    dataset: VideoDataset, results: Sequence[Mapping[str, Any]]
) -> tuple[list[VideoMatches], list[VideoMatches]]:
    """Matches of the masks, image by image in the order of their ids; and those of the boxes.

    Args:
        dataset: of images.
        results: without faults.  ``bboxes``, [[x, y, width, height]] in pixels, are the boxes; of
            a result that has none it is the one around the mask.
    """
    masks, boxes = _entries(dataset, results)
    return _matches(dataset, masks, "segm"), _matches(dataset, boxes, "bbox")


def _evaluated(dataset: VideoDataset, entries: list[dict[str, Any]], kind: str) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _coco(dataset, _truths(dataset))
        found = truth.loadRes(entries) if entries else _coco(dataset, [])
        evaluation = _Evaluation(truth, found, kind)
        evaluation.evaluate()
    return evaluation


def _coco(dataset: VideoDataset, annotations: list[dict[str, Any]]) -> Any:
    made = _Coco()
    made.dataset = {
        "images": [{"id": v.id, "height": v.height, "width": v.width} for v in dataset.videos],
        "categories": [{"id": number, "name": name} for number, name in dataset.categories.items()],
        "annotations": annotations,
    }
    made.createIndex()
    return made


def _truths(dataset: VideoDataset) -> list[dict[str, Any]]:
    return [
        {
            "id": number,  # not the file's: pycocotools takes 0 for one that was not found
            "image_id": track.video_id,
            "category_id": track.category_id,
            "segmentation": track.segmentations[0],
            "bbox": list(track.boxes[0] or ()),
            "area": track.areas[0],
            "iscrowd": int(track.crowd),
        }
        for number, track in enumerate(dataset.tracks, 1)
        if track.segmentations[0] is not None
    ]


def _entries(
    dataset: VideoDataset, results: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The results' masks and their boxes, apart: the area of either is that of what is scored."""
    masks: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for result in results:
        video = dataset.by_id[result["video_id"]]
        entry = {
            "image_id": video.id,
            "category_id": result["category_id"],
            "score": result["score"],
        }
        mask = result["segmentations"][0] or encode(np.zeros((video.height, video.width), bool))
        given = result.get("bboxes") or boxes_of([mask])
        masks.append(entry | {"segmentation": mask})
        boxes.append(entry | {"bbox": list(given[0])})
    return masks, boxes


def _matches(dataset: VideoDataset, entries: list[dict[str, Any]], kind: str) -> list[VideoMatches]:
    """pycocotools' matches, image by image; an image without any is there, too."""
    evaluation = _evaluated(dataset, entries, kind)
    areas = len(evaluation.params.areaRng)
    thresholds = len(evaluation.params.iouThrs)
    by_image: defaultdict[int, list[VideoMatches]] = defaultdict(list)
    # (categories, areas, images), as its list goes
    places = np.arange(len(evaluation.evalImgs)).reshape(
        len(evaluation.params.catIds), areas, len(evaluation.params.imgIds)
    )
    for of_category in places:
        for image, of_image in enumerate(of_category.T):
            found = [evaluation.evalImgs[place] for place in of_image]
            if found[0] is not None:  # neither annotated nor predicted
                by_image[image].append(_of_category(found))
    nothing = VideoMatches(
        category=np.zeros(0, np.int64),
        score=np.zeros(0),
        rank=np.zeros(0, np.int64),
        matched=np.zeros((0, areas, thresholds), bool),
        ignored=np.zeros((0, areas, thresholds), bool),
        truth_category=np.zeros(0, np.int64),
        truth_ignored=np.zeros((0, areas), bool),
    )
    images = range(len(evaluation.params.imgIds))
    return [concatenated([nothing, *by_image[image]]) for image in images]


def _of_category(found: list[dict[str, Any]]) -> VideoMatches:
    """One image and category: what pycocotools found in each range of areas."""
    category, score = found[0]["category_id"], np.array(found[0]["dtScores"], np.float64)
    ignored = np.stack([area["gtIgnore"] for area in found], -1)
    return VideoMatches(
        category=np.full(len(score), category, np.int64),
        score=score,
        rank=np.arange(len(score)),
        matched=np.stack([area["dtMatches"].T > 0 for area in found], 1),
        ignored=np.stack([area["dtIgnore"].T > 0 for area in found], 1),
        truth_category=np.full(len(ignored), category, np.int64),
        truth_ignored=ignored > 0,
    )
