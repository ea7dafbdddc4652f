"""Gradient checkpointing: activations are thrown away and computed anew in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from core.model.backbones import BLOCKS
from core.model.box_head import BoxHead
from core.model.mask_head import MaskHead


def recompute_activations(model: nn.Module) -> None:
    """Have every block of the backbone and every head keep its inputs alone (Chen et al., 2016).

    Numbers do not change: stochastic depth draws the same again, and batch norm counts a batch
    once.  Names of weights stay.
    """
    for module in model.modules():
        if isinstance(module, (*BLOCKS, BoxHead, MaskHead)):
            norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
            module.forward = partial(_run, module.forward, norms)  # type: ignore[method-assign]


def _run(forward: Callable[..., Any], norms: Sequence[nn.BatchNorm2d], *inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(norms)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(norms: Sequence[nn.BatchNorm2d]) -> Iterator[None]:
    """Running statistics stay as they are, though batch norm sees its batch once more."""
    before = [(n, n.momentum, n.num_batches_tracked) for n in norms]
    counts = [None if count is None else count.clone() for _, _, count in before]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for (norm, momentum, tracked), count in zip(before, counts, strict=True):
            norm.momentum = momentum
            if tracked is not None and count is not None:
                tracked.copy_(count)
