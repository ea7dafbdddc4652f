"""Multiply-adds of one operator as a function of its shapes.

One multiply-add is one product added to a running sum.  Biases, and whatever touches each element
once (norms, activations, softmax, residuals), are not multiply-adds: see
:mod:`benchmarks.flops.operators`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

Dims = Sequence[int]
# neighbours that one output value is interpolated from, an image axis
TAPS_PER_AXIS: dict[str, int] = {"nearest": 0, "bilinear": 2, "bicubic": 4}


class FlopFormulaError(Exception):
    """The shapes or arguments of an operator do not say what it costs."""


def matmul(a: Dims, b: Dims) -> int:
    """``a @ b`` with the broadcasting of ``torch.matmul``: (..., M, K) by (..., K, N).

    A vector counts as one row on the left or one column on the right.
    """
    a = (1, *a) if len(a) == 1 else tuple(a)
    b = (*b, 1) if len(b) == 1 else tuple(b)
    if a[-1] != b[-2]:
        raise FlopFormulaError(f"matrix product of {a} and {b}: inner sizes differ")
    return prod(broadcast(a[:-2], b[:-2])) * a[-2] * a[-1] * b[-1]


def linear_layer(x: Dims, weight: Dims) -> int:
    """(..., I) by a weight (O, I)."""
    return prod(x) * weight[0]


def convolution(x: Dims, weight: Dims, out: Dims, transposed: bool) -> int:
    """Convolution of (B, C, *size), also grouped or transposed; padding counts as data.

    A weight is (O, C / groups, *kernel), transposed (C, O / groups, *kernel).  Each is used once
    a place of the output, or of the input if transposed.
    """
    places = x if transposed else out
    return places[0] * prod(weight) * prod(places[2:])


def attention(query: Dims, key: Dims, value: Dims) -> int:
    """softmax(Q K') V of (..., L, E), (..., S, E) and (..., S, V), without the softmax."""
    batch = prod(broadcast(query[:-2], key[:-2]))
    return batch * query[-2] * key[-2] * (query[-1] + value[-1])


def gru(x: Dims, weights: Sequence[Dims]) -> int:
    """Recurrent layers over (B, T, I) or packed (B * T, I): each matrix is used once a frame.

    Args:
        weights: of all parameters, as torch lists them; the biases are not counted.
    """
    return prod(x[:-1]) * sum(prod(weight) for weight in weights if len(weight) == 2)


def einsum(equation: str, shapes: Sequence[Dims]) -> int:
    """Einstein sum of two operands: every combination of their indices is one multiply-add.

    A single operand is only permuted or summed, which is no multiply-add.

    Raises:
        FlopFormulaError: more than two operands (the order of contraction decides the cost), or
            an ellipsis.
    """
    if len(shapes) == 1:
        return 0
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if len(shapes) != 2 or "." in equation:
        raise FlopFormulaError(
            f"einsum {equation!r}: only two operands without '...' can be counted; "
            "write it as products of two"
        )
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values())


def interpolation(out: Dims, mode: str) -> int:
    """Sampling an image (B, C, *size) into ``out``: as many multiply-adds a value as neighbours.

    Nearest-neighbour sampling copies, so it costs none.  The weights are not counted: they are
    shared by all channels.
    """
    return prod(out) * prod([TAPS_PER_AXIS[mode]] * (len(out) - 2))


def embedding_bag(weight: Dims, indices: Dims) -> int:
    """Weighted sum of rows of ``weight`` (R, C): C multiply-adds for each index."""
    return prod(indices) * weight[-1]


def roi_pooling(out: Dims, sampling_ratio: int) -> int:
    """RoIAlign into (K, C, h, w): bilinear, ``sampling_ratio`` squared samples a bin.

    Raises:
        FlopFormulaError: adaptive sampling, whose cost depends on the boxes.
    """
    if sampling_ratio < 1:
        raise FlopFormulaError(
            f"RoIAlign with sampling_ratio={sampling_ratio} takes as many samples as a box is "
            "large, so it has no count; set a sampling_ratio of 1 or more"
        )
    return interpolation(out, "bilinear") * sampling_ratio**2


def broadcast(a: Dims, b: Dims) -> tuple[int, ...]:
    """Shape of two shapes broadcast against each other."""
    try:
        return np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        raise FlopFormulaError(f"shapes {tuple(a)} and {tuple(b)} do not broadcast") from None
