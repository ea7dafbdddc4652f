"""A held-out part of a training set: by video, stratified by class, seeded, recorded as ids.

The public validation sets come without annotations, so this is where an AP without a server
comes from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.config.schema import DataConfig
from core.data.dataset import VideoDataset
from core.data.results import raise_faults
from core.errors import UserError
from core.files import read_json, write_json


@dataclass(frozen=True)
class Split:
    """Video ids to train on and to score on; both sorted, neither empty, none in common."""

    train: tuple[int, ...]
    heldout: tuple[int, ...]


def make_split(dataset: VideoDataset, data: DataConfig) -> Split:
    """The recorded split ``data.split_file``, or one drawn from ``holdout`` and ``split_seed``.

    Each class gives its share of videos, as near as whole videos allow; a class keeps at least
    one training video where that is possible at all.

    Raises:
        UserError: the dataset has fewer than two videos, or the recorded split does not fit it.
    """
    if data.split_file is not None:
        return read_split(data.split_file, dataset)
    if len(dataset.videos) < 2:
        raise UserError(
            f"{dataset.annotations_path}: a held-out split needs at least 2 {dataset.noun}s, "
            f"not {len(dataset.videos)}"
        )
    classes = {v.id: {t.category_id for t in dataset.tracks_of(v.id)} for v in dataset.videos}
    count = min(max(round(data.holdout * len(classes)), 1), len(classes) - 1)
    order = _spread_over_classes(classes, count, np.random.default_rng(data.split_seed))
    heldout = _keeping_classes(order, classes, count)
    return Split(tuple(sorted(classes.keys() - heldout)), tuple(sorted(heldout)))


def _spread_over_classes(
    classes: dict[int, set[int]], count: int, rng: np.random.Generator
) -> list[int]:
    """Every video once, the ``count`` first ones evenly spread over the classes.

    Systematic sampling: videos in a row, class after class (a video under its rarest one), and
    every n-th is taken from a random start.
    """
    frequency = Counter(category for group in classes.values() for category in group)
    shuffled = [list(classes)[i] for i in rng.permutation(len(classes))]
    rarest = {
        video: min(((frequency[c], c) for c in group), default=(0, -1))
        for video, group in classes.items()
    }
    row = sorted(shuffled, key=lambda video: rarest[video])
    step = len(row) / count
    start = rng.random()
    taken = [row[int((k + start) * step)] for k in range(count)]
    known = set(taken)
    return taken + [video for video in shuffled if video not in known]


def _keeping_classes(order: list[int], classes: dict[int, set[int]], count: int) -> set[int]:
    """The first ``count`` videos of ``order`` that leave each class a video; if need be, others."""
    left = Counter(category for group in classes.values() for category in group)
    chosen: list[int] = []
    for video in order:
        if len(chosen) < count and all(left[category] > 1 for category in classes[video]):
            chosen.append(video)
            left.subtract(classes[video])
    known = set(chosen)
    others = [video for video in order if video not in known]
    return {*chosen, *others[: count - len(chosen)]}


def write_split(path: Path, split: Split, dataset: VideoDataset) -> None:
    """Record ``split`` as JSON: both lists of ids, and the annotation file that they belong to."""
    record = {
        "annotations": dataset.annotations_path.name,
        "train": list(split.train),
        "heldout": list(split.heldout),
    }
    write_json(path, record, indent=None)


def read_split(path: Path, dataset: VideoDataset) -> Split:
    """A recorded split; videos of the dataset that are in neither list are not used.

    Raises:
        UserError: the file is broken, a side is empty, both share a video, or an id is unknown.
    """
    record = read_json(path)
    train, heldout = (_ids(path, record, side) for side in ("train", "heldout"))
    if common := set(train) & set(heldout):
        raise UserError(f"{path}: videos both in train and in heldout: {_some(common)}")
    if unknown := {*train, *heldout} - dataset.by_id.keys():
        raise UserError(f"{path}: videos that {dataset.annotations_path} lacks: {_some(unknown)}")
    return Split(tuple(sorted(train)), tuple(sorted(heldout)))


def heldout_part(dataset: VideoDataset, path: Path) -> VideoDataset:
    """The dataset with a recorded split's held-out videos alone.

    Raises:
        UserError: the split is broken, or the dataset lacks some of those videos.
    """
    videos = _ids(path, read_json(path), "heldout")
    lacking = [f"video {video}" for video in sorted(set(videos) - dataset.by_id.keys())]
    heading = f"{dataset.annotations_path}: lacks {len(lacking)} of the videos to score:"
    raise_faults(lacking, heading)
    return dataset.subset(videos)


def _ids(path: Path, record: Any, side: str) -> Sequence[int]:
    ids = record.get(side) if isinstance(record, dict) else None
    if not isinstance(ids, list) or not ids or not all(type(i) is int for i in ids):
        raise UserError(f"{path}: {side!r} is not a list of one or more video ids")
    return ids


def _some(ids: Iterable[int]) -> str:
    first = sorted(ids)
    return ", ".join(map(str, first[:10])) + (", ..." if len(first) > 10 else "")
