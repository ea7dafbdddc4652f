"""AP of images: pycocotools' own figures, of masks and of boxes, through our record and tables."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console

from benchmarks.ap.bootstrap import bootstrap
from benchmarks.ap.evaluate import ap_record, evaluate
from benchmarks.ap.table import print_ap
from core.data.annotations import read_annotations
from core.data.rle import boxes_of, encode
from core.errors import UserError
from tests.benchmarks.ap.ap_cases import SUMMARY


def rectangle(x, y, width, height, size=(200, 240)):
    mask = np.zeros(size, bool)
    mask[y : y + height, x : x + width] = True
    return encode(mask)


def random_case(seed, images=6, classes=3):
    """A file in COCO format and results that find a part of it, some of them twice or displaced."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(1, images + 1):
        for _ in range(rng.integers(1, 7)):
            side = int(rng.choice([12, 40, 110]))
            x, y = (int(rng.integers(0, n - side)) for n in (240, 200))
            category = int(rng.integers(1, classes + 1))
            mask = rectangle(x, y, side, side)
            truth.append(
                {
                    "id": len(truth),  # from 0, which pycocotools cannot match
                    "image_id": image,
                    "category_id": category,
                    "segmentation": mask,
                    "bbox": [x, y, side, side],
                    "area": side * side,
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
            for _ in range(rng.integers(0, 3)):
                dx, dy = rng.integers(-5, 6, 2)
                near = rectangle(max(x + dx, 0), max(y + dy, 0), side, side)
                [box] = boxes_of([near])
                found.append(
                    {
                        "video_id": image,
                        "category_id": category if rng.random() < 0.9 else 1,
                        "score": float(rng.integers(1, 20)) / 20,  # with ties
                        "segmentations": [near],
                        "bboxes": [[box[0] + 0.5, box[1], box[2] - 1, box[3]]],
                    }
                )
    return {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "height": 200, "width": 240}
            for n in range(1, images + 1)
        ],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(1, classes + 1)],
        "annotations": truth,
    }, found


def by_pycocotools(raw, results, kind):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        shifted = [entry | {"id": entry["id"] + 1} for entry in raw["annotations"]]
        truth.dataset = raw | {"annotations": shifted}
        truth.createIndex()
        entries = [
            {
                "image_id": r["video_id"],
                "category_id": r["category_id"],
                "score": r["score"],
                **(
                    {"segmentation": r["segmentations"][0]}
                    if kind == "segm"
                    else {"bbox": r["bboxes"][0]}
                ),
            }
            for r in results
        ]
        evaluation = COCOeval(truth, truth.loadRes(entries), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value < 0 else pytest.approx(value) for value in evaluation.stats]


def dataset_of(tmp_path, raw):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(raw))
    return read_annotations(path)


@pytest.mark.parametrize("seed", range(6))
def test_the_figures_are_pycocotools_own(tmp_path, seed):
    raw, results = random_case(seed)
    result = evaluate(dataset_of(tmp_path, raw), results)
    assert [result.figures[name] for name in SUMMARY] == by_pycocotools(raw, results, "segm")
    boxes = [result.box_figures[f"box_{name}"] for name in SUMMARY]
    assert boxes == by_pycocotools(raw, results, "bbox")
    assert 0 < result.figures["AP"] < 1 and result.figures["AP"] != boxes[0]
    assert result.instances == sum(not entry["iscrowd"] for entry in raw["annotations"])


def test_record_and_table(tmp_path):
    raw, results = random_case(0)
    result = evaluate(dataset_of(tmp_path, raw), results)
    drawn = bootstrap(result, 20)
    assert drawn.intervals["AP"] is not None
    record = ap_record(result, {}, drawn.to_dict())
    assert record["figures"] == result.figures | result.box_figures
    console = Console(record=True, width=120)
    print_ap(result, drawn, console)
    text = console.export_text()
    assert "6 images" in text and "predicted detections" in text and "boxes %" in text
    assert "small: up to 32² pixels" in text and "video" not in text


def test_boxes_are_those_of_the_masks_where_results_have_none(tmp_path):
    raw, results = random_case(1)
    for entry in results:
        del entry["bboxes"]
    result = evaluate(dataset_of(tmp_path, raw), results)
    for entry in results:
        entry["bboxes"] = [list(boxes_of(entry["segmentations"])[0])]
    boxes = [result.box_figures[f"box_{name}"] for name in SUMMARY]
    assert boxes == by_pycocotools(raw, results, "bbox")


def test_nothing_found_and_empty_masks(tmp_path):
    raw, results = random_case(2)
    dataset = dataset_of(tmp_path, raw)
    nothing = evaluate(dataset, [])
    assert nothing.figures["AP"] == nothing.box_figures["box_AP"] == 0
    for entry in results:
        entry["segmentations"] = [None]
    result = evaluate(dataset, results)
    assert result.figures["AP"] == 0 and result.box_figures["box_AP"] > 0


def test_results_that_do_not_fit(tmp_path):
    raw, results = random_case(3)
    dataset = dataset_of(tmp_path, raw)
    results[0]["segmentations"] = [None, None]
    with pytest.raises(UserError, match="2 segmentations, but video"):
        evaluate(dataset, results)
    results[0]["segmentations"] = [{"size": [200, 240], "counts": "11"}]
    with pytest.raises(UserError, match=r"result 0 .*frame 0: run lengths add up"):
        evaluate(dataset, results)
    results[0]["segmentations"], results[0]["bboxes"] = [None], [[1, 2]]
    with pytest.raises(
        UserError, match=r"result 0 .*bboxes are \[\[x, y, width, height\]\], not \[\[1, 2\]\]"
    ):
        evaluate(dataset, results)
