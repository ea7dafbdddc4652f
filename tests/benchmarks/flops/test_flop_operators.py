import pytest
import torch
from torch import nn

from benchmarks.flops.counters import count
from benchmarks.flops.handlers import TRACE_HANDLES, dispatch_handles
from benchmarks.flops.operators import ELEMENTWISE, MOVES, base_name, is_free


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        ("aten::add", "add"),
        ("aten::add_", "add"),
        ("aten.add_.Tensor", "add"),
        ("aten._softmax.default", "_softmax"),
        ("aten::__and__", "__and__"),
        ("aten.view.default", "view"),
        ("torchvision::nms", "nms"),
        ("mmcv::add", "mmcv::add"),
        ("mylib.relu.default", "mylib.relu.default"),
        ("prim::PythonOp.RoIAlignFunction", "prim::PythonOp.RoIAlignFunction"),
    ],
)
def test_base_name(operator, name):
    assert base_name(operator) == name


def test_no_operator_is_both_counted_and_free():
    counted = {base_name(name) for name in TRACE_HANDLES}
    counted |= {base_name(str(packet)) for packet in dispatch_handles()}
    assert not counted & (MOVES | ELEMENTWISE)
    assert not MOVES & ELEMENTWISE


@pytest.mark.parametrize("operator", ["aten::mm", "aten::cdist", "mylib::relu", "aten::conv2d"])
def test_what_multiplies_or_is_unknown_is_not_free(operator):
    assert not is_free(operator)


def test_torchs_own_formulas_are_never_listed_as_free():
    from torch.utils.flop_counter import flop_registry

    packets = [p for p in flop_registry if isinstance(p, torch._ops.OpOverloadPacket)]
    assert len(packets) > 10
    assert not [str(p) for p in packets if is_free(str(p))]


class WrittenOut(nn.Module):
    def forward(self, x):
        return (x[:, :, None] * x.t()[None]).sum(1)


class Proper(nn.Module):
    def forward(self, x):
        return x @ x.t()


def test_a_matmul_written_as_multiply_and_sum_stands_beside_the_count():
    x = torch.randn(6, 4)
    assert torch.allclose(WrittenOut()(x), Proper()(x), atol=1e-5)
    written, proper = (count(module, (x,), {}) for module in (WrittenOut(), Proper()))
    assert (written.total, written.products) == (0, 6 * 4 * 6)
    assert (proper.total, proper.products) == (6 * 4 * 6, 0)
