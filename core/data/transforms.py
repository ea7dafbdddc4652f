"""What happens to a frame between its file and the model: decode, resize, flip, normalise, pad.

As published: sizes by mmcv's rule, bilinear without antialiasing (there rounded to whole levels),
masks by nearest neighbour, ImageNet's mean and deviation on 0..255 RGB, zeros below and to the
right up to a multiple of 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from core.config.schema import DataConfig
from core.data.images import read_pixels

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
STRIDE = 32

Size = tuple[int, int]


def read_frame(path: Path) -> Tensor:
    """A frame's file as (3, H, W) uint8 RGB, channels last in memory as decoded.

    Raises:
        UserError: the file is missing or not an image that can be read.
    """
    return torch.from_numpy(read_pixels(path)).permute(2, 0, 1)


def rescaled(size: Size, box: Size) -> Size:
    """(height, width) of ``size`` scaled, ratio kept, into a (long side, short side) box.

    Example:
        >>> rescaled((720, 1280), (640, 360))
        (360, 640)
        >>> rescaled((480, 854), (640, 360))  # the long side binds
        (360, 640)
    """
    scale = min(max(box) / max(size), min(box) / min(size))
    height, width = (max(1, int(side * scale + 0.5)) for side in size)
    return height, width


def draw_box(data: DataConfig, rng: np.random.Generator) -> Size:
    """A clip's (long side, short side): one of ``train_sizes``, or from the range they span.

    In a range the two sides are drawn apart, as published, so the tighter one binds.
    """
    if data.train_resize == "choice":
        return data.train_sizes[rng.integers(len(data.train_sizes))]
    longs = [max(size) for size in data.train_sizes]
    shorts = [min(size) for size in data.train_sizes]
    long = int(rng.integers(min(longs), max(longs), endpoint=True))
    short = int(rng.integers(min(shorts), max(shorts), endpoint=True))
    return long, short


def resize_frame(frame: Tensor, size: Size) -> Tensor:
    """(3, H, W) uint8 to (3, *size) float, still 0..255; bilinear, no antialiasing."""
    if tuple(frame.shape[1:]) == size:
        return frame.float()
    # not on uint8, which torch rounds up; channels last in memory it takes a quarter of the time
    batch = frame[None].float().contiguous(memory_format=torch.channels_last)
    return F.interpolate(batch, size=size, mode="bilinear", align_corners=False)[0]


def resize_mask(mask: npt.NDArray[np.bool_], size: Size) -> npt.NDArray[np.bool_]:
    """(H, W) bool to ``size`` by nearest neighbour (the pixel above and left)."""
    if mask.shape == size:
        return mask
    rows = np.arange(size[0]) * mask.shape[0] // size[0]
    columns = np.arange(size[1]) * mask.shape[1] // size[1]
    return np.asarray(mask[rows][:, columns])


def normalise(frame: Tensor) -> Tensor:
    """(3, H, W) RGB 0..255 minus ImageNet's mean over its deviation."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (frame - mean) / std


def padded_size(sizes: Sequence[Size]) -> Size:
    """The least (height, width) that holds all ``sizes`` and divides by 32."""
    height, width = (max(side) for side in zip(*sizes, strict=True))
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


def pad(images: Tensor, size: Size) -> Tensor:
    """(..., h, w) with zeros (false) below and to the right up to (..., *size)."""
    height, width = images.shape[-2:]
    if (height, width) == size:
        return images
    return F.pad(images, (0, size[1] - width, 0, size[0] - height))
