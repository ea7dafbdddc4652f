"""Linear layers on the quicker of the two libraries by which torch multiplies on a CPU.

torch gives float32 products to MKL, which leaves AVX-512 idle on processors that are not Intel's.
oneDNN, which it uses for convolutions, does not: products of some size take half as long.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LEAST_PRODUCTS = 1_000_000
"""Multiply-adds from which on a product saves more time than oneDNN takes to be set up."""
MOST_SUMMED = 8192
"""Rows whose sum a weight's gradient may be: oneDNN does not split a longer one over its blocks."""
AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this build of torch has oneDNN and its product, which torch does not document."""


def multiply_by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear`` by oneDNN, without gradients: (..., I) by a weight (O, I) to (..., O)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Product(torch.autograd.Function):
    """``x @ weight.T + bias``; its gradients are such products, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        product = multiply_by_onednn(x.flatten(0, -2), weight, bias)
        # no view to autograd, so that an activation may write into it
        return torch.ops.aten._unsafe_view(product, [*x.shape[:-1], len(weight)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        grad_x = multiply_by_onednn(grad, weight.t(), None) if for_x else None
        grad_weight = None
        if for_weight:
            left, right = rows.t(), x.flatten(0, -2)
            quick = len(rows) <= MOST_SUMMED
            grad_weight = multiply_by_onednn(left, right.t(), None) if quick else left @ right
        return grad_x, grad_weight, rows.sum(0) if for_bias else None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``: (..., I) by a weight (O, I) and a bias (O,) to (..., O)."""
    if not _quicker_by_onednn(x, weight):
        return F.linear(x, weight, bias)
    if not torch.is_grad_enabled():
        return multiply_by_onednn(x, weight, bias)
    product: Tensor = _Product.apply(x, weight, bias)
    return product


def _quicker_by_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        AVAILABLE
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * len(weight) >= LEAST_PRODUCTS
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and not torch.compiler.is_compiling()
    )


class Linear(nn.Linear):
    """``nn.Linear`` by :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        return linear(x, self.weight, self.bias)
