"""Where the pixels of a training frame lie in its source: crop, jitter of scale, moved copies.

A view is an affine map, so that a frame and its masks are sampled once, whatever is switched on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from core.config.schema import AugmentConfig
from core.data.transforms import MEAN, Size, rescaled

ANGLE, SCALE, SHIFT = math.radians(15), 1.25, 0.1
"""A moved copy: turned by so much at most, scaled by 1 / SCALE to SCALE, shifted by this share of
the frame."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A frame to come.

    Attributes:
        matrix: (2, 3), from its pixels (x, y, 1) to those of the source; centres lie at halves.
        size: its (height, width).
    """

    matrix: Matrix
    size: Size


def changes_view(augment: AugmentConfig) -> bool:
    """Whether frames are cropped or scaled inside their frame."""
    return bool(augment.crop) or tuple(augment.jitter) != (1, 1)


def whole(source: Size, size: Size) -> View:
    """All of the source, resized."""
    return _of_window((0, 0, source[1], source[0]), size)


def draw_views(
    source: Size,
    box: Size,
    frames: int,
    augment: AugmentConfig,
    moved: bool,
    rng: np.random.Generator,
) -> list[View]:
    """One window for all frames of a clip; ``moved``: each frame's turned and shifted by itself.

    Args:
        source: (height, width) of the video.
        box: (long side, short side) that the window is resized into.
        frames: of the clip.
    """
    height, width, y, x = *map(float, source), 0.0, 0.0
    if augment.crop and rng.random() < augment.crop:
        height, width = (side * rng.uniform(augment.crop_least, 1) for side in source)
        y, x = rng.uniform(0, source[0] - height), rng.uniform(0, source[1] - width)
    size = rescaled((max(round(height), 1), max(round(width), 1)), box)
    if tuple(augment.jitter) != (1, 1):
        # a picture enlarged beyond its frame shows a part, a smaller one lies somewhere in it
        factor = rng.uniform(*augment.jitter)
        y += rng.random() * (height - height / factor)
        x += rng.random() * (width - width / factor)
        height, width = height / factor, width / factor
    view = _of_window((x, y, width, height), size)
    return [_moved(view, rng) if moved else view for _ in range(frames)]


def placed(source: Size, size: Size, rng: np.random.Generator) -> View:
    """The source, half as large as fits into ``size`` to as large, somewhere inside of it."""
    scale = min(size[0] / source[0], size[1] / source[1]) * rng.uniform(0.5, 1)
    height, width = size[0] / scale, size[1] / scale
    y, x = rng.random() * (source[0] - height), rng.random() * (source[1] - width)
    return _of_window((x, y, width, height), size)


def _of_window(window: tuple[float, float, float, float], size: Size) -> View:
    """The part (x, y, width, height) of the source, resized to ``size``."""
    x, y, width, height = window
    return View(np.array([[width / size[1], 0, x], [0, height / size[0], y]]), size)


def _moved(view: View, rng: np.random.Generator) -> View:
    angle, scale = rng.uniform(-ANGLE, ANGLE), SCALE ** rng.uniform(-1, 1)
    height, width = view.size
    shift = rng.uniform(-SHIFT, SHIFT, 2) * (width, height)
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    centre = np.array([width, height]) / 2
    inner = np.eye(3)
    inner[:2, :2], inner[:2, 2] = turn, centre + shift - turn @ centre
    return View(view.matrix @ inner, view.size)


def view_frame(frame: Tensor, view: View) -> Tensor:
    """(3, H, W) levels to (3, *view.size) float; bilinear, ImageNet's mean outside the source."""
    x, y = _sources(view)
    height, width = frame.shape[1:]
    grid = torch.empty(*view.size, 2)
    grid[..., 0] = torch.from_numpy(2 * x / width - 1)
    grid[..., 1] = torch.from_numpy(2 * y / height - 1)
    found = F.grid_sample(
        frame[None].float(), grid[None], padding_mode="border", align_corners=False
    )
    inside = torch.from_numpy(_inside(x, y, height, width))
    return found[0].where(inside, torch.tensor(MEAN)[:, None, None])


def view_masks(masks: npt.NDArray[np.bool_], view: View) -> npt.NDArray[np.bool_]:
    """(N, H, W) to (N, *view.size) by the nearest pixel; false outside the source."""
    x, y = _sources(view)
    height, width = masks.shape[1:]
    columns, rows = (
        axis.astype(np.int64).clip(0, side - 1) for axis, side in ((x, width), (y, height))
    )
    upright = len(columns) == 1 and rows.shape[1] == 1  # whole rows are quicker to take
    found = masks[:, rows[:, 0]][:, :, columns[0]] if upright else masks[:, rows, columns]
    return np.asarray(found & _inside(x, y, height, width))


def _sources(view: View) -> tuple[Matrix, Matrix]:
    """x and y in the source of the centres of the view's pixels.

    They are (h, w) each; where the view is not turned, x is (1, w) and y (h, 1).
    """
    y, x = (np.arange(side) + 0.5 for side in view.size)
    (a, b, c), (d, e, f) = view.matrix
    across = a * x[None] + c
    down = e * y[:, None] + f
    return (across + b * y[:, None], down + d * x[None]) if b or d else (across, down)


def _inside(x: Matrix, y: Matrix, height: int, width: int) -> npt.NDArray[np.bool_]:
    return np.asarray((x >= 0) & (x < width) & (y >= 0) & (y < height))


def boxes_around(masks: Tensor) -> Tensor:
    """(..., 4) xyxy around (..., H, W) masks; zeros where empty, and nowhere else x1 = 0."""
    edges = []
    for axis in (-2, -1):
        across = np.asarray(masks.numpy().any(axis))  # quicker than torch's
        first = across.argmax(-1)
        last = across.shape[-1] - across[..., ::-1].argmax(-1)
        edges.append((first, np.where(across.any(-1), last, 0)))
    (x0, x1), (y0, y1) = edges
    return torch.from_numpy(np.stack([x0, y0, x1, y1], -1)).float()
