"""Small dataset folders in YouTube-VIS format, sound ones, for tests to break."""

import json

import numpy as np
from PIL import Image

from core.data.rle import encode

HEIGHT, WIDTH = 20, 30


def square(x, y, side, height=HEIGHT, width=WIDTH):
    """Mask of a square whose corner is at (x, y), as compressed RLE."""
    mask = np.zeros((height, width), bool)
    mask[y : y + side, x : x + side] = True
    return encode(mask)


def video_entry(number, frames=4, height=HEIGHT, width=WIDTH):
    names = [f"v{number}/{t:05d}.png" for t in range(frames)]
    return {
        "id": number,
        "file_names": names,
        "height": height,
        "width": width,
        "length": frames,
    }


def track_entry(number, video, category=1, frames=4, absent=(), **more):
    masks = [None if t in absent else square(2 + t, 3 + number % 5, 8) for t in range(frames)]
    return {
        "id": number,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "segmentations": masks,
        **more,
    }


def annotation_file(videos=3, frames=4):
    """One track of class 1, 2, 1, ... a video."""
    return {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "videos": [video_entry(v, frames) for v in range(1, videos + 1)],
        "annotations": [
            track_entry(10 * v, v, 1 + (v - 1) % 2, frames) for v in range(1, videos + 1)
        ],
    }


def write_images(folder, raw, seed=0):
    """A noise image for each frame that the annotation file names."""
    rng = np.random.default_rng(seed)
    for video in raw["videos"]:
        for name in video["file_names"]:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (video["height"], video["width"], 3), np.uint8)
            Image.fromarray(pixels).save(path)


def write_folder(root, raw, annotations="instances.json", images="JPEGImages"):
    write_images(root / images, raw)
    path = root / annotations
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw))
    return root
