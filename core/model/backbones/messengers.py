"""Messenger tokens: how a layer made for patches treats them, and their shift along time.

A messenger has no place in the image.  A convolution therefore acts on it as it would on a
constant image: by its kernel summed over the window, plus the bias.  (Paper, section 3.2.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.model.operators.linear import linear


def project_messengers(conv: nn.Conv2d, messengers: Tensor) -> Tensor:
    """Apply ``conv`` (full or depth-wise) to ``messengers``.

    Args:
        messengers: (B, M, C_in).

    Returns:
        (B, M, C_out).
    """
    weight = conv.weight.sum(dim=(2, 3))
    if conv.groups == 1:
        return linear(messengers, weight, conv.bias)
    scaled = messengers * weight.squeeze(1)
    return scaled if conv.bias is None else scaled + conv.bias


def shift_messengers(messengers: Tensor, clip_length: int, steps: tuple[int, ...]) -> Tensor:
    """Roll groups of messengers along time, circularly.

    The messengers are split into as many groups as there are steps (as equal as can be; the
    first groups are the larger ones) and group i is rolled by ``steps[i]`` frames.

    Args:
        messengers: (B * T, M, C), frames of a clip adjacent.
        clip_length: T.
        steps: frames to roll each group by; none: nothing moves.

    Returns:
        (B * T, M, C).
    """
    if not steps:
        return messengers
    groups = messengers.unflatten(0, (-1, clip_length)).tensor_split(len(steps), dim=2)
    rolled = [group.roll(step, dims=1) for group, step in zip(groups, steps, strict=True)]
    return torch.cat(rolled, dim=2).flatten(0, 1)


def block_shift_steps(steps: tuple[int, ...], block: int, depth: int) -> tuple[int, ...]:
    """Steps after block ``block`` (from 0) of a stage of ``depth`` blocks.

    Odd blocks undo what even blocks did, so a pair of blocks shifts out and back; the unpaired
    last block of an odd stage does not shift.
    """
    if block == depth - 1 and depth % 2:
        return ()
    return tuple(-step for step in steps) if block % 2 else steps
