"""Losses against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import generalized_box_iou_loss

from core import build_model, preset
from core.config.schema import HeadConfig
from core.model.boxes import generalized_iou
from core.model.losses import (
    box_losses,
    dice_loss,
    gather_positives,
    mask_losses,
    mean_positives,
)
from core.model.mask_head import MaskHead
from core.model.structures import BatchTargets, ClipTargets
from tests.core.model.golden_cases import SIZE as FRAME
from tests.core.model.golden_cases import clip_targets

SIZE = (40, 80)


def one_positive() -> tuple[torch.Tensor, torch.Tensor, BatchTargets, torch.Tensor]:
    """Logits, boxes, targets and matched queries of one stage.

    Two frames, three queries; instance 0 (class 1) is query 2, and absent in frame 1.
    """
    boxes = torch.tensor([[10.0, 10, 30, 30]]).expand(2, 1, 4)
    masks = torch.zeros(2, 1, *SIZE, dtype=torch.bool)
    masks[0, 0, 10:30, 10:30] = True
    present = torch.tensor([[True], [False]])
    target = ClipTargets(torch.tensor([1]), boxes, masks, present, SIZE)
    predicted = torch.tensor([14.0, 10, 34, 30]).expand(1, 1, 2, 3, 4)
    logits = torch.zeros(1, 1, 2, 3, 4)
    return logits, predicted, BatchTargets.of([target]), torch.tensor([[2]])


def test_positives_are_the_frames_that_show_the_instance():
    _, _, target, queries = one_positive()
    positives = gather_positives(target, queries)
    assert (positives.clip.tolist(), positives.frame.tolist()) == ([0], [0])
    assert (positives.query.tolist(), positives.labels.tolist()) == ([2], [1])
    assert positives.scale.tolist() == [[80, 40, 80, 40]]


def test_box_losses_closed_form():
    logits, boxes, target, queries = one_positive()
    positives = gather_positives(target, queries)
    losses = box_losses(logits, boxes, positives, mean_positives(positives), HeadConfig())
    log2 = torch.log(torch.tensor(2.0)).item()
    negatives, alpha = 2 * 3 * 4 - 1, 0.25
    focal = 0.25 * log2 * (negatives * (1 - alpha) + alpha)
    assert losses["loss_cls"].item() == pytest.approx(2 * focal, rel=1e-5)
    assert losses["loss_bbox"].item() == pytest.approx(5 * (4 / 80 + 4 / 80), rel=1e-5)
    union, hull = 2 * 400 - 320, 24 * 20
    giou = 320 / union - (hull - union) / hull
    assert losses["loss_iou"].item() == pytest.approx(2 * (1 - giou), rel=1e-5)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("class_weight", "loss_cls"),
        ("l1_weight", "loss_bbox"),
        ("giou_weight", "loss_iou"),
        ("dice_weight", "loss_mask"),
    ],
)
def test_each_loss_has_a_weight(field, name):
    def losses(**head):
        torch.manual_seed(0)
        model = build_model(preset("tiny", {f"head.{key}": value for key, value in head.items()}))
        return model.losses(torch.randn(2, 3, 3, *FRAME), clip_targets())

    plain, without = losses(**{field: 1.0}), losses(**{field: 0.0})
    for stage in range(3):
        assert plain[f"stage{stage}_{name}"] > 0 == without[f"stage{stage}_{name}"]
    others = [key for key in plain if not key.endswith(name)]
    assert [plain[key] for key in others] == [without[key] for key in others]


def test_accuracy_of_the_positives():
    logits, boxes, target, queries = one_positive()
    logits[0, 0, 0, 2, 1] = 5
    positives = gather_positives(target, queries)
    losses = box_losses(logits, boxes, positives, mean_positives(positives), HeadConfig())
    assert losses["pos_acc"].item() == 100


def test_stages_are_scored_apart():
    logits, boxes, target, queries = one_positive()
    logits = torch.cat((logits, logits + 1, logits))
    boxes = torch.cat((boxes, boxes + 3, boxes - 2))
    matched = torch.cat((queries, torch.tensor([[-1]]), torch.tensor([[0]])))
    positives = gather_positives(target, matched)
    assert positives.of_stages == (1, 0, 1)
    counts = mean_positives(positives)
    assert counts.tolist() == [1, 1, 1]
    together = box_losses(logits, boxes, positives, counts, HeadConfig())
    for stage in range(3):
        one = slice(stage, stage + 1)
        own = gather_positives(target, matched[one])
        alone = box_losses(logits[one], boxes[one], own, mean_positives(own), HeadConfig())
        assert {name: values[stage].item() for name, values in together.items()} == {
            name: pytest.approx(value.item()) for name, value in alone.items()
        }


def test_dice_is_zero_for_a_perfect_mask_and_one_for_a_wrong_one():
    wanted = torch.zeros(2, 4, 4)
    wanted[:, :2] = 1
    logits = torch.stack((20 * (2 * wanted[0] - 1), 20 * (1 - 2 * wanted[1])))
    perfect, wrong = dice_loss(logits, wanted).tolist()
    assert perfect == pytest.approx(0, abs=1e-5)
    assert wrong == pytest.approx(1, abs=1e-5)


def test_the_mask_of_the_instances_class_is_trained():
    """The masks of one class a box are those of all classes, their gradients, too."""
    torch.manual_seed(0)
    head = MaskHead(preset("tiny").head).double()
    features = torch.randn(4, 64, dtype=torch.double)
    pooled = torch.randn(4, 196, 64, dtype=torch.double)
    labels = torch.tensor([2, 0, 2, 1])
    every = head(features, pooled)[torch.arange(4), labels]
    own = head(features, pooled, labels)
    torch.testing.assert_close(own, every)
    weights = torch.randn_like(own)
    for ours, theirs in zip(
        *(torch.autograd.grad((m * weights).sum(), list(head.parameters())) for m in (own, every)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    assert head(features[:0], pooled[:0], labels[:0]).shape == (0, 28, 28)


def test_giou_loss_is_torchvisions():
    torch.manual_seed(0)
    corners = 100 * torch.rand(2, 50, 2, dtype=torch.double)
    first, second = torch.cat((corners, corners + 60 * torch.rand_like(corners)), dim=-1)
    second[:5] = second[:5, [0, 1, 0, 1]]  # empty ones
    losses = []
    for loss in (
        lambda boxes: 1 - generalized_iou(boxes, second, 1e-6),
        lambda boxes: generalized_box_iou_loss(boxes, second, eps=1e-6),
    ):
        boxes = first.clone().requires_grad_()
        value = loss(boxes)
        losses.append((value, *torch.autograd.grad(value.sum(), boxes)))
    for ours, theirs in zip(*losses, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_cross_entropy_beside_dice():
    _, _, target, queries = one_positive()
    positives = gather_positives(target, queries)
    config = HeadConfig(bce_weight=3.0, dice_weight=0.0)
    wanted, logits = torch.eye(2)[None], torch.zeros(1, 2, 2)
    assert mask_losses(logits, wanted, positives, torch.ones(1), HeadConfig()).keys() == {
        "loss_mask"
    }
    parts = mask_losses(logits, wanted, positives, torch.tensor([2.0]), config)
    assert parts["loss_mask"] == 0
    assert parts["loss_bce"].item() == pytest.approx(3 * math.log(2) / 2)


def test_focal_loss_without_focus_is_half_of_cross_entropy():
    logits, boxes, target, queries = one_positive()
    p = gather_positives(target, queries)
    config = HeadConfig(focal_alpha=0.5, focal_gamma=0.0, class_weight=1.0)
    (found,) = box_losses(logits, boxes, p, torch.ones(1), config)["loss_cls"]
    wanted = torch.zeros_like(logits)
    wanted[p.stage, p.clip, p.frame, p.query, p.labels] = 1
    bce = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    torch.testing.assert_close(found, bce / 2)
