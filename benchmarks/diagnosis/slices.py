"""AP and AR of a part of the annotated tracks: the long, the fast, the occluded, ...

A slicing gives every annotated track a number and divides the numbers into three ranges.  As for
the sizes of AP, a track outside a range need not be found there; predicted tracks that find it
count neither for nor against, and those that find nothing count against in every range.  Where
videos are divided (how crowded they are), a range is scored on its own videos alone.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.ap.accumulate import Matches, gather
from benchmarks.ap.match import THRESHOLDS, VideoMatches
from benchmarks.ap.tracks import Bools, Ints
from benchmarks.diagnosis.errors import greedy
from benchmarks.diagnosis.examine import DatasetFindings, VideoFindings
from core.data.dataset import Track, VideoDataset
from core.errors import UserError

OCCLUSION_BOUNDS = (0.25, 0.5)
"""Of OVIS's three groups: slight, moderate, heavy."""
TAKEN = (
    *("AP", "tracking", "errors", "length", "speed", "occlusion", "instances"),
    *("kind", "schema", "created", "name", "protocol", "per_class", "all_classes"),
    *("thresholds", "counts"),
)
"""What a record of a diagnosis has already, so no slicing of a user's can be called that."""


@dataclass(frozen=True)
class Slicing:
    """Three ranges of annotated tracks.

    Attributes:
        name: what the tracks are divided by.
        labels: of the ranges, by rising numbers.
        numbers: of each annotated track by id; a track without one is in no range.
        bounds: the largest number of the first range, and of the second.
        of_videos: the number is the same for all tracks of a video.
    """

    name: str
    labels: tuple[str, str, str]
    numbers: Mapping[int, float]
    bounds: tuple[float, float]
    of_videos: bool = False

    def ranges(self, tracks: Sequence[Track]) -> Ints:
        """(G,) 0, 1 or 2; -1: none."""
        numbers = np.array([self.numbers.get(track.id, np.nan) for track in tracks], np.float64)
        places = np.searchsorted(self.bounds, numbers, side="left")
        crowd = np.array([track.crowd for track in tracks], bool)
        return np.where(np.isnan(numbers) | crowd, -1, places)

    def told(self, dataset: VideoDataset) -> dict[str, str]:
        """Which annotated tracks ``AP`` and ``AR`` of each range are of."""
        low, high = (f"{bound:.3g}" for bound in self.bounds)
        bounds = (f"up to {low}", f"above {low}, up to {high}", f"above {high}")
        found: dict[str, str] = {}
        for bound, (label, size) in zip(bounds, self.sizes(dataset).items(), strict=True):
            text = f"{size} instance{'s' * (size > 1)}: {bound}" if size else "no instances"
            found |= {f"AP {label}": text, f"AR {label}": text}
        return found

    def sizes(self, dataset: VideoDataset) -> dict[str, int]:
        """Annotated tracks of each range."""
        return {label: len(videos) for label, videos in self._videos(dataset).items()}

    def of_one_video(self, dataset: VideoDataset) -> list[str]:
        """Ranges whose tracks are all of the same video, so that resamples tell nothing."""
        return [label for label, of in self._videos(dataset).items() if len(set(of)) == 1]

    def _videos(self, dataset: VideoDataset) -> dict[str, list[int]]:
        """By range, the video of each of its tracks."""
        ranges = self.ranges(dataset.tracks).tolist()
        videos = [track.video_id for track in dataset.tracks]
        return {
            label: [video for video, of in zip(videos, ranges, strict=True) if of == place]
            for place, label in enumerate(self.labels)
        }


def slicings(dataset: VideoDataset) -> list[Slicing]:
    """By length, speed, occlusion, and how crowded the video is; bounds are thirds of the tracks,
    those of occlusion OVIS's."""
    tracks = [track for track in dataset.tracks if not track.crowd and any(track.areas)]
    others: dict[int, list[Track]] = {}
    for track in tracks:
        others.setdefault(track.video_id, []).append(track)
    occlusion = {t.id: track_occlusion(t, others[t.video_id]) for t in tracks}
    crowds = {track.id: float(len(others[track.video_id])) for track in tracks}
    return [
        thirds("length", ("short", "middle", "long"), _numbers(tracks, track_length)),
        thirds("speed", ("slow", "middle", "fast"), _numbers(tracks, track_speed)),
        Slicing("occlusion", ("slight", "moderate", "heavy"), occlusion, OCCLUSION_BOUNDS),
        thirds("instances", ("few", "some", "many"), crowds, of_videos=True),
    ]


def thirds(
    name: str,
    labels: tuple[str, str, str],
    numbers: Mapping[int, float],
    *,
    of_videos: bool = False,
) -> Slicing:
    """Ranges of about as many tracks each; equal numbers stay together."""
    values = list(numbers.values()) or [0.0]
    low, high = np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf").tolist()
    return Slicing(name, labels, numbers, (low, high), of_videos)


def track_length(track: Track) -> float:
    """Frames that show the instance."""
    return float(sum(map(bool, track.areas)))


def track_speed(track: Track) -> float:
    """Mean way of the box's centre from frame to frame, in units of the box's size: the root of
    its area, mean of both frames.  NaN for an instance of one frame."""
    frames = [f for f in range(len(track.boxes)) if track.visible(f)]
    if len(frames) < 2:
        return math.nan
    boxes = np.array([track.boxes[f] for f in frames], np.float64)
    way = np.hypot(*np.diff(boxes[:, :2] + boxes[:, 2:] / 2, axis=0).T) / np.diff(frames)
    size = np.sqrt(boxes[:, 2] * boxes[:, 3])
    return float((way / (size[1:] + size[:-1]) * 2).mean())


def track_occlusion(track: Track, others: Sequence[Track]) -> float:
    """OVIS's degree of occlusion: mean of the upper half of the frames' levels.

    The levels are the file's (0, 0.25 and 0.75 for none, slight and severe), else the largest
    share of its box that another instance's covers.
    """
    shown = [f for f in range(len(track.boxes)) if track.visible(f)]
    if not shown:
        return math.nan
    levels = [_level(track, others, frame) for frame in shown]
    upper = sorted(levels, reverse=True)[: math.ceil(len(levels) / 2)]
    return float(np.mean(upper))


def read_slicings(
    path: Path, dataset: VideoDataset, whole: VideoDataset | None = None
) -> list[Slicing]:
    """Slicings of the user's own: a CSV of track ids and numbers, a slicing a column.

    Args:
        whole: what ``dataset`` is a part of; numbers of its other tracks are passed over.

    Raises:
        UserError: the file cannot be read, names a track twice or one that the dataset lacks, or
            has a column without numbers or with a name that cannot be used.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows, heads = list(reader), list(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not rows or None in rows[0] or len(rows[0]) < 2:
        raise UserError(f"{path}: expected a CSV with a head such as track_id,blur, and rows")
    if len(set(heads)) < len(heads):
        raise UserError(f"{path}: two columns have the same name: {', '.join(heads)}")
    first, *names = heads
    for name in names:
        if not name.strip() or name in TAKEN:
            raise UserError(f"{path}: a column is called {name!r}; choose another name")
    scored = {track.id for track in dataset.tracks}
    known = {track.id for track in (whole or dataset).tracks}
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    seen: set[int] = set()
    for line, row in enumerate(rows, start=2):
        number = int(_parsed(int, row[first], f"{path}, line {line}: {first}"))
        if number not in known:
            raise UserError(
                f"{path}, line {line}: {dataset.annotations_path} has no track {number}; "
                f"its {len(known)} ids are those of its annotations"
            )
        if number in seen:
            raise UserError(f"{path}, line {line}: track {number} occurs twice")
        seen.add(number)
        for name in names:
            if row[name]:
                value = _parsed(float, row[name], f"{path}, line {line}: {name}")
                if number in scored:
                    found[name][number] = value
    for name, numbers in found.items():
        if not numbers:
            raise UserError(f"{path}: column {name!r} has no number of a track that is scored")
    return [thirds(name, ("low", "middle", "high"), found[name]) for name in names]


def sliced(findings: DatasetFindings, slicing: Slicing) -> Matches:
    """The matches with the slicing's ranges in the place of the sizes of AP."""
    dataset = findings.dataset
    numbers = sorted(dataset.by_id)
    parts = [
        _slice_video(video, slicing, slicing.ranges(dataset.tracks_of(number)))
        for number, video in zip(numbers, findings.videos, strict=True)
    ]
    return gather(parts, list(dataset.categories))


def _slice_video(video: VideoFindings, slicing: Slicing, ranges: Ints) -> VideoMatches:
    matches = video.matches
    crowd = matches.truth_ignored[:, 0]
    outside = np.stack([crowd, *(ranges != place for place in range(3))], 1)
    matched = np.stack([_match_anew(video, out, crowd) for out in outside.T], 1)
    ignored = np.zeros(matched.shape, bool)
    for place, out in enumerate(outside.T):
        found = matched[:, place] >= 0
        ignored[:, place] = found & out[matched[:, place]] if len(out) else False
        if slicing.of_videos and place and not (~out).any():
            ignored[:, place] = True
    outside[:, 0] = True  # nobody asks for the AP of all again, so it takes no time
    return replace(matches, matched=matched >= 0, ignored=ignored, truth_ignored=outside)


def _match_anew(video: VideoFindings, outside: Bools, crowd: Bools) -> Ints:
    """(D, T) annotated track that each predicted one finds.

    A range changes a match only where a predicted track reaches annotated ones both inside and
    outside.  Elsewhere the matches of all tracks stand.
    """
    near = video.overlaps >= THRESHOLDS[0]
    contested = (near & outside).any(1) & (near & ~outside).any(1)
    if not contested.any():
        return video.errors.matched
    return greedy(video.overlaps, outside, crowd)


def _numbers(tracks: Sequence[Track], of: Callable[[Track], float]) -> dict[int, float]:
    numbers = {track.id: of(track) for track in tracks}
    return {number: value for number, value in numbers.items() if not math.isnan(value)}


def _level(track: Track, others: Sequence[Track], frame: int) -> float:
    if track.occlusion is not None:
        return track.occlusion[frame]
    covered = [
        _covered(track.boxes[frame], other.boxes[frame])
        for other in others
        if other is not track and other.visible(frame)
    ]
    return max(covered, default=0.0)


def _covered(box: tuple[float, ...] | None, other: tuple[float, ...] | None) -> float:
    """Share of the first box that the second covers."""
    if box is None or other is None:
        return 0.0
    x, y = (
        min(box[i] + box[i + 2], other[i] + other[i + 2]) - max(box[i], other[i]) for i in (0, 1)
    )
    return max(x, 0.0) * max(y, 0.0) / (box[2] * box[3])


def _parsed(kind: Callable[[str], float], text: str | None, where: str) -> float:
    try:
        value = kind(text or "")
        if math.isfinite(value):
            return value
    except ValueError:
        pass
    raise UserError(f"{where} is {text!r}, expected a {'whole ' if kind is int else ''}number")
