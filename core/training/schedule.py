"""Learning rate as a function of the step alone, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from core.config.schema import TrainConfig
from core.model.backbones import BLOCKS, Backbone
from core.model.tevit import TeViT

WARMUP_START = 1e-3
"""Share of the peak rate at the first step of the ``step`` schedule's warm-up, as published."""


def lr_factor(step: int, train: TrainConfig) -> float:
    """Share of the peak learning rate that step ``step`` (0 to ``train.steps - 1``) uses.

    ``step`` is the published schedule; ``cosine`` is that of SGDR (Loshchilov and Hutter, ICLR
    2017) without restarts, ``wsd`` that of MiniCPM (Hu et al., 2024, section 4) with a straight
    fall.
    """
    if step < train.warmup:
        rise = step / train.warmup
        return rise + WARMUP_START * (1 - rise)
    if train.schedule == "step":
        return 0.1 ** sum(step >= milestone for milestone in train.milestones)
    if train.schedule == "wsd":
        falling = max(train.cooldown * train.steps, 1)
        fall = max(1 - (train.steps - step) / falling, 0.0)
        return 1 - (1 - train.final_lr) * fall
    fall = (step - train.warmup) / max(train.steps - train.warmup, 1)
    last = train.final_lr if train.schedule == "cosine" else 0.0
    return last + (1 - last) * (1 + math.cos(math.pi * fall)) / 2


def make_optimizer(model: TeViT, train: TrainConfig) -> Optimizer:
    """AdamW or SGD over the trained parameters, those that share rate and decay in one group.

    The backbone's are in groups of their own.
    """
    layer = layers(model.backbone)
    last = max(layer.values(), default=0)
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        inside = name.startswith("backbone.")
        above = last + 1 - layer[name.removeprefix("backbone.")] if inside else 0
        rate = train.backbone_lr * train.layer_decay**above if inside else 1.0
        weight = parameter.dim() > 1 and "bias" not in name.rpartition(".")[2]
        decay = train.weight_decay if weight or train.decay_norms else 0.0
        groups.setdefault((inside, rate, decay), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "multiplier": rate, "weight_decay": decay}
        for (_, rate, decay), parameters in groups.items()
    ]
    if train.optimizer == "sgd":
        return SGD(options, lr=train.lr, momentum=train.momentum, fused=True)
    return AdamW(options, lr=train.lr, fused=True)


def layers(backbone: Backbone) -> dict[str, int]:
    """Layer of each parameter of the backbone: the number of its block, the first being 1.

    What stands before the first block is layer 0; what stands between blocks, and outputs that
    are registered after them, belong to the block before them.
    """
    blocks = [name for name, module in backbone.named_modules() if isinstance(module, BLOCKS)]
    found, depth = {}, 0
    for name, _ in backbone.named_parameters():
        if depth < len(blocks) and name.startswith(f"{blocks[depth]}."):
            depth += 1
        found[name] = depth
    return found


def set_lr(optimizer: Optimizer, step: int, train: TrainConfig) -> float:
    """Give every group its rate for ``step``; returns the rate before multipliers."""
    rate = train.lr * lr_factor(step, train)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]
    return rate
