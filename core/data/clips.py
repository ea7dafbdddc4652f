"""Training clips: frames of one video with the instances they show.

Clip ``k`` is a pure function of (seed, k): the same in any worker, process or resumed run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from core.config.schema import DataConfig
from core.data.dataset import Track, Video, VideoDataset
from core.data.rle import decode
from core.data.transforms import (
    Size,
    draw_box,
    normalise,
    pad,
    padded_size,
    read_frame,
    rescaled,
    resize_frame,
    resize_mask,
)
from core.errors import UserError
from core.model.structures import ClipTargets

Sample = tuple[Tensor, ClipTargets]

_ORDER_OF_VIDEOS, _DRAW_OF_CLIP = 0, 1  # streams of random numbers that share a seed


class ClipDataset(Dataset[Sample]):
    """Endless training clips of the videos that show at least one instance.

    One draw a clip decides its frames, size and flip.  Crowds are no targets.  An instance that
    none of the clip's frames shows is none either; one that some show is, with its flags.
    """

    def __init__(self, dataset: VideoDataset, data: DataConfig, seed: int) -> None:
        """Keep what can be a clip.

        Raises:
            UserError: no video shows an instance.
        """
        self.dataset, self.data, self.seed = dataset, data, seed
        self.videos = [video for video in dataset.videos if _anchors(dataset, video)]
        if not self.videos:
            raise UserError(f"{dataset.annotations_path}: no video shows an instance to train on")

    def video_of(self, clip: int) -> Video:
        """The video of a clip: each video once an epoch, in an order of the epoch's own."""
        epoch, place = divmod(clip, len(self.videos))
        return self.videos[int(_permutation(self.seed, epoch, len(self.videos))[place])]

    def __getitem__(self, clip: int) -> Sample:
        """Frames (T, 3, H, W), resized, normalised and not yet padded, and their targets."""
        rng = np.random.default_rng((self.seed, _DRAW_OF_CLIP, clip))
        video = self.video_of(clip)
        indices = pick_frames(
            _anchors(self.dataset, video), video.length, self.data.clip_length, rng
        )
        if self.data.clip_order == "sorted":
            indices.sort()
        size = rescaled((video.height, video.width), draw_box(self.data, rng))
        flip = bool(rng.random() < self.data.flip)
        frames = torch.stack([_frame(video, index, size) for index in indices])
        targets = clip_targets(self.dataset, video, indices, size)
        return (frames.flip(-1), flipped(targets)) if flip else (frames, targets)


def pick_frames(
    anchors: Sequence[int], length: int, count: int, rng: np.random.Generator
) -> list[int]:
    """An anchor, then ``count`` - 1 other frames without replacement, in no order.

    A video with fewer frames than that gives all of them before any comes again.

    Args:
        anchors: frames that show an instance, of which one is the first.
        length: of the video.
    """
    anchor = anchors[int(rng.integers(len(anchors)))]
    frames = [anchor]
    rest = [frame for frame in range(length) if frame != anchor]
    while len(frames) < count:
        frames += [rest[i] for i in rng.permutation(len(rest))]
        rest = list(range(length))
    return frames[:count]


def clip_targets(
    dataset: VideoDataset, video: Video, indices: Sequence[int], size: Size
) -> ClipTargets:
    """Ground truth of frames resized to ``size``.

    Boxes are the annotation's own, scaled and clipped to the frame, as published; where the file
    has none, they are those around the mask at the video's size.
    """
    tracks = [
        track
        for track in dataset.tracks_of(video.id)
        if not track.crowd and any(track.visible(index) for index in indices)
    ]
    boxes = torch.zeros(len(indices), len(tracks), 4)
    masks = torch.zeros(len(indices), len(tracks), *size, dtype=torch.bool)
    present = torch.zeros(len(indices), len(tracks), dtype=torch.bool)
    for i, track in enumerate(tracks):
        for t, index in enumerate(indices):
            if (box := _box(track, index, video, size)) is not None:
                present[t, i] = True
                boxes[t, i] = box
                masks[t, i] = torch.from_numpy(_mask(track, index, size).copy())
    labels = [dataset.labels[track.category_id] for track in tracks]
    return ClipTargets(
        labels=torch.tensor(labels, dtype=torch.int64),
        boxes=boxes,
        masks=masks,
        present=present,
        frame_size=size,
        video_id=video.id,
    )


def flipped(targets: ClipTargets) -> ClipTargets:
    """The targets mirrored left to right; absent instances keep their zero boxes."""
    x0, y0, x1, y1 = targets.boxes.unbind(-1)
    width = targets.frame_size[1]
    boxes = torch.stack([width - x1, y0, width - x0, y1], -1) * targets.present[..., None]
    return replace(targets, boxes=boxes, masks=targets.masks.flip(-1))


def collate(batch: Sequence[Sample]) -> tuple[Tensor, list[ClipTargets]]:
    """Clips of one length as frames (B, T, 3, H, W) and targets, padded to one multiple of 32."""
    size = padded_size([targets.frame_size for _, targets in batch])
    frames = torch.stack([pad(frames, size) for frames, _ in batch])
    return frames, [replace(targets, masks=pad(targets.masks, size)) for _, targets in batch]


class _Batches(Sampler[list[int]]):
    """The clips that one rank reads, a list a batch."""

    def __init__(self, start: int, clips: int, rank: int, world: int, batches: int | None) -> None:
        self.start, self.clips, self.rank, self.world = start, clips, rank, world
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        batch = 0
        while self.batches is None or batch < self.batches:
            first = self.start + (batch * self.world + self.rank) * self.clips
            yield list(range(first, first + self.clips))
            batch += 1


class ClipLoader:
    """Batches of :func:`collate`, decoded by worker processes; see :func:`make_loader`."""

    def __init__(self, loader: DataLoader[Sample]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[tuple[Tensor, list[ClipTargets]]]:
        """Batches from the first one on.

        Raises:
            UserError: a frame or mask that cannot be read; the message names it.
        """
        try:
            yield from self.loader
        except UserError as error:
            # a worker's error arrives with its traceback in the message; the end is what it said
            raise UserError(str(error).rpartition("UserError: ")[2].strip()) from error


def make_loader(
    dataset: VideoDataset,
    data: DataConfig,
    seed: int,
    start_clip: int = 0,
    clips: int = 2,
    rank: int = 0,
    world: int = 1,
    batches: int | None = None,
    pin_memory: bool = False,
) -> ClipLoader:
    """Batches of clips, the same whatever ``data.workers`` is.

    Batch ``b`` of rank ``r`` holds the clips from ``start_clip + (b * world + r) * clips`` on, so
    all ranks together read the clips in order, and a run resumes by its ``start_clip`` alone.

    Args:
        dataset: the videos to train on.
        data: sizes, clip length, workers.
        seed: of the order of videos and of all draws.
        start_clip: first clip of the first batch of rank 0: batches done times world times clips.
        clips: a batch and process.
        rank: of this process.
        world: processes.
        batches: how many; none: endless.
        pin_memory: for quick copies to a GPU.

    Raises:
        UserError: no video shows an instance.
    """
    loader = DataLoader(
        ClipDataset(dataset, data, seed),
        batch_sampler=_Batches(start_clip, clips, rank, world, batches),
        collate_fn=collate,
        num_workers=data.workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if data.workers else None,
    )
    return ClipLoader(loader)


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, _ORDER_OF_VIDEOS, epoch)).permutation(count)


def _anchors(dataset: VideoDataset, video: Video) -> list[int]:
    tracks = [track for track in dataset.tracks_of(video.id) if not track.crowd]
    return [t for t in range(video.length) if any(track.visible(t) for track in tracks)]


def _frame(video: Video, index: int, size: Size) -> Tensor:
    """Frame ``index`` as (3, *size), normalised."""
    frame = read_frame(video.files[index])
    if tuple(frame.shape[1:]) != (video.height, video.width):
        raise UserError(
            f"{video.files[index]}: image of {frame.shape[2]}x{frame.shape[1]}, but video "
            f"{video.id} has {video.width}x{video.height}"
        )
    return normalise(resize_frame(frame, size))


def _box(track: Track, index: int, video: Video, size: Size) -> Tensor | None:
    """The box in a frame resized to ``size`` as xyxy; ``None``: nothing of it is in the frame."""
    box = track.boxes[index]
    if box is None or not track.visible(index):
        return None
    x, y, width, height = box
    across, down = size[1] / video.width, size[0] / video.height
    corners = torch.tensor([x * across, y * down, (x + width) * across, (y + height) * down])
    corners = corners.clamp(min=torch.zeros(4), max=torch.tensor([size[1], size[0]] * 2))
    return corners if (corners[2:] > corners[:2]).all() else None


def _mask(track: Track, index: int, size: Size) -> npt.NDArray[np.bool_]:
    rle = track.segmentations[index]
    assert rle is not None
    return resize_mask(decode(rle), size)
