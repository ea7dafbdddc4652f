"""What a results file must satisfy before it is scored or sent to a server.

A result is one predicted track: ``{"video_id", "category_id", "score", "segmentations"}`` with a
compressed RLE or null for every frame of its video.  Faults are collected, not raised one by one,
and each names its entry.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from core.data.dataset import Video, VideoDataset
from core.data.rle import mask_areas
from core.errors import UserError
from core.names import listed

_KEYS = ("video_id", "category_id", "score", "segmentations")
SHOWN_FAULTS = 10


def entry_faults(results: Any, dataset: VideoDataset) -> list[str]:
    """Everything wrong with the results except inside their masks (see :func:`mask_faults`)."""
    if not isinstance(results, list):
        return [f"results are a list of tracks, not {_kind(results)}"]
    faults = []
    told: set[str] = set()
    for index, entry in enumerate(results):
        for fault, choices in _faults_of(entry, dataset):
            # valid ids are listed once, not again for each of a thousand entries
            known = "" if choices is None or choices in told else f"; known: {choices}"
            told.update([choices] if choices else [])
            faults.append(f"{entry_name(index, entry)}: {fault}{known}")
    return _of_another_file(results, dataset) + faults


def _of_another_file(results: Sequence[Any], dataset: VideoDataset) -> list[str]:
    """That most videos of these results are not those of the dataset, as one fault; else none.

    Ids begin at 1 in every split, so a video of another one may be known and only be longer.
    """
    named, fitting = set(), set()
    for entry in results:
        number = entry.get("video_id") if isinstance(entry, Mapping) else None
        if type(number) is int:
            named.add(number)
            video, masks = dataset.by_id.get(number), entry.get("segmentations")
            if video is not None and not (isinstance(masks, list) and len(masks) != video.length):
                fitting.add(number)
    strange = len(named) - len(fitting)
    if strange < 2 or strange * 2 <= len(named):
        return []
    return [
        f"{strange} of the {len(named)} videos that these results name are not in "
        f"{dataset.annotations_path}, or have another length there: results of another split?"
    ]


def mask_faults(results: Sequence[Mapping[str, Any]], dataset: VideoDataset) -> list[str]:
    """Everything wrong with the masks of results that have no :func:`entry_faults`."""
    found = (
        mask_fault(index, entry, dataset.by_id[entry["video_id"]])
        for index, entry in enumerate(results)
    )
    return [fault for fault in found if fault]


def mask_fault(index: int, entry: Mapping[str, Any], video: Video) -> str | None:
    """What is wrong with the masks of one result of a video; none: nothing."""
    try:
        mask_areas(entry["segmentations"], video.height, video.width)
    except ValueError as error:
        return f"{entry_name(index, entry)}: {error}"
    return None


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


def _faults_of(entry: Any, dataset: VideoDataset) -> Iterator[tuple[str, str | None]]:
    """Each fault of an entry and, where an id is unknown, the known ones."""
    if not isinstance(entry, Mapping):
        yield f"a track is an object with the keys {', '.join(_KEYS)}, not {_kind(entry)}", None
        return
    missing = [key for key in _KEYS if key not in entry]
    if missing:
        yield f"has no {', '.join(missing)}; a track has {', '.join(_KEYS)}", None
    if "category_id" in entry and not is_known(entry["category_id"], dataset.categories):
        named = [f"{i} ({name})" for i, name in sorted(dataset.categories.items())]
        yield f"unknown category_id {entry['category_id']!r}", listed(named)
    if dataset.of_images and not _is_box_of_image(entry.get("bboxes")):
        yield f"bboxes are [[x, y, width, height]], not {entry['bboxes']!r:.80}", None
    if "score" in entry and not _is_finite_number(entry["score"]):
        yield f"score {entry['score']!r} is not a finite number", None
    if "video_id" in entry and not is_known(entry["video_id"], dataset.by_id):
        yield f"unknown video_id {entry['video_id']!r}", listed(map(str, sorted(dataset.by_id)))
    elif "video_id" in entry and "segmentations" in entry:
        fault = _length_fault(entry["segmentations"], dataset.by_id[entry["video_id"]])
        if fault:
            yield fault, None


def _length_fault(segmentations: Any, video: Video) -> str | None:
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


def _is_box_of_image(value: Any) -> bool:
    """Whether this is absent, or the one box of an image."""
    if value is None:
        return True
    box = value[0] if isinstance(value, list) and len(value) == 1 else None
    return isinstance(box, list | tuple) and len(box) == 4 and all(map(_is_finite_number, box))


def _is_finite_number(value: Any) -> bool:
    number = type(value) in (float, int) or isinstance(value, (np.floating, np.integer))
    return number and math.isfinite(value)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
