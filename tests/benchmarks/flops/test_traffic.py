"""Bytes that operators move: inputs and outputs once each, and no more than has to be."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.flops.counters import UncountedOperatorError
from benchmarks.flops.record import count_workload
from benchmarks.flops.traffic import modules_of_parts, operators
from benchmarks.workloads.tevit import tevit_workload
from benchmarks.workloads.workload import ClipShape, Workload
from core import preset

CPU = torch.device("cpu")


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def workload(module, frames, **facts):
    return Workload("x", ClipShape(1, 32, 32), module, module, frames, {}, None, None, facts=facts)


@pytest.mark.parametrize(
    ("function", "floats"),
    [
        (lambda x: x.view(8, 2).t()[1:], 0),
        (lambda x: x + 1, 16 + 16),
        (lambda x: x.add_(x.sum()), (16 + 1) + (16 + 1 + 16)),
        (lambda x: torch.empty(4, 4).copy_(x), 16 + 16),
        (lambda x: torch.zeros(5, 5), 25),
        (lambda x: x @ x, 16 * 3),
        (lambda x: torch.cat([x, x]), 32 + 32),
        (lambda x: x[0].expand(4, 4) + x, 4 + 16 + 16),
        (lambda x: torch.gather(x, 0, torch.zeros(1, 2, dtype=torch.long)), 2 * 2 + (2 + 4 + 2)),
        (lambda x: x.index_put_((torch.tensor([1]),), torch.zeros(4)), 4 + (4 + 2 + 4)),
        (lambda x: torch.add(x, x, out=torch.empty(4, 4)), 16 * 3),
    ],
)  # fmt: skip
def test_bytes_of_an_operator(function, floats):
    found = operators(workload(Of(function), torch.ones(4, 4)))
    moved = sum(one.bytes for one in found)
    assert moved / 4 == floats


def test_attention_is_one_operator_whose_scores_go_nowhere():
    def attend(x):
        return F.scaled_dot_product_attention(x, x, x)

    (found,) = operators(workload(Of(attend), torch.ones(1, 2, 8, 4)))
    assert (found.name, found.part) == ("attention", "rest")
    assert found.multiply_adds == 2 * 2 * 8 * 8 * 4 and found.bytes == 4 * 4 * 64


def test_what_nobody_counts_is_an_error():
    with pytest.raises(UncountedOperatorError, match="cdist"):
        operators(workload(Of(lambda x: torch.cdist(x, x)), torch.ones(1, 3)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_multiply_adds_are_those_of_the_counters_part_by_part(precision):
    config = preset("tiny", {"inference.precision": precision, "head.stages": 2})
    tiny = tevit_workload(config, ClipShape(2, 32, 64), CPU, name="tiny")
    counted, found = count_workload(tiny), operators(tiny)
    assert sum(one.multiply_adds for one in found) == counted.total
    for part in ("backbone", "neck", "box_head", "mask_head"):
        of_part = sum(v for k, v in counted.by_part.items() if k.partition(".")[0] == part)
        assert sum(one.multiply_adds for one in found if one.part == part) == of_part
    assert list(modules_of_parts(tiny)) == ["backbone", "neck", "box_head", "mask_head"]
    products = [one for one in found if one.name == "convolution"]
    half = 2 if precision == "bf16" else 1
    neck = sum(one.bytes for one in products if one.part == "neck")
    assert neck == pytest.approx(_bytes_of_neck(tiny) / half)
    assert not any(module._forward_hooks for module in tiny.model.modules())


def _bytes_of_neck(tiny):
    """Of its convolutions in float32, by hooks."""
    sizes = []

    def note(module, args, out):
        tensors = [args[0], out, *module.parameters()]
        sizes.append(sum(4 * tensor.numel() for tensor in tensors))

    convolutions = [m for m in tiny.model.neck.modules() if isinstance(m, nn.Conv2d)]
    for module in convolutions:
        module.register_forward_hook(note)
    tiny.detect()
    for module in convolutions:
        module._forward_hooks.clear()
    return sum(sizes)
