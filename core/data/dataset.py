"""Annotated videos as values: what every dataset becomes once it is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from core.data.categories import public_name
from core.data.rle import Box, Rle
from core.names import distinct


@dataclass(frozen=True)
class Video:
    """One video: its frames' files in order, all of one size (pixels)."""

    id: int
    name: str
    width: int
    height: int
    files: tuple[Path, ...]

    @property
    def length(self) -> int:
        """Frames."""
        return len(self.files)


@dataclass(frozen=True)
class Track:
    """One instance through its video; the tuples have an entry a frame, ``None`` where absent.

    Attributes:
        segmentations: compressed RLE at the video's size.
        boxes: (x, y, width, height) in pixels: the file's own, else around the mask; where there
            is a mask, a pixel of the frame or more.
        areas: pixels: the file's own, else the mask's; 0 only where the mask is empty.
        crowd: a group that is no target and that AP ignores.
        occlusion: OVIS's level of each frame as its degree of occlusion (0, 0.25 or 0.75; 0 where
            the instance is absent), where the file has it.
    """

    id: int
    video_id: int
    category_id: int
    segmentations: tuple[Rle | None, ...]
    boxes: tuple[Box | None, ...]
    areas: tuple[float | None, ...]
    crowd: bool = False
    occlusion: tuple[float, ...] | None = None

    def visible(self, frame: int) -> bool:
        """Whether the frame shows the instance: its mask has a pixel."""
        return bool(self.areas[frame])


@dataclass(frozen=True)
class VideoDataset:
    """Videos, their tracks and their classes.

    Attributes:
        categories: name of each category id.
        annotations_path: the file that they were read from.
        annotated: whether the file has annotations; published validation files have none.
        of_images: whether the file is in COCO format: each video is one image.
    """

    name: str
    videos: tuple[Video, ...]
    tracks: tuple[Track, ...]
    categories: dict[int, str]
    annotations_path: Path
    annotated: bool = True
    of_images: bool = False

    @cached_property
    def labels(self) -> dict[int, int]:
        """Category id to the model's class 0 to C - 1, in the order of the ids."""
        return {category: label for label, category in enumerate(sorted(self.categories))}

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the model's classes 0 to C - 1."""
        return tuple(self.categories[category] for category in sorted(self.categories))

    @cached_property
    def distinct_names(self) -> dict[int, str]:
        """Category id to name, by rising id; names that two share have the id behind them."""
        return distinct(dict(sorted(self.categories.items())), str)

    @cached_property
    def by_id(self) -> dict[int, Video]:
        """Videos by id."""
        return {video.id: video for video in self.videos}

    @cached_property
    def _tracks_by_video(self) -> dict[int, tuple[Track, ...]]:
        tracks: dict[int, list[Track]] = {video.id: [] for video in self.videos}
        for track in self.tracks:
            tracks[track.video_id].append(track)
        return {video: tuple(group) for video, group in tracks.items()}

    @property
    def noun(self) -> str:
        """What one of ``videos`` is called: ``video`` or ``image``."""
        return "image" if self.of_images else "video"

    def place(self, video: Video, frame: int) -> str:
        """How messages call a frame, such as ``video 3 (lion), frame 5`` or ``image 3``."""
        if self.of_images:
            return f"image {video.id}"
        return f"video {video.id} ({video.name}), frame {frame}"

    def summary(self) -> str:
        """Such as "2238 videos, 61845 frames, 3774 tracks, 40 classes (YouTube-VIS 2019)"."""
        frames = sum(video.length for video in self.videos)
        parts = [_count(len(self.videos), self.noun)]
        parts += [] if self.of_images else [_count(frames, "frame")]
        parts += [_count(len(self.tracks), "annotation" if self.of_images else "track")]
        parts += [_count(len(self.categories), "class", "classes")]
        known = public_name(self.class_names)
        return ", ".join(parts) + (f" ({known})" if known else "")

    def tracks_of(self, video_id: int) -> tuple[Track, ...]:
        """The video's tracks, crowds included."""
        return self._tracks_by_video[video_id]

    def subset(self, ids: Collection[int]) -> VideoDataset:
        """The dataset with these videos alone; the classes stay.

        Raises:
            KeyError: an id that is none of the dataset's.
        """
        chosen = set(ids)
        if unknown := chosen - self.by_id.keys():
            raise KeyError(f"no such videos in {self.annotations_path}: {sorted(unknown)}")
        return replace(
            self,
            videos=tuple(v for v in self.videos if v.id in chosen),
            tracks=tuple(t for t in self.tracks if t.video_id in chosen),
        )


def _count(number: int, one: str, many: str | None = None) -> str:
    noun = one if number == 1 else many or f"{one}s"
    return f"{number or 'no'} {noun}"
