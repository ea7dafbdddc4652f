"""Small datasets of images in COCO format, sound ones, for tests to break."""

import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60


def image_entry(number, height=HEIGHT, width=WIDTH):
    name = f"{number:012d}.jpg"
    return {"id": number, "file_name": name, "height": height, "width": width}


def polygon(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def annotation(number, image, category=1, x=4, y=6, side=16, **more):
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": polygon(x, y, side),
        "bbox": [x, y, side, side],
        "area": side * side,
        "iscrowd": 0,
        **more,
    }


def coco_file(images=4):
    """An instance of each class in every image, and a crowd in the first one; ids with gaps."""
    counts = [0, HEIGHT * 10, HEIGHT * (WIDTH - 10)]
    crowd = {"size": [HEIGHT, WIDTH], "counts": counts}
    found = []
    for n in range(1, images + 1):
        found.append(annotation(10 * n, 100 + n, 1, x=2 + n))
        found.append(annotation(10 * n + 1, 100 + n, 18, x=30, y=4 + n, side=20))
    found.append(annotation(900, 101, 1, segmentation=crowd, iscrowd=1, area=400))
    return {
        "categories": [{"id": 1, "name": "cat"}, {"id": 18, "name": "dog"}],
        "images": [image_entry(100 + n) for n in range(1, images + 1)],
        "annotations": found,
    }


def write_coco(root, raw, annotations="annotations/instances_train2017.json", images="train2017"):
    rng = np.random.default_rng(0)
    for image in raw["images"]:
        path = root / images / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (image["height"], image["width"], 3), np.uint8)
        Image.fromarray(pixels).save(path)
    path = root / annotations
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw))
    return root
