"""VIPSeg: panoptic masks of videos, of which the things become tracks."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from core.data.convert.id_masks import mask_or_none, read_colour_ids
from core.data.convert.record import NewTrack, Record, frame_size, one_of, shaped
from core.data.rle import Rle
from core.errors import UserError
from core.files import read_json


def convert_vipseg(source: Path, images: Path | None, out: Path) -> Record:
    """``panoptic_gt_VIPSeg_train.json`` (or that file itself) with ``panomasksRGB`` and ``imgs``.

    A segment's id is red + 256 green + 256^2 blue, the same in all frames of its video.  Classes
    with ``isthing`` 1 are kept.  A mask belongs to the image of its name.

    Raises:
        UserError: a file lacks a key, or an image is missing or of another size, or a mask
            belongs to no image.
    """
    names = [f"panoptic_gt_VIPSeg_{split}.json" for split in ("train", "val", "test")]
    path = source if source.is_file() else one_of(source, *names)
    folder = path.parent
    frames, masks = images or one_of(folder, "imgs", "images"), one_of(folder, "panomasksRGB")
    raw = read_json(path)
    with shaped(f"{path}: not a VIPSeg file"):
        things = {int(c["id"]): str(c["name"]) for c in raw["categories"] if _is_thing(c)}
        record = Record(out, things)
        of_videos = {str(a["video_id"]): a["annotations"] for a in raw["annotations"]}
        for video in raw["videos"]:
            name = str(video["video_id"])
            files = [_frame(frames / name / str(i["file_name"])) for i in video["images"]]
            _add(record, name, files, of_videos[name], masks / name)
    return record


def _is_thing(category: dict[str, Any]) -> bool:
    if category["isthing"] not in (0, 1):
        raise ValueError(f"isthing is {category['isthing']!r:.80}, expected 0 or 1")
    return bool(category["isthing"])


def _frame(path: Path) -> Path:
    """The image of a frame, for which the published files have the name of its mask."""
    return path if path.exists() else path.with_suffix(".jpg")


def _add(record: Record, name: str, files: list[Path], frames: list[Any], masks: Path) -> None:
    if not files:
        raise ValueError(f"video {name} has no images")
    size = frame_size(files[0])
    places = {file.stem: t for t, file in enumerate(files)}
    found: defaultdict[tuple[int, int], list[Rle | None]] = defaultdict(lambda: [None] * len(files))
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
    record.add(name, files, size, [NewTrack(kind, track) for (kind, _), track in found.items()])
