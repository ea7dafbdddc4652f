"""What treats frames each for itself, a few frames at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FRAMES_AT_A_TIME = 4


def few_at_a_time(layer: Callable[[Tensor], Tensor], frames: Tensor) -> Tensor:
    """``layer(frames)``, of a few frames after the other where only the result is kept.

    The hidden channels of a transformer block's MLP are up to eight times its own, so those of a
    long clip take most of the memory that inference needs.  On a GPU, whose launches cost more
    than that memory, in training, and in compiled models all frames go at once.

    Args:
        layer: takes any number of frames, and no frame's result depends on another's.
        frames: (B, ...), a frame each.
    """
    at_once = torch.is_grad_enabled() or torch.compiler.is_compiling()
    if at_once or frames.device.type != "cpu" or len(frames) <= FRAMES_AT_A_TIME:
        return layer(frames)
    return torch.cat([layer(part) for part in frames.split(FRAMES_AT_A_TIME)])
