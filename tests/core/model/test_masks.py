"""Pasting masks and making mask targets."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.model.masks import mask_targets, paste_masks


def by_grid_sample(logits: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Probabilities in the frame by bilinear sampling with zero padding."""
    y = (torch.arange(size[0]) + 0.5)[None] - boxes[:, 1, None]
    x = (torch.arange(size[1]) + 0.5)[None] - boxes[:, 0, None]
    y = 2 * y / (boxes[:, 3] - boxes[:, 1])[:, None] - 1
    x = 2 * x / (boxes[:, 2] - boxes[:, 0])[:, None] - 1
    grid = torch.stack(
        (x[:, None].expand(-1, size[0], -1), y[:, :, None].expand(-1, -1, size[1])), dim=-1
    )
    return F.grid_sample(logits.sigmoid()[:, None], grid, align_corners=False)[:, 0]


edge = st.floats(-60, 120, width=32)
side = st.floats(0.5, 200, width=32)


@settings(max_examples=50)
@given(st.lists(st.tuples(edge, edge, side, side), min_size=1, max_size=4))
def test_equal_to_grid_sample(corners: list[tuple[float, float, float, float]]):
    boxes = torch.tensor([(x, y, x + w, y + h) for x, y, w, h in corners])
    logits = torch.randn(len(boxes), 28, 28, generator=torch.Generator().manual_seed(0)) * 3
    pasted = paste_masks(logits, boxes, (40, 60))
    probabilities = by_grid_sample(logits, boxes, (40, 60))
    clear = (probabilities - 0.5).abs() > 1e-3
    assert torch.equal(pasted[clear], (probabilities >= 0.5)[clear])


def test_a_full_mask_fills_its_box():
    logits = torch.full((1, 28, 28), 9.0)
    pasted = paste_masks(logits, torch.tensor([[10.0, 5, 30, 25]]), (40, 60))[0]
    assert pasted.sum() == 400
    assert pasted[5:25, 10:30].all()


@pytest.mark.parametrize("box", [(10.0, 10, 10, 20), (-50, -50, -10, -10), (200, 0, 300, 40)])
def test_boxes_that_cover_nothing(box: tuple[float, ...]):
    logits = torch.full((1, 28, 28), 9.0)
    assert not paste_masks(logits, torch.tensor([box]), (40, 60)).any()


def test_the_threshold_is_used():
    logits = torch.zeros(1, 28, 28)  # probability 0.5
    box = torch.tensor([[10.0, 5, 30, 25]])
    assert not paste_masks(logits, box, (40, 60), threshold=0.6).any()
    assert paste_masks(logits, box, (40, 60), threshold=0.4).any()


def test_targets_are_the_mask_inside_the_box():
    masks = torch.zeros(1, 40, 60, dtype=torch.bool)
    masks[0, :, 30:] = True
    inside = mask_targets(masks, torch.tensor([[20.0, 0, 40, 40]]), 28)
    assert inside.shape == (1, 28, 28)
    assert inside[0, :, :14].sum() == 0
    assert inside[0, :, 14:].all()


def test_boxes_that_leave_the_frame_are_clipped():
    masks = torch.ones(1, 40, 60, dtype=torch.bool)
    assert mask_targets(masks, torch.tensor([[-30.0, -30, 90, 70]]), 28).all()


def test_no_boxes():
    none = torch.zeros(0, 40, 60, dtype=torch.bool)
    assert mask_targets(none, torch.zeros(0, 4), 28).shape == (0, 28, 28)
