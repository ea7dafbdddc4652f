"""Batch norm over the batches of all processes, on CPU (gloo) as on CUDA (nccl).

torch's own ``SyncBatchNorm`` refuses CPU tensors and, with unequal batches a process, empty ones.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from core.training.distributed import world_size


class _SumOverRanks(torch.autograd.Function):
    """All-reduce whose gradient is the all-reduced gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm2d(nn.BatchNorm2d):
    """``BatchNorm2d`` whose batch statistics are those of all processes together.

    Same parameters, buffers and state-dict names.  Batches may differ in size and be empty on
    some processes; every process must take part in every training call and its backward.
    In eval mode and in a single process it is plain batch norm.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W), in float32, to the input's type."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        values = input.float()
        size = values.new_tensor([values.numel() / values.shape[1]])
        sums: Tensor = _SumOverRanks.apply(torch.cat((values.sum((0, 2, 3)), size)))
        count = sums[-1].detach()
        mean = sums[:-1] / count.clamp(min=1)
        # a second pass, not the mean of squares, which would cancel
        centred = values - mean[:, None, None]
        squares: Tensor = _SumOverRanks.apply(centred.square().sum((0, 2, 3)))
        variance = squares / count.clamp(min=1)
        self._update_running(mean.detach(), variance.detach(), count)
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        # arithmetic instead of a branch on count, which would wait for the GPU
        weight = momentum * (count > 0)
        self.running_mean += weight * (mean - self.running_mean)
        unbiased = variance * count / (count - 1).clamp(min=1)
        self.running_var += weight * (unbiased - self.running_var)


def synchronize_batch_norm(model: nn.Module) -> int:
    """Make every ``BatchNorm2d`` of ``model`` a :class:`SyncBatchNorm2d`, in place.

    Returns:
        How many were replaced.
    """
    norms = [module for module in model.modules() if type(module) is nn.BatchNorm2d]
    for norm in norms:
        norm.__class__ = SyncBatchNorm2d  # all else of it stays as it is
    return len(norms)
