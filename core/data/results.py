"""What a results file must satisfy before it is scored or sent to a server.

A result is one predicted track: ``{"video_id", "category_id", "score", "segmentations"}`` with a
compressed RLE or null for every frame of its video.  Faults are collected, not raised one by one,
and each names its entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from core.data.rle import Rle, check_counts
from core.errors import UserError

KEYS = ("video_id", "category_id", "score", "segmentations")
SHOWN_FAULTS = 10
SHOWN_CHOICES = 50
MASKS_A_CALL = 255
"""pycocotools' ``area`` raises OverflowError for more at once (2.0.11 with numpy 2)."""
CONTINUED = 80
"""Characters from here on say that the number goes on in the next one."""
LONGEST_RUN = 7
"""Characters of the longest run length, 32 bits."""

_coco_area: Any = coco.area  # which has no annotations that mypy could check
Value = TypeVar("Value")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class VideoShape:
    """What a track of the video must have: one mask of height x width a frame."""

    name: str
    height: int
    width: int
    length: int


@dataclass(frozen=True)
class Expected:
    """The videos (by id) and category names (by id) that results may speak of."""

    videos: dict[int, VideoShape]
    categories: dict[int, str]


def expected_of(annotations: Any, source: str = "annotations") -> Expected:
    """Videos and categories of an annotation file's content.

    Args:
        annotations: the content; only its ``videos`` and ``categories`` are read.
        source: the file's name, for messages.

    Raises:
        UserError: not the content of an annotation file, or ids that repeat.
    """
    if not isinstance(annotations, Mapping):
        raise UserError(f"{source}: an annotation file holds an object, not {_kind(annotations)}")
    for key in ("videos", "categories"):
        if not isinstance(annotations.get(key), list):
            raise UserError(f"{source}: has no list {key!r}; it is not a YouTube-VIS file")
    return Expected(
        videos=_by_id(annotations["videos"], _shape, f"{source}: videos"),
        categories=_by_id(
            annotations["categories"], lambda c: str(c["name"]), f"{source}: categories"
        ),
    )


def entry_faults(results: Any, expected: Expected) -> list[str]:
    """Everything wrong with the results except inside their masks (see :func:`mask_areas`)."""
    if not isinstance(results, list):
        return [f"results are a list of tracks, not {_kind(results)}"]
    faults = []
    told: set[str] = set()
    for index, entry in enumerate(results):
        for fault, choices in _faults_of(entry, expected):
            # valid ids are listed once, not again for each of a thousand entries
            known = "" if choices is None or choices in told else f"; known: {choices}"
            told.update([choices] if choices else [])
            faults.append(f"{entry_name(index, entry)}: {fault}{known}")
    return faults


def mask_faults(results: Sequence[Mapping[str, Any]], expected: Expected) -> list[str]:
    """Everything wrong with the masks of results that have no :func:`entry_faults`."""
    faults = []
    for index, entry in enumerate(results):
        video = expected.videos[entry["video_id"]]
        try:
            mask_areas(entry["segmentations"], video.height, video.width)
        except ValueError as error:
            faults.append(f"{entry_name(index, entry)}: {error}")
    return faults


def entry_name(index: int, entry: Any) -> str:
    """How messages call an entry: ``result 17 (video 3)``."""
    video = entry.get("video_id") if isinstance(entry, Mapping) else None
    return f"result {index}" if video is None else f"result {index} (video {video!r})"


def raise_faults(faults: Sequence[str], heading: str) -> None:
    """Raise one error that lists the first faults and counts the rest; none: return.

    Raises:
        UserError: there are faults.
    """
    if not faults:
        return
    lines = [heading, *(f"  {fault}" for fault in faults[:SHOWN_FAULTS])]
    if len(faults) > SHOWN_FAULTS:
        lines.append(f"  ... and {len(faults) - SHOWN_FAULTS} more")
    raise UserError("\n".join(lines))


def mask_areas(segmentations: Sequence[Any], height: int, width: int) -> Ints:
    """(frames,) pixels of each compressed RLE, 0 for null, every one checked.

    Raises:
        ValueError: names the frames (from 0) whose mask is malformed or of another size.
    """
    frames = [f for f, mask in enumerate(segmentations) if mask is not None]
    found = areas_if_valid([segmentations[f] for f in frames], height, width)
    if found is None:
        faults = ((f, _mask_fault(segmentations[f], height, width)) for f in frames)
        reasons = [f"frame {f}: {fault}" for f, fault in faults if fault]
        if reasons:
            raise ValueError("; ".join(reasons))
        found = _areas([segmentations[f] for f in frames])
    areas = np.zeros(len(segmentations), np.int64)
    areas[frames] = found
    return areas


def areas_if_valid(masks: Sequence[Any], height: int, width: int) -> Ints | None:
    """(masks,) pixels of each compressed RLE; none if any may be malformed or of another size.

    pycocotools does not check: given run lengths that do not add up to the frame it computes a
    wrong area, hangs or crashes.  This checks and measures hundreds of thousands a
    second, and leaves what looks odd to the exact :func:`core.data.rle.check_counts`.
    Only run lengths that add up although some are negative pass unseen; no encoder makes them.
    """
    if not masks:
        return np.zeros(0, np.int64)
    size = [height, width]
    try:
        sizes, counts = [m["size"] for m in masks], [m["counts"] for m in masks]
    except (KeyError, TypeError, IndexError):
        return None
    if set(map(type, masks)) != {dict} or set(map(type, counts)) != {str} or not all(counts):
        return None
    if sizes.count(size) + sizes.count(tuple(size)) != len(sizes):
        return None
    text = "".join(counts).encode("ascii", "replace")
    codes = np.frombuffer(text, np.uint8)
    lengths = np.fromiter(map(len, counts), np.int64, len(counts))
    stops = np.cumsum(lengths)
    if codes.min() < 48 or codes.max() > 111 or codes[stops - 1].max() >= CONTINUED:
        return None
    foreground = _areas(masks)
    # Without its first run a code tells the complement: what was background counts as
    # foreground.  All three parts together must fill the frame.
    rest, first = _first_runs(codes, stops - lengths)
    rests = zip(rest.tolist(), stops.tolist(), strict=True)
    background = _areas([{"size": size, "counts": text[i:j]} for i, j in rests])
    return foreground if (foreground + background + first == height * width).all() else None


def _first_runs(codes: npt.NDArray[np.uint8], starts: Ints) -> tuple[Ints, Ints]:
    """Where the first number of each code ends, and that number.

    A number is five bits a character, lowest first, and goes on while the sixth is set; the last
    character's fifth is the sign.
    """
    ends, value = starts.copy(), np.zeros_like(starts)
    goes_on = np.ones(len(starts), bool)
    for place in range(LONGEST_RUN):
        code = codes.take(starts + place, mode="clip").astype(np.int64) - 48
        negative = goes_on & ((code & 48) == 16)
        value += (code & 31) * goes_on << 5 * place
        value -= negative << np.int64(5 * place + 5)
        ends += goes_on
        goes_on &= code >= 32
        if not goes_on.any():
            break
    return ends, value


def _areas(masks: Sequence[Any]) -> Ints:
    parts = [masks[i : i + MASKS_A_CALL] for i in range(0, len(masks), MASKS_A_CALL)]
    return np.concatenate([_coco_area(list(part)) for part in parts]).astype(np.int64)


def _mask_fault(mask: Any, height: int, width: int) -> str | None:
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
        return (
            "a mask is null or a compressed RLE {'size': [height, width], 'counts': string}, "
            f"not {_kind(mask)}"
        )
    size = mask.get("size")
    if size not in ([height, width], (height, width)):
        return f"mask of size {size}, but the video has [{height}, {width}]"
    try:
        check_counts(Rle(size=[height, width], counts=mask["counts"]))
    except ValueError as error:
        return str(error)
    return None


def _faults_of(entry: Any, expected: Expected) -> Iterator[tuple[str, str | None]]:
    """Each fault of an entry and, where an id is unknown, the known ones."""
    if not isinstance(entry, Mapping):
        yield f"a track is an object with the keys {', '.join(KEYS)}, not {_kind(entry)}", None
        return
    missing = [key for key in KEYS if key not in entry]
    if missing:
        yield f"has no {', '.join(missing)}; a track has {', '.join(KEYS)}", None
    if "category_id" in entry and not is_known(entry["category_id"], expected.categories):
        named = [f"{i} ({name})" for i, name in sorted(expected.categories.items())]
        yield f"unknown category_id {entry['category_id']!r}", _listed(named)
    if "score" in entry and not _is_finite_number(entry["score"]):
        yield f"score {entry['score']!r} is not a finite number", None
    if "video_id" in entry and not is_known(entry["video_id"], expected.videos):
        ids = [str(i) for i in sorted(expected.videos)]
        yield f"unknown video_id {entry['video_id']!r}", _listed(ids)
    elif "video_id" in entry and "segmentations" in entry:
        fault = _length_fault(entry["segmentations"], expected.videos[entry["video_id"]])
        if fault:
            yield fault, None


def _length_fault(segmentations: Any, video: VideoShape) -> str | None:
    if not isinstance(segmentations, list):
        return f"segmentations are a list, a mask or null a frame, not {_kind(segmentations)}"
    if len(segmentations) != video.length:
        found = len(segmentations)
        return f"{found} segmentations, but video {video.name!r} has {video.length} frames"
    return None


def is_known(value: Any, ids: Collection[int]) -> bool:
    """Whether an id, which may be anything that JSON holds, is one of these."""
    # 3.0 and True would be found among integer keys, and no server takes them
    whole = type(value) is int or isinstance(value, np.integer)
    return whole and value in ids


def _is_finite_number(value: Any) -> bool:
    number = type(value) in (float, int) or isinstance(value, (np.floating, np.integer))
    return number and math.isfinite(value)


def _listed(choices: Sequence[str]) -> str:
    shown = ", ".join(choices[:SHOWN_CHOICES]) or "none"
    more = len(choices) - SHOWN_CHOICES
    return f"{shown}, ... and {more} more" if more > 0 else shown


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _shape(video: Mapping[str, Any]) -> VideoShape:
    files = video.get("file_names")
    length = video["length"] if "length" in video or files is None else len(files)
    name = video.get("name") or (str(files[0]).split("/")[0] if files else str(video["id"]))
    return VideoShape(str(name), int(video["height"]), int(video["width"]), int(length))


def _by_id(items: list[Any], value: Callable[[Any], Value], source: str) -> dict[int, Value]:
    found: dict[int, Value] = {}
    for index, item in enumerate(items):
        try:
            key = item["id"]
            content = value(item)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{source}[{index}] is incomplete: {error!r}") from error
        if type(key) is not int:
            raise UserError(f"{source}[{index}]: id {key!r} is not a whole number")
        if key in found:
            raise UserError(f"{source}[{index}]: id {key!r} is there twice")
        found[key] = content
    return found
