"""Weights by formula, for goldens of our own that need no weight file."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import nn


def wave(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor in [-1, 1] that depends on a name and a shape alone."""
    phase = zlib.crc32(name.encode()) % 1000
    index = np.arange(int(np.prod(shape)), dtype=np.float64)
    return torch.from_numpy(np.sin(phase + 1.7 * index + 0.3 * np.sin(index))).view(shape).float()


def fill_by_formula(model: nn.Module) -> nn.Module:
    """Set every parameter and running statistic of ``model`` from its name."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = wave(name, tuple(value.shape))
            if name.endswith("init_proposal_bboxes.weight"):
                noise = torch.cat((0.5 + 0.2 * noise[:, :2], 0.4 + 0.2 * noise[:, 2:]), dim=1)
            elif value.dim() >= 2 and "init_proposal" not in name and "msg_tokens" not in name:
                noise = noise * (2 / np.prod(value.shape[1:])) ** 0.5
            elif name.endswith("running_var"):
                noise = 1 + 0.1 * noise.abs()
            elif value.dim() == 1 and name.endswith("weight"):
                noise = 1 + 0.1 * noise
            elif value.dim() == 1:
                noise = 0.05 * noise
            value.copy_(noise)
    return model
