"""Boxes as tracks of one video, and what is found in them."""

from pathlib import Path

from benchmarks.diagnosis.diagnosis import diagnose
from benchmarks.diagnosis.errors import KINDS
from benchmarks.diagnosis.examine import examine_results
from benchmarks.diagnosis.gains import ap_once_mended
from core.data.annotations import parse
from tests.benchmarks.ap.ap_cases import box_mask, video_entry

BOX, OTHER, THIRD = (10, 10, 50, 50), (100, 100, 140, 140), (200, 10, 240, 50)


def track(number, boxes, **more):
    """An entry of the annotations, or without a number of the results."""
    masks = [box and box_mask(*box) for box in boxes]
    found = {"video_id": 1, "category_id": 1, "segmentations": masks, **more}
    return found if number is None else found | {"id": number}


def truth_of(*instances, frames, crowds=()):
    """An annotation file's content; an instance is its boxes, or (category, boxes)."""
    annotations = []
    for place, boxes in enumerate([*instances, *crowds]):
        category, boxes = boxes if isinstance(boxes, tuple) else (1, boxes)
        crowd = int(place >= len(instances))
        annotations.append(track(place + 1, boxes, category_id=category, iscrowd=crowd))
    names = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    return {"videos": [video_entry(1, frames)], "annotations": annotations, "categories": names}


def read(truth):
    """The content of an annotation file as a dataset."""
    return parse(truth, Path("truth.json"), Path(), "truth", keep_empty=True).dataset


def found(truth, results, **options):
    """The findings, in this process."""
    return examine_results(read(truth), results, workers=1, **options)


def sliced_figures(findings, slicing):
    """Figures of a slicing, without resamples."""
    return diagnose(findings, [slicing], 0, blocks=()).blocks[slicing.name].figures


def gains(errors, weights):
    """(R, K) AP of each class, and by kind what mending it adds."""
    before = ap_once_mended(errors, None, weights)
    return before, {kind: ap_once_mended(errors, kind, weights) - before for kind in KINDS}
