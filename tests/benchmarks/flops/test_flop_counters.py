import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.flops import counters as flop_counters
from benchmarks.flops.counters import (
    CounterDisagreementError,
    FlopCountError,
    UncountedOperatorError,
    count,
)
from benchmarks.flops.handlers import TRACE_HANDLES
from core.errors import UserError


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)
        self.unused = nn.Linear(8, 3)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        x = self.norm(self.a(x))
        self.unused(x)  # runs, though nothing needs it
        return self.b(x) @ torch.ones(2, 5)


def test_parts_are_disjoint_and_add_up():
    result = count(Two(), (torch.randn(3, 4),), {"first": ["a"], "rest": ["b", "norm"]})
    assert result.by_part == {"first": 96, "rest": 48, "roi_align": 0, "other": 72 + 30}
    assert sum(result.by_part.values()) == result.total == 246
    assert sum(result.by_operator.values()) == result.total


def test_what_runs_is_counted_even_if_no_output_needs_it():
    assert count(Two(), (torch.randn(3, 4),), {"unused": ["unused"]}).by_part["unused"] == 72


def test_the_model_is_left_as_it_was():
    module = Two()
    module.b.eval()
    module.a.weight.requires_grad_(False)
    before = module.norm.running_mean.clone()
    count(module, (torch.randn(3, 4),), {})
    assert module.training and module.norm.training and not module.b.training
    assert module.b.weight.requires_grad and not module.a.weight.requires_grad
    assert torch.equal(before, module.norm.running_mean)
    assert not module._forward_hooks and not module.a._forward_hooks


class Costly(nn.Module):
    """An operator that multiplies and adds, and that no counter knows."""

    def forward(self, x):
        return torch.cdist(x, x)


def test_an_operator_that_nobody_counts_is_an_error_naming_it():
    with pytest.raises(UncountedOperatorError, match=r"cdist.*flops/handlers.*flops/operators"):
        count(Costly(), (torch.randn(2, 3, 4),), {})
    assert issubclass(UncountedOperatorError, UserError)


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()


class PythonOperator(nn.Module):
    def forward(self, x):
        return Hidden.apply(x)


def test_a_python_operator_that_hides_its_work_is_an_error():
    with pytest.raises(UncountedOperatorError, match="PythonOp"):
        count(PythonOperator(), (torch.randn(2, 3),), {})


def test_a_wrong_handle_is_caught_by_the_other_counter(monkeypatch):
    monkeypatch.setitem(TRACE_HANDLES, "aten::linear", lambda i, o: 1)
    with pytest.raises(CounterDisagreementError, match=r"first: fvcore 1, torch 96.*total"):
        count(Two(), (torch.randn(3, 4),), {"first": ["a"]})


def test_disagreements_that_cancel_in_total_are_caught_by_part(monkeypatch):
    seen = []

    def swapped(inputs, outputs):
        seen.append(1)
        return {1: 48, 2: 72, 3: 96}[len(seen)]

    monkeypatch.setitem(TRACE_HANDLES, "aten::linear", swapped)
    with pytest.raises(CounterDisagreementError) as caught:
        count(Two(), (torch.randn(3, 4),), {"a": ["a"], "b": ["b"]})
    assert "total" not in str(caught.value)


def test_half_a_percent_is_the_limit():
    fvcore = {"a": 1000, "roi_align": 0, "other": 0}
    flop_counters._refuse_disagreement(fvcore, {"a": 1005, "rest": 0})
    with pytest.raises(CounterDisagreementError):
        flop_counters._refuse_disagreement(fvcore, {"a": 1006, "rest": 0})


class Dropping(nn.Module):
    """Work outside of any submodule that no output needs: fvcore alone would miss it."""

    def forward(self, x):
        _ = x @ x
        return x + 1


def test_work_that_tracing_drops_is_not_lost_in_silence():
    with pytest.raises(CounterDisagreementError):
        count(Dropping(), (torch.randn(4, 4),), {})


class Untraceable(nn.Module):
    def forward(self, x):
        return object()


def test_a_model_that_cannot_be_traced_is_an_error():
    with pytest.raises(FlopCountError, match="cannot be traced"):
        count(Untraceable(), (torch.randn(1),), {})


def test_the_known_faults_of_both_counters_are_still_there():
    """Why the handles exist: when this fails, a counter has learned something."""
    from fvcore.nn import FlopCountAnalysis
    from torch.utils.flop_counter import FlopCounterMode

    class Attend(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x)

    x = torch.randn(1, 2, 16, 8)
    assert FlopCountAnalysis(Attend(), (x,)).unsupported_ops_warnings(False).total() == 0
    attention = nn.MultiheadAttention(16, 2, batch_first=True).eval()
    y = torch.randn(1, 16, 16)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        attention(y, y, y, need_weights=False)
    assert counter.get_total_flops() == 0
