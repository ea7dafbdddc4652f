"""Training clips: frames of one video with the instances they show.

Clip ``k`` is a pure function of (seed, k): the same in any worker, process or resumed run.  What
``data.augment`` and ``data.pseudo_clips`` switch on is drawn after all else, so that the rest of a
clip (its video, frames, size, flip) stays what it is without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from core.config.schema import DataConfig
from core.data.augment.colour import distorted
from core.data.augment.copy_paste import Sample, pasted
from core.data.augment.view import (
    View,
    boxes_around,
    changes_view,
    draw_views,
    placed,
    view_frame,
    view_masks,
    whole,
)
from core.data.dataset import Track, Video, VideoDataset
from core.data.rle import Box, decode
from core.data.transforms import (
    Size,
    draw_box,
    normalise,
    read_frame,
    rescaled,
    resize_frame,
    resize_mask,
)
from core.errors import UserError
from core.model.structures import ClipTargets

TRIES = 10
"""Draws of views that show nothing before a clip is left as it is."""

_ORDER_OF_VIDEOS, _DRAW_OF_CLIP = 0, 1  # streams of random numbers that share a seed


class ClipDataset(Dataset[Sample]):
    """Endless training clips of the videos that show at least one instance.

    One draw a clip decides its frames, size and flip.  Crowds are no targets.  An instance that
    none of the clip's frames shows is none either; one that some show is, with its flags.
    """

    def __init__(self, dataset: VideoDataset, data: DataConfig, seed: int, number: int = 0) -> None:
        """Keep what can be a clip.

        Args:
            number: of the dataset among those that are mixed; each has random numbers of its own.

        Raises:
            UserError: no video shows an instance.
        """
        self.dataset, self.data, self.seed = dataset, data, seed
        self.order, self.draw = (10 * number + s for s in (_ORDER_OF_VIDEOS, _DRAW_OF_CLIP))
        self.videos = [video for video in dataset.videos if _anchors(dataset, video)]
        if not self.videos:
            what = f"no {dataset.noun} shows an instance to train on"
            raise UserError(f"{dataset.annotations_path}: {what}")

    def video_of(self, clip: int) -> Video:
        """The video of a clip: each video once an epoch, in an order of the epoch's own."""
        epoch, place = divmod(clip, len(self.videos))
        return self.videos[int(_permutation(self.seed, self.order, epoch, len(self.videos))[place])]

    def __getitem__(self, clip: int) -> Sample:
        """Frames (T, 3, H, W), resized, normalised and not yet padded, and their targets."""
        rng = np.random.default_rng((self.seed, self.draw, clip))
        data, augment = self.data, self.data.augment
        video = self.video_of(clip)
        indices = self._frames_of(video, rng)
        source = (video.height, video.width)
        box = draw_box(data, rng)
        flip = bool(rng.random() < data.flip)
        if augment.reverse and rng.random() < augment.reverse:
            indices.reverse()
        moved = data.pseudo_clips == "all" or (data.pseudo_clips == "images" and video.length == 1)
        if moved or changes_view(augment):
            frames, targets = self._viewed(video, indices, box, moved, rng)
        else:
            size = rescaled(source, box)
            frames = torch.stack([resize_frame(_frame(video, t), size) for t in indices])
            targets = clip_targets(self.dataset, video, indices, size)
        if augment.copy_paste and rng.random() < augment.copy_paste:
            other = self._other(targets.frame_size, rng)
            frames, targets = pasted((frames, targets), other, rng)
        if augment.photometric and rng.random() < augment.photometric:
            frames = distorted(frames, rng)
        frames = normalise(frames)
        return (frames.flip(-1), flipped(targets)) if flip else (frames, targets)

    def _frames_of(self, video: Video, rng: np.random.Generator) -> list[int]:
        """The frames of a clip, in its order."""
        data = self.data
        anchors = _anchors(self.dataset, video)
        indices = pick_frames(anchors, video.length, data.clip_length, rng, data.clip_range)
        if data.pseudo_clips == "all":
            return indices[:1] * len(indices)
        return sorted(indices) if data.clip_order == "sorted" else indices

    def _viewed(
        self, video: Video, indices: Sequence[int], box: Size, moved: bool, rng: np.random.Generator
    ) -> Sample:
        """Frames as views of them show it, and what is left of the instances."""
        source = (video.height, video.width)
        tracks = _tracks_shown(self.dataset, video, indices)
        # once, of a frame that comes several times
        shown = {index: _source_masks(tracks, video, index) for index in set(indices)}
        sources = [shown[index] for index in indices]
        for _ in range(TRIES):
            views = draw_views(source, box, len(indices), self.data.augment, moved, rng)
            masks = [view_masks(m, view) for m, view in zip(sources, views, strict=True)]
            if any(mask.any() for mask in masks):
                break
        else:
            views = [whole(source, rescaled(source, box))] * len(indices)
            masks = [view_masks(m, view) for m, view in zip(sources, views, strict=True)]
        return self._sample(video, indices, tracks, views, masks)

    def _other(self, size: Size, rng: np.random.Generator) -> Sample:
        """A clip of another video, somewhere inside frames of ``size``."""
        video = self.videos[int(rng.integers(len(self.videos)))]
        indices = self._frames_of(video, rng)
        tracks = _tracks_shown(self.dataset, video, indices)
        views = [placed((video.height, video.width), size, rng)] * len(indices)
        masks = [
            view_masks(_source_masks(tracks, video, index), view)
            for index, view in zip(indices, views, strict=True)
        ]
        return self._sample(video, indices, tracks, views, masks)

    def _sample(
        self,
        video: Video,
        indices: Sequence[int],
        tracks: Sequence[Track],
        views: Sequence[View],
        masks: Sequence[npt.NDArray[np.bool_]],
    ) -> Sample:
        """Levels and targets of viewed frames; boxes are those around what the masks show."""
        read = {index: _frame(video, index) for index in set(indices)}
        frames = torch.stack(
            [view_frame(read[t], view) for t, view in zip(indices, views, strict=True)]
        )
        shown = torch.from_numpy(np.stack(masks))
        boxes = boxes_around(shown)
        present = boxes[..., 2] > 0
        kept = present.any(0)
        labels = torch.tensor([self.dataset.labels[t.category_id] for t in tracks])
        return frames, ClipTargets(
            labels=labels.to(torch.int64)[kept],
            boxes=boxes[:, kept],
            masks=shown[:, kept],
            present=present[:, kept],
            frame_size=views[0].size,
            video_id=video.id,
        )


def pick_frames(
    anchors: Sequence[int],
    length: int,
    count: int,
    rng: np.random.Generator,
    reach: int | None = None,
) -> list[int]:
    """An anchor, then ``count`` - 1 other frames without replacement, in no order.

    A video with fewer frames than that gives all of them before any comes again.

    Args:
        anchors: frames that show an instance, of which one is the first.
        length: of the video.
        reach: most frames between the anchor and another one; none: any.
    """
    anchor = anchors[int(rng.integers(len(anchors)))]
    reach = length if reach is None else reach
    near = range(max(anchor - reach, 0), min(anchor + reach + 1, length))
    frames = [anchor]
    rest = [frame for frame in near if frame != anchor]
    while len(frames) < count:
        frames += [rest[i] for i in rng.permutation(len(rest))]
        rest = list(near)
    return frames[:count]


def clip_targets(
    dataset: VideoDataset, video: Video, indices: Sequence[int], size: Size
) -> ClipTargets:
    """Ground truth of frames resized to ``size``.

    Boxes are the annotation's own, scaled and clipped to the frame, as published; where the file
    has none, they are those around the mask at the video's size.
    """
    tracks = _tracks_shown(dataset, video, indices)
    boxes = torch.zeros(len(indices), len(tracks), 4)
    masks = torch.zeros(len(indices), len(tracks), *size, dtype=torch.bool)
    present = torch.zeros(len(indices), len(tracks), dtype=torch.bool)
    for i, track in enumerate(tracks):
        for t, index in enumerate(indices):
            if track.visible(index):
                box, rle = track.boxes[index], track.segmentations[index]
                assert box is not None and rle is not None
                present[t, i] = True
                boxes[t, i] = _corners(box, video, size)
                mask = resize_mask(decode(rle, checked=True), size)
                masks[t, i] = torch.from_numpy(mask.copy())
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


@lru_cache(maxsize=4)
def _permutation(seed: int, order: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, order, epoch)).permutation(count)


def _anchors(dataset: VideoDataset, video: Video) -> list[int]:
    tracks = [track for track in dataset.tracks_of(video.id) if not track.crowd]
    return [t for t in range(video.length) if any(track.visible(t) for track in tracks)]


def _tracks_shown(dataset: VideoDataset, video: Video, indices: Sequence[int]) -> list[Track]:
    """The instances that at least one of the frames shows, crowds apart."""
    return [
        track
        for track in dataset.tracks_of(video.id)
        if not track.crowd and any(track.visible(index) for index in indices)
    ]


def _source_masks(tracks: Sequence[Track], video: Video, index: int) -> npt.NDArray[np.bool_]:
    """(tracks, H, W) at the video's size, false where an instance is not visible."""
    masks = np.zeros((len(tracks), video.height, video.width), bool)
    for mask, track in zip(masks, tracks, strict=True):
        if track.visible(index) and (rle := track.segmentations[index]) is not None:
            mask[:] = decode(rle, checked=True)
    return masks


def _frame(video: Video, index: int) -> Tensor:
    """Frame ``index`` as (3, H, W) uint8."""
    frame = read_frame(video.files[index])
    if tuple(frame.shape[1:]) != (video.height, video.width):
        raise UserError(
            f"{video.files[index]}: image of {frame.shape[2]}x{frame.shape[1]}, but video "
            f"{video.id} has {video.width}x{video.height}"
        )
    return frame


def _corners(box: Box, video: Video, size: Size) -> Tensor:
    """A box of the video in a frame resized to ``size``, as xyxy inside the frame."""
    x, y, width, height = box
    across, down = size[1] / video.width, size[0] / video.height
    corners = torch.tensor([x * across, y * down, (x + width) * across, (y + height) * down])
    return corners.clamp(min=torch.zeros(4), max=torch.tensor([size[1], size[0]] * 2))
