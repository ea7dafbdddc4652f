"""VIPSeg: panoptic masks of videos, of which the things become tracks.

Read as published, or as its own scripts rewrite it in COCO's panoptic format
(https://github.com/VIPSeg-Dataset/VIPSeg-Dataset).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.data.convert.id_masks import mask_or_none, read_colour_ids, read_ids
from core.data.convert.record import NewTrack, Record, frame_size, one_of, read_lines, shaped
from core.data.rle import Rle
from core.errors import UserError
from core.files import read_json

NUMBERED = 125
"""In a published mask, numbers from here on are 100 class + instance, those below the class."""

_Key = tuple[int, int]
"""Category, and number of the segment in its video."""


def convert_vipseg(source: Path, images: Path | None, out: Path) -> Record:
    """The tracks of classes with ``isthing`` 1.

    Args:
        source: a folder with ``panoptic_gt_VIPSeg_train.json`` (or such a file), ``panomasksRGB``
            and ``images``; else, as published, with ``panomasks``, ``imgs`` and
            ``panoVIPSeg_categories.json``, of which ``train.txt`` (or such a file) lists videos.
        images: the folder of the images; none: the one above.
        out: the annotation file to come.

    Raises:
        UserError: a file lacks a key, or an image is missing or of another size, or a mask
            belongs to no image.
    """
    if source.suffix == ".txt":
        return _published(source, images, out)
    names = [f"panoptic_gt_VIPSeg{split}.json" for split in ("_train", "_val", "_test", "")]
    path = source if source.is_file() else one_of(source, *names, "train.txt")
    if path.suffix == ".txt":
        return _published(path, images, out)
    frames, masks = _images(path.parent, images), one_of(path.parent, "panomasksRGB")
    raw = read_json(path)
    with shaped(f"{path}: not a VIPSeg file"):
        record = Record(out, _things(raw["categories"]))
        of_videos = {str(a["video_id"]): a["annotations"] for a in raw["annotations"]}
        for video in raw["videos"]:
            name = str(video["video_id"])
            files = [_frame(frames / name / str(i["file_name"])) for i in video["images"]]
            _add(record, name, files, of_videos[name], masks / name)
    return record


def _things(categories: Iterable[dict[str, Any]]) -> dict[int, str]:
    return {int(c["id"]): str(c["name"]) for c in categories if _is_thing(c)}


def _is_thing(category: dict[str, Any]) -> bool:
    if category["isthing"] not in (0, 1):
        raise ValueError(f"isthing is {category['isthing']!r:.80}, expected 0 or 1")
    return bool(category["isthing"])


def _images(folder: Path, given: Path | None) -> Path:
    return given or one_of(folder, "imgs", "images")


def _frame(path: Path) -> Path:
    """The image of a frame, for which the published files have the name of its mask."""
    return path if path.exists() else path.with_suffix(".jpg")


def _add(record: Record, name: str, files: list[Path], frames: list[Any], masks: Path) -> None:
    """A video of the converted files; a mask belongs to the image of its name."""
    if not files:
        raise ValueError(f"video {name} has no images")
    size = frame_size(files[0])
    places = {file.stem: t for t, file in enumerate(files)}
    found: defaultdict[_Key, list[Rle | None]] = defaultdict(lambda: [None] * len(files))
    for frame in frames:
        mask = masks / str(frame["file_name"])
        if (t := places.get(mask.stem)) is None:
            raise UserError(f"{mask}: video {name} has no image of this name")
        things = [s for s in frame["segments_info"] if int(s["category_id"]) in record.categories]
        if not things:
            continue
        ids = read_colour_ids(mask, size)
        for segment in things:
            track = found[int(segment["category_id"]), int(segment["id"])]
            track[t] = mask_or_none(ids == int(segment["id"]))
    record.add(name, files, size, _tracks(found))


def _tracks(found: Mapping[_Key, list[Rle | None]]) -> list[NewTrack]:
    return [NewTrack(category, masks) for (category, _), masks in found.items()]


def _published(listed: Path, images: Path | None, out: Path) -> Record:
    """The videos of a list by the numbers in their masks."""
    folder = listed.parent
    frames, masks = _images(folder, images), one_of(folder, "panomasks")
    path = one_of(folder, "panoVIPSeg_categories.json")
    raw = read_json(path)
    with shaped(f"{path}: not the categories of VIPSeg"):
        record = Record(out, _things(raw))
        known = {int(category["id"]) for category in raw}
    for name in filter(None, map(str.strip, read_lines(listed))):
        pngs = sorted((masks / name).glob("*.png"))
        if not pngs:
            raise UserError(f"{listed}: {name}: {masks / name} has no masks")
        _add_published(record, name, [_frame(frames / name / p.name) for p in pngs], pngs, known)
    return record


def _add_published(
    record: Record, name: str, files: list[Path], pngs: list[Path], known: set[int]
) -> None:
    """A video; classes count from 1 in masks, from 0 among the ``known`` ones."""
    size = frame_size(files[0])
    found: defaultdict[_Key, list[Rle | None]] = defaultdict(lambda: [None] * len(files))
    for t, png in enumerate(pngs):
        ids = read_ids(png, size)
        for number in map(int, np.unique(ids[ids > 0])):
            category = (number if number < NUMBERED else number // 100) - 1
            if category not in known:
                raise UserError(f"{png}: number {number} is of none of VIPSeg's classes")
            if category in record.categories:
                found[category, number][t] = mask_or_none(ids == number)
    record.add(name, files, size, _tracks(found))
