"""Linear layers by oneDNN against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.model.operators import linear as module
from core.model.operators.linear import Linear, linear, relu_then_one_row


@pytest.fixture(autouse=True)
def every_product_by_onednn(monkeypatch):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(module, "LEAST_PRODUCTS", 1)


@pytest.mark.versions
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (0, 7)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("most_summed", [1, 8192])
def test_equal_to_torch_in_value_and_gradients(shape, bias, most_summed, monkeypatch):
    monkeypatch.setattr(module, "MOST_SUMMED", most_summed)
    torch.manual_seed(0)
    x = torch.randn(shape).transpose(0, -1).contiguous().transpose(0, -1)  # not in order in memory
    inputs = [x, torch.randn(4, 7), *([torch.randn(4)] if bias else [])]
    ours, theirs = ([t.clone().requires_grad_() for t in inputs] for _ in range(2))
    out, wanted = linear(*ours), F.linear(*theirs)
    assert (out.grad_fn.name() == "_ProductBackward") == bool(out.numel())
    torch.testing.assert_close(out, wanted)
    weights = torch.randn_like(out)
    for one, other in ((out, ours), (wanted, theirs)):
        (one * weights).sum().backward()
        assert all(t.grad is not None for t in other)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    with torch.inference_mode():
        torch.testing.assert_close(linear(*inputs), wanted)


@pytest.mark.versions
@pytest.mark.parametrize("samples", [0, 1, 5])
@pytest.mark.parametrize("features", [7, 30])
def test_relu_then_one_row_is_what_its_parts_are(samples, features, monkeypatch):
    torch.manual_seed(0)
    groups, hidden = 4, 6
    inputs = [
        torch.randn(samples, 9, features),
        torch.randn(groups * hidden, features),
        torch.randn(groups * hidden),
        torch.randn(samples, hidden),
    ]
    ours, theirs = ([t.clone().requires_grad_() for t in inputs] for _ in range(2))
    out = relu_then_one_row(*ours)
    assert ("_ReLUThenOneRow" in out.grad_fn.name()) == bool(samples)
    monkeypatch.setattr(module, "AVAILABLE", False)
    wanted = relu_then_one_row(*theirs)
    x, weight, bias, own = inputs
    by_hand = torch.einsum("rpgo,ro->rpg", (x @ weight.T + bias).relu().unflatten(2, (4, -1)), own)
    torch.testing.assert_close(wanted, by_hand.flatten(1))
    torch.testing.assert_close(out, wanted)
    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    (wanted * weights).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_stay_with_torch(dtype):
    layer = Linear(7, 4).to(dtype)
    x = torch.randn(5, 7, dtype=dtype)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))


def test_autocast_is_kept_to():
    layer = Linear(7, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(5, 7)).dtype == torch.bfloat16


def test_small_products_stay_with_torch(monkeypatch):
    monkeypatch.setattr(module, "LEAST_PRODUCTS", 5 * 7 * 4 + 1)
    out = linear(torch.randn(5, 7, requires_grad=True), torch.randn(4, 7))
    assert out.grad_fn.name() != "_ProductBackward"


def test_a_torch_without_the_product_multiplies_as_it_always_did(monkeypatch):
    monkeypatch.setattr("core.model.operators.linear.AVAILABLE", False)
    x, weight = torch.randn(2000, 64), torch.randn(128, 64)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
