"""Photometric distortion: one draw a clip, as all of its frames lie in one light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor
from torchvision.transforms import functional

CHANGES: tuple[tuple[Callable[[Tensor, float], Tensor], float, float], ...] = (
    (functional.adjust_brightness, 0.75, 1.25),
    (functional.adjust_contrast, 0.5, 1.5),
    (functional.adjust_saturation, 0.5, 1.5),
    (functional.adjust_hue, -0.05, 0.05),
)
"""What is changed, and between which factors (hue: shares of the circle), as SSD has it."""


def distorted(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """(T, 3, H, W) levels 0 to 255 in another light; each change comes with probability 1/2."""
    for change, low, high in CHANGES:
        factor = float(rng.uniform(low, high))
        if rng.random() < 0.5:
            frames = change(frames.clamp(0, 255) / 255, factor) * 255
    return frames
