"""One assignment a clip."""

from __future__ import annotations

import torch

from core.model.matching import focal_cost, match_clip
from core.model.structures import ClipTargets

SIZE = (64, 96)


def targets(boxes: torch.Tensor, labels: list[int], present: torch.Tensor) -> ClipTargets:
    frames, count = boxes.shape[:2]
    masks = torch.zeros(frames, count, *SIZE, dtype=torch.bool)
    return ClipTargets(torch.tensor(labels, dtype=torch.long), boxes, masks, present, SIZE)


BOXES = torch.tensor([[10.0, 10, 30, 40], [50, 20, 80, 60], [0, 0, 20, 20]])


def test_queries_take_the_boxes_they_predict():
    predicted = BOXES[[2, 0, 1]].expand(2, 3, 4)
    logits = torch.zeros(2, 3, 4)
    wanted = targets(BOXES.expand(2, 3, 4), [0, 1, 2], torch.ones(2, 3, dtype=torch.bool))
    pairs = match_clip(logits, predicted, wanted)
    assert dict(zip(pairs.queries.tolist(), pairs.instances.tolist(), strict=True)) == {
        0: 2,
        1: 0,
        2: 1,
    }


def test_classes_decide_between_equal_boxes():
    predicted = BOXES[:1].expand(1, 2, 4)
    logits = torch.tensor([[[-4.0, 4.0], [4.0, -4.0]]])
    wanted = targets(BOXES[:1].expand(1, 1, 4), [0], torch.ones(1, 1, dtype=torch.bool))
    assert match_clip(logits, predicted, wanted).queries.tolist() == [1]


def test_frames_without_the_instance_do_not_count():
    right = BOXES[:1].expand(3, 1, 4)
    wrong = right + 30
    # query 0 is right only where the instance is absent
    predicted = torch.stack((wrong, right), dim=1).squeeze(2).clone()
    predicted[2] = predicted[2].flip(0)
    present = torch.tensor([[True], [True], [False]])
    pairs = match_clip(torch.zeros(3, 2, 3), predicted, targets(right, [0], present))
    assert pairs.queries.tolist() == [1]


def test_the_mean_over_frames_decides_not_the_sum():
    """An instance seen once must not be cheaper than one seen in all frames."""
    boxes = BOXES[[0, 0]].expand(4, 2, 4).clone()
    present = torch.tensor([[True, True], [True, False], [True, False], [True, False]])
    exact, near = BOXES[0], BOXES[0] + 6
    predicted = torch.stack((exact, near)).expand(4, 2, 4)
    pairs = match_clip(torch.zeros(4, 2, 3), predicted, targets(boxes, [0, 0], present))
    assert len(pairs.queries) == 2


def test_an_instance_that_is_never_present_is_not_assigned():
    present = torch.tensor([[True, False]])
    wanted = targets(BOXES[:2].expand(1, 2, 4), [0, 1], present)
    pairs = match_clip(torch.zeros(1, 3, 2), BOXES.expand(1, 3, 4), wanted)
    assert pairs.instances.tolist() == [0]


def test_no_instances():
    wanted = targets(BOXES[:0].expand(1, 0, 4), [], torch.zeros(1, 0, dtype=torch.bool))
    pairs = match_clip(torch.zeros(1, 3, 2), BOXES.expand(1, 3, 4), wanted)
    assert len(pairs.queries) == 0


def test_more_instances_than_queries():
    wanted = targets(BOXES.expand(1, 3, 4), [0, 0, 0], torch.ones(1, 3, dtype=torch.bool))
    pairs = match_clip(torch.zeros(1, 2, 2), BOXES[:2].expand(1, 2, 4), wanted)
    assert pairs.instances.tolist() == [0, 1]


def test_focal_cost_falls_with_confidence():
    logits = torch.linspace(-8, 8, 20)[:, None]
    cost = focal_cost(logits, torch.tensor([0])).squeeze()
    assert (cost.diff() < 0).all()
