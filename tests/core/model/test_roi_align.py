"""RoIAlign against torchvision's, on any boxes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import roi_align as reference_roi_align

from core.model.operators.roi_align import Pyramid, _weighted_rows, roi_align

STRIDES = (4, 8, 16, 32)
SIZE = (64, 96)


def pyramid_of(frames: int = 2, channels: int = 5, base: float = 16.0) -> tuple[Pyramid, list]:
    generator = torch.Generator().manual_seed(0)
    levels = [
        torch.randn(frames, channels, SIZE[0] // s, SIZE[1] // s, generator=generator)
        for s in STRIDES
    ]
    return Pyramid.from_levels(levels, STRIDES, base), levels


def by_torchvision(
    pyramid: Pyramid, levels: list[Tensor], boxes: Tensor, frames: Tensor, bins: int
) -> Tensor:
    pooled = torch.zeros(len(boxes), bins * bins, levels[0].shape[1])
    for level, stride in enumerate(STRIDES):
        chosen = pyramid.level_of(boxes) == level
        rois = torch.cat((frames[chosen, None].float(), boxes[chosen]), dim=1)
        out = reference_roi_align(levels[level], rois, bins, 1 / stride, 2, aligned=True)
        pooled[chosen] = out.flatten(2).transpose(1, 2)
    return pooled


coordinate = st.floats(-300, 400, width=32)
box = st.tuples(coordinate, coordinate, st.floats(0, 500, width=32), st.floats(0, 500, width=32))


@settings(max_examples=60)
@given(st.lists(box, min_size=1, max_size=8), st.sampled_from([7, 14]))
def test_equal_to_torchvision(corners: list[tuple[float, float, float, float]], bins: int):
    pyramid, levels = pyramid_of()
    boxes = torch.tensor([(x, y, x + w, y + h) for x, y, w, h in corners])
    frames = torch.arange(len(boxes)) % 2
    ours = roi_align(pyramid, boxes, frames, bins)
    theirs = by_torchvision(pyramid, levels, boxes, frames, bins)
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)


def test_equal_to_torchvision_on_usual_boxes():
    pyramid, levels = pyramid_of(frames=3)
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand(500, 2, generator=generator) * torch.tensor([90.0, 60.0])
    boxes = torch.cat((corner, corner + 60 * torch.rand(500, 2, generator=generator)), dim=1)
    frames = torch.randint(0, 3, (500,), generator=generator)
    ours = roi_align(pyramid, boxes, frames, 7)
    assert (ours - by_torchvision(pyramid, levels, boxes, frames, 7)).abs().max() < 5e-5


@pytest.mark.parametrize(
    "edges",
    [
        (0, 0, 0, 0),
        (95, 63, 96, 64),
        (-500, -500, -400, -400),
        (1000, 1000, 2000, 2000),
        (-1e4, -1e4, 1e4, 1e4),
        (20, 20, 20, 60),
    ],
)
def test_strange_boxes(edges: tuple[float, ...]):
    pyramid, levels = pyramid_of()
    boxes, frames = torch.tensor([edges], dtype=torch.float32), torch.tensor([1])
    ours = roi_align(pyramid, boxes, frames, 7)
    theirs = by_torchvision(pyramid, levels, boxes, frames, 7)
    torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=1e-4)


def test_no_boxes():
    pyramid, _ = pyramid_of()
    none = roi_align(pyramid, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 7)
    assert none.shape == (0, 49, 5)


def test_level_by_box_size():
    pyramid, _ = pyramid_of(base=56.0)
    sides = torch.tensor([1.0, 55.0, 56.0, 112.0, 224.0, 448.0, 5000.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), dim=1)
    assert pyramid.level_of(boxes).tolist() == [0, 0, 0, 1, 2, 3, 3]


def test_gradient_reaches_the_features_and_not_the_boxes():
    features = [torch.randn(1, 4, 64 // s, 96 // s, requires_grad=True) for s in STRIDES]
    twins = [level.detach().clone().requires_grad_() for level in features]
    boxes = torch.tensor([[4.0, 4.0, 20.0, 18.0], [0.0, 0.0, 90.0, 60.0]], requires_grad=True)
    frames = torch.zeros(2, dtype=torch.long)
    pyramid = Pyramid.from_levels(features, STRIDES, 16.0)
    roi_align(pyramid, boxes, frames, 7).square().sum().backward()
    by_torchvision(pyramid, twins, boxes.detach(), frames, 7).square().sum().backward()
    assert boxes.grad is None
    for ours, theirs in zip(features, twins, strict=True):
        expected = torch.zeros_like(theirs) if theirs.grad is None else theirs.grad
        torch.testing.assert_close(ours.grad, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.versions
@pytest.mark.parametrize("bins", [0, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_without_a_sort_is_that_of_embedding_bag(dtype: torch.dtype, bins: int):
    generator = torch.Generator().manual_seed(2)
    index = torch.randint(0, 40, (bins, 16), generator=generator)
    weight = torch.rand(bins, 16, generator=generator).to(dtype)
    values = torch.randn(50, 8, generator=generator)
    wanted = torch.randn(bins, 8, generator=generator)
    gradients = []
    for pool in (_weighted_rows, _by_embedding_bag):
        table = values.to(dtype if pool is _weighted_rows else torch.float32).requires_grad_()
        pooled = pool(table, index, weight.to(table.dtype))
        (pooled * wanted.to(table.dtype)).sum().backward()
        assert table.grad is not None
        assert table.grad.dtype == table.dtype
        gradients.append(table.grad.float())
    tolerance = 1e-5 if dtype == torch.float32 else 0.3
    torch.testing.assert_close(*gradients, atol=tolerance, rtol=tolerance / 10)


def _by_embedding_bag(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)
