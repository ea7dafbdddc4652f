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


def multiply_by_onednn(
    x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "none"
) -> Tensor:
    """``F.linear`` by oneDNN, without gradients: (..., I) by a weight (O, I) to (..., O).

    Args:
        then: ``relu``: of the product; ``none``: the product itself.
    """
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], "")


def _weight_gradient(rows: Tensor, x: Tensor) -> Tensor:
    """``rows.T @ x`` of ``rows`` (R, O), the gradient of a product, and ``x`` (R, I)."""
    if len(rows) > MOST_SUMMED:
        return rows.t() @ x
    # oneDNN puts its left factor in order first: let that be the smaller one
    if x.shape[1] < rows.shape[1]:
        return multiply_by_onednn(x.t(), rows.t(), None).t()
    return multiply_by_onednn(rows.t(), x.t(), None)


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
        grad_weight = _weight_gradient(rows, x.flatten(0, -2)) if for_weight else None
        return grad_x, grad_weight, rows.sum(0) if for_bias else None


def _by_group(hidden: Tensor, own: Tensor) -> Tensor:
    """(R, P, G * O) as (R, P * G, O), which ``own`` (R, O) reads."""
    return hidden.unflatten(2, (-1, own.shape[1])).flatten(1, 2)


class _ReLUThenOneRow(torch.autograd.Function):
    """:func:`relu_then_one_row` without a pass over memory for each of ReLU and its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, own: Tensor) -> Tensor:
        hidden = _by_group(multiply_by_onednn(x, weight, bias, "relu"), own)
        ctx.save_for_backward(x, weight, own, hidden)
        return torch.bmm(own[:, None], hidden.transpose(1, 2)).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x, weight, own, hidden = ctx.saved_tensors
        grad_own = torch.bmm(grad[:, None], hidden).squeeze(1)
        passed = grad[..., None] * own[:, None]
        torch.ops.aten.threshold_backward.grad_input(passed, hidden, 0, grad_input=passed)
        rows = passed.view(-1, len(weight))
        grad_weight = _weight_gradient(rows, x.flatten(0, 1))
        grad_x = multiply_by_onednn(rows, weight.t(), None).view_as(x)
        return grad_x, grad_weight, rows.sum(0), grad_own


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``: (..., I) by a weight (O, I) and a bias (O,) to (..., O)."""
    if not _quicker_by_onednn(x, weight):
        return F.linear(x, weight, bias)
    if not torch.is_grad_enabled():
        return multiply_by_onednn(x, weight, bias)
    product: Tensor = _Product.apply(x, weight, bias)
    return product


def relu_then_one_row(x: Tensor, weight: Tensor, bias: Tensor, own: Tensor) -> Tensor:
    """ReLU of a linear layer, of which each sample reads one number by a row of its own.

    Args:
        x: (R, P, I).
        weight, bias: (G * O, I) and (G * O,), of G groups of O outputs.
        own: (R, O).

    Returns:
        (R, P * G).
    """
    if _quicker_by_onednn(x, weight) and torch.is_grad_enabled():
        numbers: Tensor = _ReLUThenOneRow.apply(x, weight, bias, own)
        return numbers
    hidden = _by_group(F.relu_(linear(x, weight, bias)), own)
    return torch.bmm(hidden, own[..., None]).squeeze(2)


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
