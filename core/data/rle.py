"""Masks as annotation files hold them, all turned into one form: compressed RLE.

The files of YouTube-VIS hold uncompressed run lengths, OVIS compressed ones, others polygons.
A compressed mask of a 1280x720 frame takes some hundred bytes, so a whole dataset fits in memory.

pycocotools does not check what it is given: run lengths that do not add up to the frame give a
wrong area, hang or crash it, and a polygon far outside eats all memory.  So everything that comes
from a file passes :func:`compress` and :func:`mask_areas` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from pycocotools import mask as untyped

coco: Any = untyped

Box = tuple[float, float, float, float]
Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
_Signed = npt.NDArray[np.signedinteger[Any]]
_Halved = tuple[_Signed, Indices]

MASKS_A_STEP = 512
"""Masks that are decoded at once: more do not stay in the processor's cache."""
FIRST, CONTINUED, LAST = 48, 80, 111
"""Characters of a code: the first; the first that says that its number goes on; the last."""
LONGEST_NUMBER = 12
"""Characters of a run length: 60 bits, the most that 64 hold."""
_IN_32_BITS = 6
"""Characters whose number 32 bits hold, and the sum of two such."""
_SIGNED = ((np.arange(256) - FIRST + 16) % 32 - 16).astype(np.int8).tobytes()
"""By a number's last character, its five bits as a signed number."""
_GO_ON = bytes(range(CONTINUED, LAST + 1))
"""The characters that say that their number goes on."""


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
        ValueError: a form that is none of these, another size than the video's, a corner that is
            no number or far outside the frame, or uncompressed run lengths that do not add up to
            the frame (compressed ones: see :func:`mask_areas`).
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, height, width)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("a mask is null, a list of polygons or {'size': ..., 'counts': ...}")
    _check_size(segmentation["size"], height, width)
    counts = segmentation["counts"]
    if isinstance(counts, list):
        return _from_counts(counts, height, width)
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    if not isinstance(text, str):
        raise ValueError(f"counts of type {type(counts).__name__}")
    return Rle(size=[height, width], counts=text)


def mask_areas(segmentations: Sequence[Any], height: int, width: int) -> Ints:
    """(frames,) pixels of each compressed RLE, 0 for null, every one checked.

    Raises:
        ValueError: names the frames (from 0) whose mask is malformed or of another size.
    """
    faults: list[str] = []
    frames: list[int] = []
    size = [height, width]
    for frame, mask in enumerate(segmentations):
        if mask is None:
            continue
        # the usual form without a call: there are a million masks
        if not (
            isinstance(mask, dict)
            and mask.get("size") == size
            and isinstance(mask.get("counts"), str)
        ):
            try:
                _check_form(mask, height, width)
            except ValueError as error:
                faults.append(f"frame {frame}: {error}")
                continue
        frames.append(frame)
    areas = np.zeros(len(segmentations), np.int64)
    try:
        areas[frames] = _areas([segmentations[f]["counts"] for f in frames], height * width)
    except ValueError:
        for frame in frames:
            try:
                check_counts(Rle(size=[height, width], counts=segmentations[frame]["counts"]))
            except ValueError as error:
                faults.append(f"frame {frame}: {error}")
    if faults:
        raise ValueError("; ".join(faults))
    return areas


def check_counts(rle: Rle) -> None:
    """Check that the run lengths of a compressed mask add up to its size.

    Raises:
        ValueError: they do not, or are no run lengths at all.
    """
    lengths = run_lengths(rle["counts"])
    _check_total(int(lengths.min()), int(lengths.sum()), *rle["size"])


def run_lengths(counts: str) -> Ints:
    """The run lengths in a compressed string, background first.

    Raises:
        ValueError: the string is not such a code.
    """
    ((even, _), (odd, _)), _ = _runs([counts])
    lengths = np.empty(len(even) + len(odd), np.int64)
    lengths[::2], lengths[1::2] = even, odd
    return lengths


def decode(rle: Rle, *, checked: bool = False) -> npt.NDArray[np.bool_]:
    """The mask as (height, width) bool.

    Args:
        checked: whether :func:`mask_areas` has passed it, as it has every mask of a dataset; a
            check takes ten times as long as decoding a small mask.

    Raises:
        ValueError: the run lengths are broken.
    """
    if not checked:
        check_counts(rle)
    return np.asarray(coco.decode(rle)).view(np.bool_)


def encode(mask: npt.NDArray[np.bool_]) -> Rle:
    """A (height, width) bool mask as compressed RLE."""
    rle = coco.encode(np.asfortranarray(mask).view(np.uint8))
    return Rle(size=[int(n) for n in rle["size"]], counts=rle["counts"].decode("ascii"))


def areas_of(rles: Sequence[Rle]) -> list[float]:
    """Pixels of each mask."""
    # one by one: pycocotools raises OverflowError for more than 255 at once
    return [float(coco.area(rle)) for rle in rles]


def boxes_of(rles: Sequence[Rle]) -> list[Box]:
    """(x, y, width, height) around each mask; zeros for an empty one."""
    if not rles:
        return []
    return [(float(x), float(y), float(w), float(h)) for x, y, w, h in coco.toBbox(list(rles))]


def _runs(counts: Sequence[str]) -> tuple[list[_Halved], Indices]:
    """The run lengths of several codes, one after the other, and where each code begins.

    Those in even places come first, then those in odd ones, each as an array of its own, with where
    in it each code begins.

    A number is little-endian groups of five bits, a character each, which goes on while the sixth
    bit is set; the fifth of its last character is the sign.  From a code's fourth number on it is
    the difference to the one two before.
    """
    text = "".join(counts).encode(errors="surrogatepass")
    codes = np.frombuffer(text, np.uint8)
    stops = np.cumsum([len(code) for code in counts])
    if (
        not all(counts)
        or codes.min() < FIRST
        or codes.max() > LAST  # as are all bytes of what is no ASCII character
        or codes[stops - 1].max() >= CONTINUED
    ):
        raise ValueError("counts are not a compressed mask")
    values = np.frombuffer(text.translate(_SIGNED, _GO_ON), np.int8).astype(np.int32)
    goes_on = np.flatnonzero(codes >= CONTINUED)
    values = _with_lower_bits(values, goes_on, codes[goes_on] - CONTINUED)
    starts = np.append(0, stops[:-1] - np.searchsorted(goes_on, stops[:-1]))
    firsts = values[starts]
    values[starts] = 0  # nothing builds on a code's first number
    halves = []
    # every other number is a sum of its own, which begins anew with each code
    for parity in (0, 1):
        # in one piece: numpy sums up a strided array five times as slowly
        own, begins = np.ascontiguousarray(values[parity::2]), (starts + 1 - parity) // 2
        again, totals = begins[1:], _totals(own, begins)[:-1].astype(own.dtype)
        inside = again < len(own)
        np.subtract.at(own, again[inside], totals[inside])
        np.cumsum(own, dtype=own.dtype, out=own)
        begun = starts % 2 == parity
        own[begins[begun]] = firsts[begun]
        halves.append((own, begins))
    return halves, starts


def _with_lower_bits(values: _Signed, goes_on: Indices, bits: npt.NDArray[np.uint8]) -> _Signed:
    """Numbers of several characters, of which ``values`` holds the last ones, made whole.

    Args:
        values: (N,) by number.
        goes_on: (C,) places of all characters that are not the last of a number.
        bits: (C,) the five bits of each.
    """
    if not len(goes_on):
        return values
    last = np.flatnonzero(np.diff(goes_on, append=goes_on[-1] + 2) != 1)
    number = goes_on[last] - last  # characters before it, less those that end no number
    more = np.diff(last, prepend=-1)
    if more.max() >= LONGEST_NUMBER:
        raise ValueError("counts are not a compressed mask")
    if more.max() >= _IN_32_BITS:
        values = values.astype(np.int64)
    while len(number):
        values[number] = (values[number] << 5) + bits[last]
        longer = np.flatnonzero(more > 1)
        number, last, more = number[longer], last[longer] - 1, more[longer] - 1
    return values


def _areas(counts: Sequence[str], pixels: int) -> Ints:
    """(masks,) foreground pixels of codes whose runs must fill the frame's ``pixels``."""
    areas = [np.zeros(0, np.int64)]
    for step in range(0, len(counts), MASKS_A_STEP):
        halves, starts = _runs(counts[step : step + MASKS_A_STEP])
        even, odd = (_totals(runs, begins) for runs, begins in halves)
        in_frame = all(
            runs.min(initial=0) >= 0 and runs.max(initial=0) <= pixels for runs, _ in halves
        )
        if not in_frame or (even + odd != pixels).any():
            raise ValueError("run lengths do not add up to the frame")
        areas.append(np.where(starts & 1, even, odd))  # the second run is foreground
    return np.concatenate(areas)


def _totals(values: npt.NDArray[Any], begins: Indices) -> Ints:
    """(codes,) sum of the values of each code, which may have none."""
    totals = np.zeros(len(begins), np.int64)
    some = np.flatnonzero(np.diff(begins, append=len(values)))
    if len(some):
        totals[some] = np.add.reduceat(values, begins[some], dtype=np.int64)
    return totals


def _check_form(mask: Any, height: int, width: int) -> None:
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
        found = "null" if mask is None else type(mask).__name__
        raise ValueError(
            "a mask is null or a compressed RLE {'size': [height, width], 'counts': string}, "
            f"not {found}"
        )
    _check_size(mask.get("size"), height, width)


def _check_size(size: Any, height: int, width: int) -> None:
    if size not in ([height, width], (height, width)):
        raise ValueError(f"mask of size {size!r:.80}, but the video has [{height}, {width}]")


def _from_polygons(polygons: list[Any], height: int, width: int) -> Rle | None:
    if not all(isinstance(p, list) and len(p) % 2 == 0 for p in polygons):
        raise ValueError("a polygon is a list of numbers [x0, y0, x1, y1, ...]")
    side = max(height, width)
    for value in (value for polygon in polygons for value in polygon):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"a polygon is a list of numbers [x0, y0, ...], not {value!r:.80}")
        # nan fails every comparison; tracing an edge takes memory in proportion to its length
        if not -side <= value <= 2 * side:
            raise ValueError(f"a polygon's corner at {value} is far outside the frame")
    drawable = [p for p in polygons if len(p) >= 6]
    if not drawable:
        return None
    return _plain(coco.merge(coco.frPyObjects(drawable, height, width)), height, width)


def _from_counts(counts: list[Any], height: int, width: int) -> Rle:
    if not set(map(type, counts)) <= {int}:
        raise ValueError("run lengths are a list of whole numbers")
    # plain sum and min: half as long as a detour over numpy
    _check_total(min(counts, default=0), sum(counts), height, width)
    return _plain(
        coco.frPyObjects({"size": [height, width], "counts": counts}, height, width), height, width
    )


def _plain(rle: dict[str, Any], height: int, width: int) -> Rle:
    return Rle(size=[height, width], counts=rle["counts"].decode("ascii"))


def _check_total(least: int, total: int, height: int, width: int) -> None:
    if least < 0 or total != height * width:
        raise ValueError(
            f"run lengths add up to {total}, but a mask of the video has "
            f"{height} x {width} = {height * width} pixels"
        )
