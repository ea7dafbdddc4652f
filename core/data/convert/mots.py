"""MOTS: a line of text for each mask (KITTI-MOTS, MOTSChallenge)."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from core.data.convert.record import NewTrack, Record, frame_size, one_of, read_rle
from core.data.rle import Rle
from core.errors import UserError

CATEGORIES = {1: "car", 2: "pedestrian"}
IGNORED = 10
"""Class of regions that are neither right nor wrong: crowds of both categories."""

_Masks = dict[tuple[int, int], dict[int, Rle]]
"""(class, instance) to frame number to mask."""


def convert_mots(source: Path, images: Path | None, out: Path) -> Record:
    """``instances_txt/SEQUENCE.txt``, or ``SEQUENCE/gt/gt.txt``: frame id class height width rle.

    Raises:
        UserError: a folder or image is missing, or a line is none of these.
    """
    record = Record(out, CATEGORIES)
    texts = sorted(source.glob("instances_txt/*.txt")) or sorted(source.glob("*/gt/gt.txt"))
    if not texts:
        raise UserError(f"{source}: has neither instances_txt/*.txt nor */gt/gt.txt")
    for text in texts:
        if text.name == "gt.txt":
            name, folder = text.parents[1].name, text.parents[1] / "img1"
        else:
            name = text.stem
            folders = images or one_of(source, "training/image_02", "image_02")
            folder = folders / name
        files = {int(f.stem): f for f in sorted(folder.glob("*")) if f.stem.isdigit()}
        if not files:
            raise UserError(f"{folder}: has no numbered images")
        size = frame_size(next(iter(files.values())))
        tracks = [
            NewTrack(category, [masks.get(frame) for frame in files], crowd=kind == IGNORED)
            for (kind, _), masks in _read(text, size, files).items()
            for category in (CATEGORIES if kind == IGNORED else (kind,))
        ]
        record.add(name, list(files.values()), size, tracks)
    return record


def _read(path: Path, size: tuple[int, int], files: dict[int, Path]) -> _Masks:
    found: _Masks = defaultdict(dict)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path}, line {number}"
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 6 or not all(part.isdigit() for part in parts[:5]):
            raise UserError(f"{where}: expected frame id class height width rle, not {line!r:.80}")
        frame, instance, kind, height, width = map(int, parts[:5])
        if kind not in (*CATEGORIES, IGNORED):
            raise UserError(f"{where}: class {kind}; known: {[*CATEGORIES, IGNORED]}")
        if (height, width) != size:
            told = f"{width}x{height}, but the images have {size[1]}x{size[0]}"
            raise UserError(f"{where}: a mask of {told}")
        if frame not in files:
            raise UserError(f"{where}: there is no image of frame {frame}")
        found[kind, instance][frame] = read_rle(parts[5], size, where)
    return found
