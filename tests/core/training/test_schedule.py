import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from core.config.schema import TrainConfig
from core.training.schedule import lr_factor, make_optimizer, set_lr


def test_step_schedule_is_the_published_one():
    train = TrainConfig()  # 770 steps of warm-up, /10 at 6,100 and 8,500
    # mmcv: lr * (1 - (1 - i / 770) * (1 - 0.001))
    for i in (0, 1, 385, 769):
        assert lr_factor(i, train) == pytest.approx(1 - (1 - i / 770) * (1 - 0.001))
    assert lr_factor(770, train) == lr_factor(6099, train) == 1
    assert lr_factor(6100, train) == lr_factor(8499, train) == pytest.approx(0.1)
    assert lr_factor(8500, train) == lr_factor(9199, train) == pytest.approx(0.01)


def test_one_cycle_goes_up_then_down_to_nearly_nothing():
    train = TrainConfig(schedule="one_cycle", steps=100, warmup=10)
    rates = [lr_factor(i, train) for i in range(100)]
    assert rates.index(max(rates)) == 10 and max(rates) == 1
    assert all(a < b for a, b in itertools.pairwise(rates[:11]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[-1] < 1e-3


def test_a_cosine_ends_at_its_last_rate():
    train = TrainConfig(schedule="cosine", steps=100, warmup=10, final_lr=0.2)
    cycle = TrainConfig(schedule="one_cycle", steps=100, warmup=10)
    for step in (0, 5, 10, 40, 99):
        share = lr_factor(step, cycle)
        expected = share if step < 10 else 0.2 + 0.8 * share
        assert lr_factor(step, train) == pytest.approx(expected)


def test_warm_up_stable_decay():
    train = TrainConfig(schedule="wsd", steps=100, warmup=10, cooldown=0.25, final_lr=0.5)
    assert lr_factor(0, train) < 0.01
    assert {lr_factor(step, train) for step in range(10, 76)} == {1}
    assert [lr_factor(step, train) for step in (80, 99)] == pytest.approx([0.9, 0.52])


@given(
    st.sampled_from(["step", "one_cycle", "cosine", "wsd"]),
    st.integers(1, 300),
    st.integers(0, 400),
    st.lists(st.integers(1, 400), max_size=3),
)
def test_factors_lie_between_zero_and_one(schedule, steps, warmup, milestones):
    train = TrainConfig(schedule=schedule, steps=steps, warmup=warmup, milestones=tuple(milestones))
    for step in {0, steps // 2, steps - 1}:
        assert 0 <= lr_factor(step, train) <= 1


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
        self.head = nn.Linear(2, 2)
        self.backbone_like = nn.Linear(2, 2)


def test_backbone_has_its_own_rate_and_decay_is_plain():
    train = TrainConfig(lr=1e-2, backbone_lr=0.1, weight_decay=0.5, warmup=0, milestones=(5,))
    model = Parts()
    model.backbone[0].weight.requires_grad_(False)
    optimizer = make_optimizer(model, train)
    backbone, rest = optimizer.param_groups
    assert {id(p) for p in backbone["params"]} == {
        id(p) for p in model.backbone.parameters() if p.requires_grad
    }
    assert len(rest["params"]) == 4  # "backbone_like" is not the backbone
    assert backbone["weight_decay"] == rest["weight_decay"] == 0.5
    assert set_lr(optimizer, 0, train) == 1e-2
    assert (backbone["lr"], rest["lr"]) == pytest.approx((1e-3, 1e-2))
    assert set_lr(optimizer, 5, train) == pytest.approx(1e-3)
    assert (backbone["lr"], rest["lr"]) == pytest.approx((1e-4, 1e-3))


def test_a_frozen_backbone_leaves_one_group():
    model = Parts()
    model.backbone.requires_grad_(False)
    (group,) = make_optimizer(model, TrainConfig()).param_groups
    assert len(group["params"]) == 4


def test_a_step_moves_by_the_rate():
    """AdamW's first step moves every weight by its rate (plus decay)."""
    train = TrainConfig(lr=1e-2, backbone_lr=0.1, weight_decay=0.0, warmup=0)
    model = Parts()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = make_optimizer(model, train)
    set_lr(optimizer, 0, train)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        moved = (before[name] - parameter).abs()
        rate = 1e-3 if name.startswith("backbone.") else 1e-2
        torch.testing.assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=1e-6)
