"""Masks as annotation files hold them, all turned into one form: compressed RLE.

The files of YouTube-VIS hold uncompressed run lengths, OVIS compressed ones, others polygons.
A compressed mask of a 1280x720 frame takes some hundred bytes, so a whole dataset fits in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from pycocotools import mask as untyped

coco: Any = untyped

Box = tuple[float, float, float, float]


class Rle(TypedDict):
    """Compressed run lengths of one mask, column by column: ``size`` is [height, width]."""

    size: list[int]
    counts: str


def compress(segmentation: Any, height: int, width: int) -> Rle | None:
    """One frame's entry of a track, in any of the published forms, as compressed RLE.

    Args:
        segmentation: ``None``, a list of polygons ``[x0, y0, x1, y1, ...]``, or a dict whose
            ``counts`` are a list (uncompressed), str or bytes (compressed).
        height: of the video, which must be that of the masks.
        width: likewise.

    Returns:
        ``None`` where the entry is null or has no polygon of at least three points.

    Raises:
        ValueError: a form that is none of these, another size than the video's, or uncompressed
            run lengths that do not add up to it (compressed ones: see :func:`check_counts`).
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, height, width)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("a mask is null, a list of polygons or {'size': ..., 'counts': ...}")
    size = segmentation["size"]
    if list(size) != [height, width]:
        raise ValueError(f"mask of size {size}, but the video has [{height}, {width}]")
    counts = segmentation["counts"]
    if isinstance(counts, list):
        return _from_counts(counts, height, width)
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    if not isinstance(text, str):
        raise ValueError(f"counts of type {type(counts).__name__}")
    return Rle(size=[height, width], counts=text)


def check_counts(rle: Rle) -> None:
    """Check that the run lengths of a compressed mask add up to its size.

    Raises:
        ValueError: they do not, or are no run lengths at all.
    """
    lengths = run_lengths(rle["counts"])
    _check_total(int(lengths.min()), int(lengths.sum()), rle["size"])


def run_lengths(counts: str) -> npt.NDArray[np.int64]:
    """The run lengths in a compressed string, background first.

    Each is stored as little-endian groups of five bits, from the fourth on as the difference to
    the one two before.

    Raises:
        ValueError: the string is not such a code.
    """
    codes = np.frombuffer(counts.encode("ascii", "replace"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("counts are not a compressed mask")
    last = (codes & 32) == 0
    start = np.concatenate(([0], np.flatnonzero(last)[:-1] + 1))
    place = np.arange(len(codes)) - np.repeat(start, np.diff(np.append(start, len(codes))))
    if place.max() > 11:
        raise ValueError("counts are not a compressed mask")
    lengths = np.add.reduceat((codes & 31) << (5 * place), start)
    ends = np.flatnonzero(last)
    lengths -= np.where(codes[ends] & 16, np.int64(1) << (5 * (place[ends] + 1)), 0)
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths


def decode(rle: Rle) -> npt.NDArray[np.bool_]:
    """The mask as (height, width) bool.

    Raises:
        ValueError: the run lengths are broken.
    """
    check_counts(rle)
    return np.asarray(coco.decode(rle)).view(np.bool_)


def encode(mask: npt.NDArray[np.bool_]) -> Rle:
    """A (height, width) bool mask as compressed RLE."""
    rle = coco.encode(np.asfortranarray(mask).view(np.uint8))
    return Rle(size=[int(n) for n in rle["size"]], counts=rle["counts"].decode("ascii"))


def areas_of(rles: Sequence[Rle]) -> list[float]:
    """Pixels of each mask."""
    return [float(a) for a in coco.area(list(rles))] if rles else []


def boxes_of(rles: Sequence[Rle]) -> list[Box]:
    """(x, y, width, height) around each mask; zeros for an empty one."""
    if not rles:
        return []
    return [(float(x), float(y), float(w), float(h)) for x, y, w, h in coco.toBbox(list(rles))]


def _from_polygons(polygons: list[Any], height: int, width: int) -> Rle | None:
    if not all(isinstance(p, list) and len(p) % 2 == 0 for p in polygons):
        raise ValueError("a polygon is a list of numbers [x0, y0, x1, y1, ...]")
    drawable = [p for p in polygons if len(p) >= 6]
    if not drawable:
        return None
    return _plain(coco.merge(coco.frPyObjects(drawable, height, width)), height, width)


def _from_counts(counts: list[int], height: int, width: int) -> Rle:
    # plain sum and min: half as long as a detour over numpy
    _check_total(min(counts, default=0), sum(counts), [height, width])
    return _plain(
        coco.frPyObjects({"size": [height, width], "counts": counts}, height, width), height, width
    )


def _plain(rle: dict[str, Any], height: int, width: int) -> Rle:
    return Rle(size=[height, width], counts=rle["counts"].decode("ascii"))


def _check_total(least: int, total: int, size: list[int]) -> None:
    height, width = size
    if least < 0 or total != height * width:
        raise ValueError(
            f"run lengths add up to {total}, but a mask of the video has "
            f"{height} x {width} = {height * width} pixels"
        )
