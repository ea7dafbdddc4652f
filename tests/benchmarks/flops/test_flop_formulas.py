"""Formulas against counts of the products that a naive loop would do."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.flops import formulas
from benchmarks.flops.formulas import FlopFormulaError

small = st.integers(1, 5)


@given(small, small, small, small)
def test_linear_is_rows_by_inputs_by_outputs(batch, tokens, inputs, outputs):
    assert formulas.linear_layer((batch, tokens, inputs), (outputs, inputs)) == (
        batch * tokens * inputs * outputs
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((3, 4), (4, 5), 3 * 4 * 5),
        ((2, 3, 4), (2, 4, 5), 2 * 3 * 4 * 5),
        ((2, 1, 3, 4), (7, 4, 5), 2 * 7 * 3 * 4 * 5),  # batches broadcast
        ((4,), (4, 5), 4 * 5),
        ((3, 4), (4,), 3 * 4),
        ((4,), (4,), 4),
        ((0, 4), (4, 5), 0),
    ],
)
def test_matmul_broadcasts_as_torch_does(a, b, expected):
    assert formulas.matmul(a, b) == expected
    out = torch.zeros(a) @ torch.zeros(b)
    assert expected == out.numel() * a[-1]


def test_matmul_refuses_shapes_that_do_not_fit():
    with pytest.raises(FlopFormulaError, match="inner sizes"):
        formulas.matmul((2, 3), (4, 5))
    with pytest.raises(FlopFormulaError, match="broadcast"):
        formulas.matmul((2, 3, 4), (3, 4, 5))


@settings(max_examples=30)
@given(
    st.booleans(), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3),
    st.integers(1, 2), st.integers(3, 6),
)  # fmt: skip
def test_convolution_counts_the_products_of_a_loop(
    transposed, groups, in_per_group, out_per_group, kernel, stride, side
):
    """The sum over outputs of the products in each, found by convolving ones."""
    channels_in, channels_out = groups * in_per_group, groups * out_per_group
    x = torch.ones(2, channels_in, side, side)
    if transposed:
        weight = torch.ones(channels_in, out_per_group, kernel, kernel)
        out = F.conv_transpose2d(x, weight, stride=stride, groups=groups)
    else:
        weight = torch.ones(channels_out, in_per_group, kernel, kernel)
        out = F.conv2d(x, weight, stride=stride, groups=groups)
    assert formulas.convolution(x.shape, weight.shape, out.shape, transposed) == int(out.sum())


@given(small, small, small, small, small, small)
def test_attention_is_two_matrix_products(batch, heads, queries, keys, channels, values):
    q, k, v = (batch, heads, queries, channels), (batch, heads, keys, channels), None
    v = (batch, heads, keys, values)
    scores = formulas.matmul(q, (*k[:2], channels, keys))
    read = formulas.matmul((batch, heads, queries, keys), v)
    assert formulas.attention(q, k, v) == scores + read


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("abc,abd->acd", [(2, 3, 4), (2, 3, 5)]),
        ("abc,adc->adb", [(2, 3, 4), (2, 5, 4)]),
        ("qc,qchw->qhw", [(2, 3), (2, 3, 4, 5)]),
        ("ij,ij->ij", [(3, 4), (3, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("bij, bjk", [(2, 3, 4), (2, 4, 5)]),
    ],
)
def test_einsum_is_every_combination_of_indices(equation, shapes):
    terms = equation.replace(" ", "").split("->")[0].split(",")
    sizes = {i: n for t, s in zip(terms, shapes, strict=True) for i, n in zip(t, s, strict=True)}
    combinations = sum(1 for _ in product(*(range(n) for n in sizes.values())))
    assert formulas.einsum(equation, shapes) == combinations


def test_einsum_of_one_operand_only_moves_or_adds():
    assert formulas.einsum("ab->ba", [(2, 3)]) == 0


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]), ("...ab,...bc->...ac", [(2, 2, 3), (2, 3, 4)])],
)
def test_einsum_that_has_no_single_answer_is_refused(equation, shapes):
    with pytest.raises(FlopFormulaError, match="two operands"):
        formulas.einsum(equation, shapes)


@pytest.mark.parametrize(("mode", "neighbours"), [("nearest", 0), ("bilinear", 4), ("bicubic", 16)])
def test_interpolation_by_neighbours(mode, neighbours):
    assert formulas.interpolation((2, 3, 4, 5), mode) == 2 * 3 * 4 * 5 * neighbours


def test_trilinear_has_eight_neighbours():
    assert formulas.interpolation((1, 2, 3, 4, 5), "bilinear") == 8 * 2 * 3 * 4 * 5


def test_embedding_bag_adds_one_row_an_index():
    table, index = np.ones((10, 6)), np.zeros((4, 16), dtype=int)
    products = table[index].size  # each weighted value is one
    assert formulas.embedding_bag(table.shape, index.shape) == products


def test_roi_align_is_four_neighbours_of_each_sample():
    assert formulas.roi_pooling((5, 256, 7, 7), 2) == 5 * 256 * 49 * 4 * 4


def test_both_ways_of_roi_align_cost_the_same():
    boxes, bins, channels = 5, 49, 256
    by_table = formulas.embedding_bag((1000, channels), (boxes * bins, 16))
    assert formulas.roi_pooling((boxes, channels, 7, 7), 2) == by_table


@pytest.mark.parametrize("ratio", [0, -1])
def test_adaptive_roi_align_has_no_count(ratio):
    with pytest.raises(FlopFormulaError, match="sampling_ratio"):
        formulas.roi_pooling((5, 256, 7, 7), ratio)
