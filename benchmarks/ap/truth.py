"""Ground truth of a video dataset as scoring needs it: tracks by video, masks in any form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.results import Expected, VideoShape, expected_of, is_known, mask_areas, raise_faults
from core.data.rle import Rle, compress
from core.errors import UserError

KEYS = ("video_id", "category_id", "segmentations")


@dataclass(frozen=True)
class TruthTrack:
    """One annotated instance.

    Attributes:
        name: how messages call it.
        category_id: of the annotation file.
        crowd: whether it is a group: neither found nor missed instances count.
        area: mean pixels over its non-empty frames as the file says; none: from the masks.
        segmentations: a frame: null, polygons, uncompressed or compressed RLE.
    """

    name: str
    category_id: int
    crowd: bool
    area: float | None
    segmentations: list[Any]

    def masks(self, video: VideoShape) -> tuple[list[Rle | None], npt.NDArray[np.int64]]:
        """Compressed masks, one or none a frame, and their areas (frames,).

        Raises:
            ValueError: a mask is malformed or of another size than the video.
        """
        masks: list[Rle | None] = []
        for frame, segmentation in enumerate(self.segmentations):
            try:
                masks.append(_compressed(segmentation, video))
            except (ValueError, TypeError) as error:
                raise ValueError(f"frame {frame}: {error}") from error
        return masks, mask_areas(masks, video.height, video.width)


@dataclass(frozen=True)
class GroundTruth:
    """Videos, categories and the tracks of each video (by video id, in the file's order)."""

    expected: Expected
    tracks: dict[int, list[TruthTrack]]


def read_truth(annotations: Any, source: str = "ground truth") -> GroundTruth:
    """The ground truth in an annotation file's content; masks are not read yet.

    Raises:
        UserError: there are no annotations (as in the published validation files), or some of
            them do not fit the file's videos and categories.
    """
    expected = expected_of(annotations, source)
    items = annotations.get("annotations")
    if not isinstance(items, list):
        raise UserError(
            f"{source}: has no annotations, so nothing to score against. The validation sets' "
            "are kept by the challenge servers: `tevit data export` writes what they take."
        )
    faults: list[str] = []
    tracks: dict[int, list[TruthTrack]] = defaultdict(list)
    for index, item in enumerate(items):
        fault = _fault(item, expected)
        if fault is None:
            tracks[item["video_id"]].append(_track(index, item))
        else:
            faults.append(f"{_name(index, item)}: {fault}")
    raise_faults(faults, f"{source}: {len(faults)} annotations cannot be scored against:")
    return GroundTruth(expected, dict(tracks))


def part_of_truth(annotations: Any, videos: Collection[int], source: str) -> dict[str, Any]:
    """An annotation file's content with these videos (ids) alone.

    Raises:
        UserError: not the content of an annotation file, or it lacks some of the videos.
    """
    wanted, known = set(videos), expected_of(annotations, source).videos.keys()
    faults = [f"video {video}" for video in sorted(wanted - known)]
    raise_faults(faults, f"{source}: lacks {len(faults)} of the videos to score:")
    items = annotations.get("annotations")
    if isinstance(items, list):
        # one of an unknown video is kept, so that scoring names it
        others = known - wanted
        items = [
            item
            for item in items
            if not (isinstance(item, dict) and is_known(item.get("video_id"), others))
        ]
    of_wanted = [video for video in annotations["videos"] if video["id"] in wanted]
    return {**annotations, "videos": of_wanted, "annotations": items}


def mean_areas(areas: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(N,) mean of (N, T) areas over the frames that are not empty; 0 if all are."""
    return np.asarray(areas.sum(1) / np.maximum((areas != 0).sum(1), 1), np.float64)


def _compressed(segmentation: Any, video: VideoShape) -> Rle | None:
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str):
        return segmentation  # type: ignore[return-value]  # checked with the others, faster
    return compress(segmentation, video.height, video.width)


def _track(index: int, item: Mapping[str, Any]) -> TruthTrack:
    areas = item.get("areas")
    return TruthTrack(
        name=_name(index, item),
        category_id=item["category_id"],
        crowd=bool(item.get("iscrowd", 0)),
        area=None if areas is None else float(np.mean([a for a in areas if a] or [0])),
        segmentations=item["segmentations"],
    )


def _fault(item: Any, expected: Expected) -> str | None:
    if not isinstance(item, Mapping):
        return "is not an object"
    missing = [key for key in KEYS if key not in item]
    if missing:
        return f"has no {', '.join(missing)}"
    if not is_known(item["video_id"], expected.videos):
        return f"video_id {item['video_id']!r} is not among the file's videos"
    if not is_known(item["category_id"], expected.categories):
        return f"category_id {item['category_id']!r} is not among the file's categories"
    video, found = expected.videos[item["video_id"]], item["segmentations"]
    if not isinstance(found, list) or len(found) != video.length:
        count = len(found) if isinstance(found, list) else "no list of"
        return f"{count} segmentations, but video {video.name!r} has {video.length} frames"
    return None


def _name(index: int, item: Any) -> str:
    return f"annotation {item.get('id', index)!r}" if isinstance(item, Mapping) else f"[{index}]"
