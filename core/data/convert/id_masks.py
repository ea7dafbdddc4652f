"""PNGs whose pixels are the numbers of instances, and the masks that they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.images import opened, upright
from core.data.rle import Rle, encode
from core.errors import UserError

Ids = npt.NDArray[np.int64]


def read_ids(path: Path, size: tuple[int, int]) -> Ids:
    """(H, W) numbers of a PNG with a palette, or of 1, 8 or 16 bits.

    Raises:
        UserError: it is missing, broken, in colour, or of another size than its frame.
    """
    with opened(path) as image:
        if image.mode not in ("P", "L", "1", "I;16", "I"):
            raise UserError(f"{path}: holds colours ({image.mode}), not the numbers of instances")
        ids = np.array(upright(image)).astype(np.int64)
    return _of_size(ids, size, path)


def read_colour_ids(path: Path, size: tuple[int, int]) -> Ids:
    """(H, W) numbers that a PNG holds as colours: red + 256 green + 256**2 blue.

    Raises:
        UserError: it is missing, broken, or of another size than its frame.
    """
    with opened(path) as image:
        levels = np.array(upright(image).convert("RGB")).astype(np.int64)
    return _of_size(levels @ np.array([1, 256, 256**2]), size, path)


def mask_or_none(mask: npt.NDArray[np.bool_]) -> Rle | None:
    """The mask as compressed RLE; null where it is empty."""
    return encode(mask) if mask.any() else None


def _of_size(ids: Ids, size: tuple[int, int], path: Path) -> Ids:
    if ids.shape != size:
        shape = f"{ids.shape[1]}x{ids.shape[0]}"
        raise UserError(f"{path}: a mask of {shape}, but its frame has {size[1]}x{size[0]}")
    return ids
