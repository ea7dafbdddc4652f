"""MOTS: lines of text or 16-bit PNGs of masks (KITTI-MOTS, MOTSChallenge)."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from core.data.convert.id_masks import read_ids
from core.data.convert.record import NewTrack, Record, frame_size, one_of, read_lines, read_rle
from core.data.rle import Rle, encode
from core.errors import UserError

CATEGORIES = {1: "car", 2: "pedestrian"}
IGNORED = 10
"""Class of regions that are neither right nor wrong: crowds of both categories."""
PLACES = ("instances_txt/*.txt", "*/gt/gt.txt", "train/*/gt/gt.txt", "instances/*/")
"""Where annotations are looked for."""
CLASS = 1000
"""What a PNG's numbers are divided by for their class; the rest is the instance."""

_Masks = dict[tuple[int, int], dict[int, Rle | None]]
"""(class, instance) to frame number to mask."""


def convert_mots(source: Path, images: Path | None, out: Path) -> Record:
    """``instances_txt/SEQUENCE.txt``, ``SEQUENCE/gt/gt.txt`` or ``instances/SEQUENCE/FRAME.png``.

    A line of text is: frame id class height width rle; a PNG's numbers are 1000 class + instance.

    Raises:
        UserError: a folder or image is missing, or a line or number is none of these, or
            an instance has two masks in a frame.
    """
    record = Record(out, CATEGORIES)
    found = next(filter(None, (sorted(source.glob(place)) for place in PLACES)), None)
    if found is None:
        raise UserError(f"{source}: has none of {', '.join(PLACES)}")
    for path in found:
        if path.name == "gt.txt":
            name, folder = path.parents[1].name, path.parents[1] / "img1"
        else:
            name = path.stem
            folder = (images or one_of(source, "training/image_02", "image_02")) / name
        files = {int(f.stem): f for f in sorted(folder.glob("*")) if f.stem.isdecimal()}
        if not files:
            raise UserError(f"{folder}: has no numbered images")
        size = frame_size(next(iter(files.values())))
        read = _read_pngs if path.is_dir() else _read
        tracks = [
            NewTrack(category, [masks.get(frame) for frame in files], crowd=kind == IGNORED)
            for (kind, _), masks in read(path, size, files).items()
            for category in (CATEGORIES if kind == IGNORED else (kind,))
        ]
        record.add(name, list(files.values()), size, tracks)
    return record


def _read(path: Path, size: tuple[int, int], files: dict[int, Path]) -> _Masks:
    found: _Masks = defaultdict(dict)
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}, line {number}"
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 6 or not all(part.isdecimal() for part in parts[:5]):
            raise UserError(f"{where}: expected frame id class height width rle, not {line!r:.80}")
        frame, instance, kind, height, width = map(int, parts[:5])
        _check(kind, frame, files, where)
        if (height, width) != size:
            told = f"{width}x{height}, but the images have {size[1]}x{size[0]}"
            raise UserError(f"{where}: a mask of {told}")
        if frame in found[kind, instance]:
            raise UserError(f"{where}: instance {instance} has a mask in frame {frame} already")
        found[kind, instance][frame] = read_rle(parts[5], size, where)
    return found


def _read_pngs(path: Path, size: tuple[int, int], files: dict[int, Path]) -> _Masks:
    found: _Masks = defaultdict(dict)
    for png in sorted(f for f in path.glob("*.png") if f.stem.isdecimal()):
        ids = read_ids(png, size)
        for number in map(int, np.unique(ids[ids > 0])):
            _check(number // CLASS, int(png.stem), files, str(png))
            found[number // CLASS, number][int(png.stem)] = encode(ids == number)
    return found


def _check(kind: int, frame: int, files: dict[int, Path], where: str) -> None:
    if kind not in (*CATEGORIES, IGNORED):
        raise UserError(f"{where}: class {kind}; known: {[*CATEGORIES, IGNORED]}")
    if frame not in files:
        raise UserError(f"{where}: there is no image of frame {frame}")
