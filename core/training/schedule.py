"""Learning rate as a function of the step alone, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from core.config.schema import TrainConfig

WARMUP_START = 1e-3
"""Share of the peak rate at the first step of the ``step`` schedule's warm-up, as published."""


def lr_factor(step: int, train: TrainConfig) -> float:
    """Share of the peak learning rate that step ``step`` (0 to ``train.steps - 1``) uses."""
    if step < train.warmup:
        rise = step / train.warmup
        return rise + WARMUP_START * (1 - rise)
    if train.schedule == "step":
        return 0.1 ** sum(step >= milestone for milestone in train.milestones)
    fall = (step - train.warmup) / max(train.steps - train.warmup, 1)
    return (1 + math.cos(math.pi * fall)) / 2


def make_optimizer(model: nn.Module, train: TrainConfig) -> AdamW:
    """AdamW over the trained parameters, the backbone's in a group with a rate of its own.

    Weight decay falls on every parameter, norms and biases included, as published.
    """
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (backbone if name.startswith("backbone.") else rest).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": backbone, "multiplier": train.backbone_lr},
        {"params": rest, "multiplier": 1.0},
    ]
    groups = [group for group in groups if group["params"]]
    return AdamW(groups, lr=train.lr, weight_decay=train.weight_decay, fused=True)


def set_lr(optimizer: Optimizer, step: int, train: TrainConfig) -> float:
    """Give every group its rate for ``step``; returns the rate before multipliers."""
    rate = train.lr * lr_factor(step, train)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]
    return rate
