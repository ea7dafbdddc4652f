"""One assignment a clip."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torchvision.ops import generalized_box_iou

from core.model.matching import focal_cost, match, matching_cost
from core.model.structures import BatchTargets, ClipTargets

SIZE = (64, 96)


def targets(boxes: torch.Tensor, labels: list[int], present: torch.Tensor) -> ClipTargets:
    frames, count = boxes.shape[:2]
    masks = torch.zeros(frames, count, *SIZE, dtype=torch.bool)
    return ClipTargets(torch.tensor(labels, dtype=torch.long), boxes, masks, present, SIZE)


BOXES = torch.tensor([[10.0, 10, 30, 40], [50, 20, 80, 60], [0, 0, 20, 20]])


class Pairs(NamedTuple):
    """Queries and the instances that they take."""

    queries: torch.Tensor
    instances: torch.Tensor


def match_clip(logits: torch.Tensor, boxes: torch.Tensor, wanted: ClipTargets) -> Pairs:
    """The assignment of one clip (T, N, ...) at one stage."""
    (queries,) = match(logits[None, None], boxes[None, None], BatchTargets.of([wanted]))
    instances = (queries >= 0).nonzero().squeeze(1)
    return Pairs(queries[instances], instances)


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
    assert sorted(pairs.queries.tolist()) == [0, 1]
    assert pairs.instances.tolist() == [0, 1]


def test_focal_cost_falls_with_confidence():
    logits = torch.linspace(-8, 8, 20)[:, None]
    cost = focal_cost(logits).squeeze()
    assert (cost.diff() < 0).all()


def test_all_clips_and_stages_at_once_cost_what_each_costs_alone():
    """By torchvision's operators, frame after frame; two clips of unlike size, three stages."""
    generator = torch.Generator().manual_seed(0)

    def some_boxes(*shape: int) -> torch.Tensor:
        corner, side = (60 * torch.rand(*shape, 2, generator=generator) for _ in range(2))
        return torch.cat((corner, corner + side + 1), dim=-1)

    present = [torch.rand(4, count, generator=generator) < 0.7 for count in (3, 5)]
    clips = [
        ClipTargets(
            torch.randint(0, 6, (seen.shape[1],), generator=generator),
            some_boxes(*seen.shape),
            torch.zeros(*seen.shape, 64, 96, dtype=torch.bool),
            seen,
            size,
        )
        for seen, size in zip(present, [(64, 96), (50, 70)], strict=True)
    ]
    logits = torch.randn(3, 2, 4, 7, 6, generator=generator)
    boxes = some_boxes(3, 2, 4, 7)
    batch = BatchTargets.of(clips)
    costs = matching_cost(logits, boxes, batch).split(batch.counts)
    for stage in range(3):
        for clip, target in enumerate(clips):
            height, width = target.frame_size
            scale = torch.tensor([width, height] * 2)
            wanted = torch.zeros(7, len(target.labels))
            for t, seen in enumerate(target.present):
                ours, theirs = boxes[stage, clip, t], target.boxes[t, seen]
                focal = focal_cost(logits[stage, clip, t])[:, target.labels[seen]]
                l1 = torch.cdist(ours / scale, theirs / scale, p=1)
                wanted[:, seen] += 2 * focal + 5 * l1 - 2 * generalized_box_iou(ours, theirs)
            wanted /= target.present.sum(0).clamp(min=1)
            torch.testing.assert_close(costs[clip][:, stage].t(), wanted, atol=1e-5, rtol=1e-5)
    matched = match(logits, boxes, batch)
    for stage in range(3):
        alone = [
            match(logits[[stage], clip : clip + 1], boxes[[stage], clip : clip + 1], part)[0]
            for clip, part in enumerate(map(BatchTargets.of, [[c] for c in clips]))
        ]
        assert matched[stage].tolist() == torch.cat(alone).tolist()
