"""Batches of training clips: of one dataset, or of several in fixed shares."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from core.config.schema import DataConfig
from core.data.augment.copy_paste import Sample
from core.data.categories import same_classes
from core.data.clips import ClipDataset
from core.data.dataset import VideoDataset
from core.data.transforms import pad, padded_size
from core.data.youtube_vis import load_folder
from core.errors import UserError
from core.model.structures import ClipTargets

ClipBatch = tuple[Tensor, list[ClipTargets]]
"""Frames (B, T, 3, H, W) and the targets of B clips."""
BLOCK = 1000
"""Clips of which each dataset has exactly its share."""

_ORDER_OF_DATASETS = 2  # a stream of random numbers beside those of the clips

log = logging.getLogger(__name__)


class MixedClips(Dataset[Sample]):
    """Clips of several datasets in exact shares, each dataset's in its own order.

    Clip ``k`` is a pure function of (seed, k), as of one dataset alone: of every ``BLOCK`` clips
    each dataset has its share, in an order that the seed and the block decide.
    """

    def __init__(self, parts: list[ClipDataset], shares: list[float], seed: int) -> None:
        self.parts, self.seed = parts, seed
        ends = np.round(np.cumsum(shares) * BLOCK).astype(np.int64)
        self.counts = np.maximum(np.diff(ends, prepend=0), 1)
        self.counts[0] += BLOCK - self.counts.sum()

    def place(self, clip: int) -> tuple[int, int]:
        """The number of the dataset that clip ``clip`` comes from, and of the clip in it."""
        block, place = divmod(clip, BLOCK)
        order = _order(self.seed, block, tuple(self.counts.tolist()))
        part = int(order[place])
        before = int((order[:place] == part).sum())
        return part, block * int(self.counts[part]) + before

    def __getitem__(self, clip: int) -> Sample:
        """As of :class:`core.data.clips.ClipDataset`."""
        part, number = self.place(clip)
        return self.parts[part][number]


def training_clips(
    dataset: VideoDataset, data: DataConfig, seed: int, heldout: VideoDataset | None = None
) -> tuple[Dataset[Sample], list[VideoDataset]]:
    """Clips of ``dataset``, and of those that ``data.mix`` adds; and all these datasets.

    Args:
        heldout: videos of whose frames the mix may have none, as they are scored.

    Raises:
        UserError: a dataset of the mix is missing, has faults, no class in common or a frame of
            ``heldout``, or one of them shows no instance.
    """
    datasets = [dataset, *(_mixed_in(root, dataset) for root, _ in data.mix)]
    if heldout is not None:
        for other in datasets[1:]:
            _refuse_heldout(other, heldout)
    parts = [ClipDataset(d, data, seed, number) for number, d in enumerate(datasets)]
    if len(parts) == 1:
        return parts[0], datasets
    shares = [share for _, share in data.mix]
    return MixedClips(parts, [1 - sum(shares), *shares], seed), datasets


def collate(batch: Sequence[Sample]) -> ClipBatch:
    """Clips of one length as frames (B, T, 3, H, W) and targets, padded to one multiple of 32."""
    size = padded_size([targets.frame_size for _, targets in batch])
    frames = torch.stack([pad(frames, size) for frames, _ in batch])
    return frames, [replace(targets, masks=pad(targets.masks, size)) for _, targets in batch]


def make_loader(
    dataset: VideoDataset,
    data: DataConfig,
    seed: int,
    heldout: VideoDataset | None = None,
    start_clip: int = 0,
    clips: int = 2,
    rank: int = 0,
    world: int = 1,
    batches: int | None = None,
    pin_memory: bool = False,
) -> Iterator[ClipBatch]:
    """Batches of :func:`collate`, decoded by ``data.workers`` processes, the same whatever that is.

    Batch ``b`` of rank ``r`` holds the clips from ``start_clip + (b * world + r) * clips`` on, so
    all ranks together read the clips in order, and a run resumes by its ``start_clip`` alone.

    Args:
        dataset: the videos to train on, besides those of ``data.mix``.
        data: sizes, clip length, workers.
        seed: of the order of videos and of all draws.
        heldout: videos of whose frames ``data.mix`` may have none.
        start_clip: first clip of the first batch of rank 0: batches done times world times clips.
        clips: a batch and process.
        rank: of this process.
        world: processes.
        batches: how many; none: endless.
        pin_memory: for quick copies to a GPU.

    Raises:
        UserError: a dataset shows no instance, or one of the mix cannot be used; on the way, a
            frame or mask cannot be read: the message names it.
    """
    firsts = itertools.count(start_clip + rank * clips, world * clips)
    loader = DataLoader(
        training_clips(dataset, data, seed, heldout)[0],
        batch_sampler=(list(range(f, f + clips)) for f in itertools.islice(firsts, batches)),
        collate_fn=collate,
        num_workers=data.workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if data.workers else None,
    )
    return _readable(loader)


def _readable(loader: DataLoader[Sample]) -> Iterator[ClipBatch]:
    try:
        yield from loader
    except UserError as error:
        # a worker's error arrives with its traceback in the message; the end is what it said
        raise UserError(str(error).rpartition("UserError: ")[2].strip()) from error


def _mixed_in(root: str, dataset: VideoDataset) -> VideoDataset:
    """The dataset at ``root`` with the classes of ``dataset``; other instances are no targets."""
    try:
        other = load_folder(Path(root).expanduser())
    except UserError as error:
        raise UserError(f"data.mix: {error}") from error
    same = same_classes(dataset.class_names, other.class_names)
    if not same:
        raise UserError(
            f"data.mix: {other.annotations_path} has none of the classes of "
            f"{dataset.annotations_path}: {', '.join(other.class_names[:10])}, ..."
        )
    ours, theirs = sorted(dataset.categories), sorted(other.categories)
    ids = {theirs[place]: ours[label] for label, place in same.items()}
    lacking = [n for label, n in enumerate(dataset.class_names) if label not in same]
    log.info(
        "%s: %d of the %d classes%s",
        other.annotations_path,
        len(same),
        len(dataset.categories),
        f"; it lacks {', '.join(lacking)}" if lacking else "",
    )
    tracks = (
        replace(track, category_id=ids[track.category_id])
        for track in other.tracks
        if track.category_id in ids
    )
    return replace(other, tracks=tuple(tracks), categories=dataset.categories)


def _refuse_heldout(other: VideoDataset, heldout: VideoDataset) -> None:
    frames = _files(heldout)
    shown = [file for file in _files(other) if file in frames]
    if shown:
        raise UserError(
            f"data.mix: {other.annotations_path} has {len(shown)} frames of the held-out videos of "
            f"{heldout.annotations_path}, which are to be scored, such as {shown[0]}: leave them "
            "out (tevit data convert frames --split writes training videos' frames alone)"
        )


def _files(dataset: VideoDataset) -> dict[Path, None]:
    """Every frame's file, whatever links lead to it, in order."""
    folders = {file.parent for video in dataset.videos for file in video.files}
    real = {folder: folder.resolve() for folder in folders}
    return {real[f.parent] / f.name: None for video in dataset.videos for f in video.files}


@lru_cache(maxsize=8)
def _order(seed: int, block: int, counts: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The dataset of each clip of a block."""
    rng = np.random.default_rng((seed, _ORDER_OF_DATASETS, block))
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))
