"""Folders of frames with a PNG of instance numbers for each: DAVIS, MOSE, YouTube-VOS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.data.convert.id_masks import Ids, mask_or_none, read_ids
from core.data.convert.record import NewTrack, Record, frame_size, one_of
from core.errors import UserError

VOID = 255
"""Not annotated, unless it is a video's only number: then it is the foreground (DAVIS 2016)."""
IMAGE_ENDINGS = {".jpg", ".jpeg", ".png"}


def convert_mask_folders(source: Path, images: Path | None, out: Path) -> Record:
    """``JPEGImages`` and ``Annotations`` with a folder a video, perhaps below one of a resolution.

    Frames without a PNG are left out.  Everything is of one category, *object*.

    Raises:
        UserError: a folder or mask is missing or broken, a mask is of another size than its frame,
            or no frame has one.
    """
    frames = _resolution(images or one_of(source, "JPEGImages"))
    masks = _resolution(one_of(source, "Annotations_unsupervised", "Annotations"))
    record = Record(out, {1: "object"})
    for folder in sorted(path for path in masks.iterdir() if path.is_dir()):
        pngs = {path.stem: path for path in sorted(folder.glob("*.png"))}
        files = [f for f in _files(frames / folder.name) if f.stem in pngs]
        if not files:
            raise UserError(f"{folder}: no mask belongs to a frame of {frames / folder.name}")
        size = frame_size(files[0])
        ids = [read_ids(pngs[file.stem], size) for file in files]
        record.add(folder.name, files, size, _tracks(ids))
    if not record.videos:
        raise UserError(f"{masks}: has no folder of masks")
    return record


def _resolution(folder: Path) -> Path:
    """DAVIS has a folder for each resolution; the small one is the usual one."""
    return next((folder / n for n in ("480p", "Full-Resolution") if (folder / n).is_dir()), folder)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of frames")
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in IMAGE_ENDINGS)


def _tracks(ids: list[Ids]) -> Iterator[NewTrack]:
    numbers = sorted({int(number) for frame in ids for number in np.unique(frame)} - {0})
    if numbers != [VOID]:
        numbers = [number for number in numbers if number != VOID]
    for number in numbers:
        yield NewTrack(1, [mask_or_none(frame == number) for frame in ids])
