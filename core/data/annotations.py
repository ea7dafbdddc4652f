"""From the parsed JSON of an annotation file to videos and tracks, with every fault on the way.

A file in COCO format (``images``; LVIS, too) becomes videos of one frame: an image is a video, an
annotation a track.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from core.data.dataset import Track, Video, VideoDataset
from core.data.images import MOST_PIXELS
from core.data.rle import Box, Ints, Rle, boxes_of, compress, mask_areas
from core.errors import UserError
from core.files import read_json

T = TypeVar("T")

OCCLUSION = {None: 0.0, "no_occlusion": 0.0, "slight_occlusion": 0.25, "severe_occlusion": 0.75}
"""OVIS's levels, with the degrees that its paper gives them."""

_IN_IMAGES = {
    "video": "image",
    "file_names": "file_name",
    "segmentations": "segmentation",
    "bboxes": "bbox",
    "areas": "area",
    "frame 0: ": "",
}
"""How messages about a file in COCO format call things."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a dataset.

    Attributes:
        file: the annotation file or image at fault.
        where: entry within it, such as "track 12 (video 3), frame 5"; empty: the file as a whole.
        what: what is wrong, with the values.
        video_id: of the video that it spoils, where there is one.
        track_id: of the track that it spoils, where there is one.
    """

    file: Path
    where: str
    what: str
    video_id: int | None = None
    track_id: int | None = None

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.file), self.where, self.what) if part)


class DatasetError(UserError):
    """A dataset with faults, all of them in ``faults``; the message lists the first ones."""

    SHOWN = 20

    def __init__(self, name: str, faults: list[Fault]) -> None:
        lines = [f"  {fault}" for fault in faults[: self.SHOWN]]
        if len(faults) > self.SHOWN:
            lines.append(f"  ... and {len(faults) - self.SHOWN} more (tevit data check {name})")
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"{name}: {count} in the dataset:", *lines]))
        self.faults = faults


@dataclass
class Parsed:
    """What a dataset's file holds: the sound entries, and the faults of the others."""

    dataset: VideoDataset
    faults: list[Fault]


def read_annotations(path: Path) -> VideoDataset:
    """The dataset of an annotation file alone: its images are not looked for.

    A track without a pixel stays: scoring counts it as an instance that nothing can find.

    Raises:
        DatasetError: the file has faults; all are listed.
        UserError: there is no such file, or it is not JSON.
    """
    parsed = parse(read_json(path), path, path.parent, path.stem, keep_empty=True)
    if parsed.faults:
        raise DatasetError(str(path), parsed.faults)
    return parsed.dataset


def parse(raw: Any, path: Path, images: Path, name: str, *, keep_empty: bool = False) -> Parsed:
    """Videos, tracks and categories of an annotation file in YouTube-VIS or COCO format.

    Every mask is checked.  An annotation of an image without a pixel, of which COCO has some, stays
    as an instance that is never visible.

    Args:
        raw: the file's parsed JSON.
        path: the file, for messages.
        images: the folder that its file names start from.
        name: of the dataset.
        keep_empty: keep tracks without a pixel; else each is a fault.
    """
    of_images = has_images(raw)
    reader = _Reader(path, images, keep_empty or of_images)
    if not isinstance(raw, dict):
        raw = {}
    for key in ("images" if of_images else "videos", "categories"):
        if not isinstance(raw.get(key), list):
            what = f"not a YouTube-VIS or COCO file: it has no list {key!r}"
            reader.faults.append(Fault(path, "", what))
    # validation sets are published with "annotations": null
    if not isinstance(raw.get("annotations"), list | None):
        reader.faults.append(Fault(path, "", "annotations is not a list"))
    reader.categories = reader.read_all(raw.get("categories"), "category", reader.category)
    if of_images:
        reader.videos = reader.read_all(raw["images"], "image", reader.image)
        tracks = reader.read_all(raw.get("annotations"), "annotation", reader.annotation)
    else:
        reader.videos = reader.read_all(raw.get("videos"), "video", reader.video)
        tracks = reader.read_all(raw.get("annotations"), "track", reader.track)
    dataset = VideoDataset(
        name=name,
        videos=tuple(reader.videos.values()),
        tracks=tuple(tracks.values()),
        categories=reader.categories,
        annotations_path=path,
        annotated=isinstance(raw.get("annotations"), list),
        of_images=of_images,
    )
    return Parsed(dataset, reader.faults)


def has_images(raw: Any) -> bool:
    """Whether a file's parsed JSON is in COCO format."""
    return isinstance(raw, dict) and "videos" not in raw and isinstance(raw.get("images"), list)


def with_slashes(name: str) -> str:
    """A file name as it is written here; some files (LV-VIS) were written on Windows."""
    return name.replace("\\", "/")


def image_name(entry: dict[str, Any]) -> Any:
    """The file name of an entry of ``images``; LVIS gives an address that ends with it."""
    url = entry.get("coco_url")
    given = "/".join(url.split("/")[-2:]) if isinstance(url, str) else None
    return entry.get("file_name", given)


class _BadEntry(Exception):
    """The entry being read is of no use; each argument says one reason."""


@dataclass
class _Reader:
    path: Path
    images: Path
    keep_empty: bool
    faults: list[Fault] = field(default_factory=list)
    categories: dict[int, str] = field(default_factory=dict)
    videos: dict[int, Video] = field(default_factory=dict)
    broken_videos: set[int] = field(default_factory=set)

    def read_all(
        self, entries: Any, kind: str, read: Callable[[dict[str, Any]], T | None]
    ) -> dict[int, T]:
        """The sound entries by id; ``read`` gives ``None`` for one to leave out silently."""
        found: dict[int, T] = {}
        seen: set[int] = set()
        for place, entry in enumerate(entries if isinstance(entries, list) else []):
            where = f"{kind} at place {place}"
            try:
                if not isinstance(entry, dict):
                    raise _BadEntry(f"expected an object, found {entry!r:.80}")
                number = _whole(entry, "id")
                where = f"{kind} {number}"
                if number in seen:
                    raise _BadEntry(f"duplicate id: another {kind} has it already")
                seen.add(number)
                value = read(entry)
                if value is not None:
                    found[number] = value
            except _BadEntry as bad:
                self._report(bad, kind, where, entry)
        return found

    def _report(self, bad: _BadEntry, kind: str, where: str, entry: Any) -> None:
        ids = entry if isinstance(entry, dict) else {}
        owner = {"track": "video", "annotation": "image"}.get(kind)
        if owner and ids.get(f"{owner}_id") is not None:
            where += f" ({owner} {ids[f'{owner}_id']})"
        spoilt = {"video": "video_id", "image": "video_id"}.get(kind, "track_id" if owner else "")
        number = {spoilt: ids["id"]} if spoilt and type(ids.get("id")) is int else {}
        for what in map(str, bad.args):
            if kind in ("image", "annotation"):
                for word, other in _IN_IMAGES.items():
                    what = what.replace(word, other)
            self.faults.append(Fault(self.path, where, what, **number))

    def category(self, entry: dict[str, Any]) -> str:
        if not isinstance(entry.get("name"), str):
            raise _BadEntry(f"name is {entry.get('name')!r}, expected a text")
        return str(entry["name"])

    def video(self, entry: dict[str, Any]) -> Video:
        self.broken_videos.add(entry["id"])
        names = entry.get("file_names")
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not names:
            raise _BadEntry("file_names is not a list of one or more file names")
        if entry.get("length", len(names)) != len(names):
            raise _BadEntry(f"length is {entry['length']}, but it has {len(names)} file_names")
        for file in names:
            if not _can_name_a_file(file):
                raise _BadEntry(f"file_names has {file!r:.80}, which no file can be called")
        names = [with_slashes(name) for name in names]
        height, width = _positive(entry, "height"), _positive(entry, "width")
        if height * width > MOST_PIXELS:
            raise _BadEntry(f"frames of {width}x{height} are too large")
        parent = str(Path(names[0]).parent)
        video = Video(
            id=entry["id"],
            name=str(entry.get("name") or entry["id"]) if parent == "." else parent,
            width=width,
            height=height,
            files=tuple(self.images / name for name in names),
        )
        self.broken_videos.remove(video.id)
        return video

    def image(self, entry: dict[str, Any]) -> Video:
        self.broken_videos.add(entry["id"])
        name = image_name(entry)
        if not isinstance(name, str):
            raise _BadEntry(f"file_name is {name!r:.80}, expected a text")
        video = self.video({**entry, "file_names": [name], "length": 1})
        return replace(video, name=name)

    def annotation(self, entry: dict[str, Any]) -> Track | None:
        if "segmentation" not in entry:
            raise _BadEntry("it has no segmentation: masks are trained, not boxes alone")
        return self.track(
            {
                **{key: entry.get(key) for key in ("id", "category_id", "iscrowd")},
                "video_id": entry.get("image_id"),
                "segmentations": [entry["segmentation"]],
                "areas": [entry.get("area")],
                "bboxes": [entry.get("bbox")],
            }
        )

    def track(self, entry: dict[str, Any]) -> Track | None:
        if type(entry.get("video_id")) is int and entry["video_id"] in self.broken_videos:
            return None  # reported with its video
        problems: list[str] = []
        video = _attempt(problems, self._video_of, entry)
        _attempt(problems, self._check_category, entry)
        crowd = _attempt(problems, _crowd, entry)
        masks, boxes, areas = None, None, None
        if video is not None:
            _attempt(problems, _check_size, entry, video)
            masks = _attempt(problems, _masks, entry, video)
        if video is not None and masks is not None:
            pixels = _attempt(problems, self._pixels, masks, video)
            if pixels is not None:
                boxes = _attempt(problems, _boxes, entry, masks, video)
                areas = _attempt(problems, _areas, entry, masks, pixels, video)
        if problems or video is None or masks is None or boxes is None or areas is None:
            raise _BadEntry(*problems)
        return Track(
            id=entry["id"],
            video_id=video.id,
            category_id=entry["category_id"],
            segmentations=masks,
            boxes=boxes,
            areas=areas,
            crowd=bool(crowd),
            occlusion=_occlusion(entry, video.length),
        )

    def _video_of(self, entry: dict[str, Any]) -> Video:
        if (video := self.videos.get(_whole(entry, "video_id"))) is None:
            raise _BadEntry(f"unknown video id {entry['video_id']}")
        return video

    def _check_category(self, entry: dict[str, Any]) -> None:
        if _whole(entry, "category_id") not in self.categories:
            valid = ", ".join(map(str, sorted(self.categories))) or "none"
            raise _BadEntry(f"unknown category {entry['category_id']}; the file has {valid}")

    def _pixels(self, masks: tuple[Rle | None, ...], video: Video) -> Ints:
        """(frames,) pixels of each mask, 0 for null."""
        try:
            pixels = mask_areas(masks, video.height, video.width)
        except ValueError as error:
            raise _BadEntry(_first(str(error).split("; "))) from error
        if not self.keep_empty and not pixels.any():
            shown = any(mask is not None for mask in masks)
            why = "no mask has a pixel" if shown else "no frame has a mask"
            raise _BadEntry(f"empty track: {why}")
        return pixels


def _attempt(problems: list[str], read: Callable[..., T], *arguments: Any) -> T | None:
    try:
        return read(*arguments)
    except _BadEntry as bad:
        problems += bad.args
        return None


def _check_size(entry: dict[str, Any], video: Video) -> None:
    for side in ("height", "width"):
        if entry.get(side) not in (None, getattr(video, side)):
            raise _BadEntry(f"{side} is {entry[side]}, but the video's is {getattr(video, side)}")


def _crowd(entry: dict[str, Any]) -> bool:
    value = entry.get("iscrowd")
    if value is not None and (not isinstance(value, int | float) or value not in (0, 1)):
        raise _BadEntry(f"iscrowd is {value!r:.80}, expected 0 or 1")
    return value == 1


def _masks(entry: dict[str, Any], video: Video) -> tuple[Rle | None, ...]:
    masks: list[Rle | None] = []
    bad: list[str] = []
    for frame, segmentation in enumerate(_per_frame(entry, "segmentations", video.length)):
        try:
            masks.append(compress(segmentation, video.height, video.width))
        except ValueError as error:
            bad.append(f"frame {frame}: {error}")
    if bad:
        raise _BadEntry(_first(bad))
    return tuple(masks)


def _first(bad: list[str]) -> str:
    return bad[0] + (f" (and {len(bad) - 1} more frames)" if len(bad) > 1 else "")


def _occlusion(entry: dict[str, Any], length: int) -> tuple[float, ...] | None:
    """OVIS's levels; other files may mean something else by the key."""
    levels = entry.get("occlusion")
    if not isinstance(levels, list) or len(levels) != length:
        return None
    if not all(isinstance(level, str | None) and level in OCCLUSION for level in levels):
        return None
    return tuple(OCCLUSION[level] for level in levels)


def _boxes(
    entry: dict[str, Any], masks: tuple[Rle | None, ...], video: Video
) -> tuple[Box | None, ...]:
    """The file's own where they show a pixel, else around the mask; ``None`` without a mask.

    So that an instance whose mask is there does not leave the targets because of its box.
    """
    given = zip(masks, _optional(entry, "bboxes", len(masks)), strict=True)
    boxes: list[Box | None] = []
    for frame, (mask, value) in enumerate(given):
        box = None if mask is None or value is None else _box(value, frame)
        boxes.append(box if box is not None and _shows_a_pixel(box, video) else None)
    lacking = {frame: mask for frame, mask in enumerate(masks) if mask and boxes[frame] is None}
    for frame, around in zip(lacking, boxes_of(list(lacking.values())), strict=True):
        boxes[frame] = around
    return tuple(boxes)


def _shows_a_pixel(box: Box, video: Video) -> bool:
    x, y, width, height = box
    across = min(x + width, video.width) - max(x, 0.0)
    down = min(y + height, video.height) - max(y, 0.0)
    return min(across, down) >= 1


def _areas(
    entry: dict[str, Any], masks: tuple[Rle | None, ...], pixels: Ints, video: Video
) -> tuple[float | None, ...]:
    """The file's own where it has them and there is a mask; but whether there is one, masks say."""
    most = video.height * video.width
    areas: list[float | None] = []
    given = _optional(entry, "areas", len(masks))
    for frame, (mask, own, area) in enumerate(zip(masks, pixels.tolist(), given, strict=True)):
        if mask is not None and area is not None and not 0 <= _number(area, frame, "areas") <= most:
            raise _BadEntry(f"frame {frame}: areas has {area}, expected 0 to {most} pixels")
        areas.append(None if mask is None else float((own and area) or own))
    return tuple(areas)


def _box(value: Any, frame: int) -> Box:
    if not isinstance(value, list) or len(value) != 4:
        raise _BadEntry(f"frame {frame}: a box is [x, y, width, height], not {value!r:.80}")
    x, y, width, height = (_number(number, frame, "bboxes") for number in value)
    return (x, y, width, height)


def _number(value: Any, frame: int, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _BadEntry(f"frame {frame}: {key}: expected a finite number, found {value!r:.80}")
    return float(value)


def _can_name_a_file(name: str) -> bool:
    try:
        parts = name.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    return bool(name) and b"\0" not in name.encode() and all(len(p) <= 255 for p in parts)


def _per_frame(entry: dict[str, Any], key: str, length: int) -> list[Any]:
    values = entry.get(key)
    if not isinstance(values, list):
        raise _BadEntry(f"{key} is not a list")
    if len(values) != length:
        raise _BadEntry(f"{len(values)} {key}, but the video has {length} frames")
    return values


def _optional(entry: dict[str, Any], key: str, length: int) -> list[Any]:
    return [None] * length if entry.get(key) is None else _per_frame(entry, key, length)


def _whole(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _BadEntry(f"{key} is {value!r:.80}, expected a whole number")
    return value


def _positive(entry: dict[str, Any], key: str) -> int:
    value = _whole(entry, key)
    if value < 1:
        raise _BadEntry(f"{key} is {value}, expected at least 1")
    return value
