"""Photometric distortion: one draw a clip, as all of its frames lie in one light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import functional


def turned_hue(frames: Tensor, turn: float) -> Tensor:
    """(..., 3, H, W) levels 0 to 1 with every hue turned by a share of the circle.

    As torchvision's ``adjust_hue``, in a tenth of its time: it goes from hue to channels directly
    (https://en.wikipedia.org/wiki/HSL_and_HSV, "HSV to RGB alternative").
    """
    red, green, blue = frames.unbind(-3)
    value = frames.amax(-3)
    chroma = value - frames.amin(-3)
    unit = chroma.clamp(min=1e-12)
    hue = torch.where(value == green, 2 + (blue - red) / unit, 4 + (red - green) / unit)
    hue = torch.where(value == red, (green - blue) / unit, hue).add_(6 * turn)  # in sixths
    turned = torch.empty_like(frames)
    for sixth, channel in zip((5, 3, 1), turned.unbind(-3), strict=True):
        place = (hue + sixth).remainder_(6)
        share = torch.minimum(place, 4 - place).clamp_(0, 1)
        torch.sub(value, share.mul_(chroma), out=channel)
    return turned


CHANGES: tuple[tuple[Callable[[Tensor, float], Tensor], float, float], ...] = (
    (functional.adjust_brightness, 0.75, 1.25),
    (functional.adjust_contrast, 0.5, 1.5),
    (functional.adjust_saturation, 0.5, 1.5),
    (turned_hue, -0.05, 0.05),
)
"""What is changed, and between which factors (hue: shares of the circle), as SSD has it."""


def distorted(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """(T, 3, H, W) levels 0 to 255 in another light; each change comes with probability 1/2."""
    for change, low, high in CHANGES:
        factor = float(rng.uniform(low, high))
        if rng.random() < 0.5:
            frames = change(frames.clamp(0, 255) / 255, factor) * 255
    return frames
