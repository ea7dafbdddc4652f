"""Multiply-adds of a model's forward pass, counted twice and checked.

fvcore counts over a trace of the model, torch's ``FlopCounterMode`` over the operators that a
second, untraced pass executes.  Every operator must be counted or be named as one that does no
multiply-adds, and the two counters must agree, in total and part by part; else there is no figure.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops.handlers import TRACE_HANDLES, dispatch_handles
from benchmarks.flops.operators import ELEMENTWISE, PRODUCTS, base_name, is_free
from core.errors import UserError

if TYPE_CHECKING:
    from fvcore.nn.flop_count import FlopCountAnalysis

_TOLERANCE = 0.005
POOLING_OPERATORS = ("embedding_bag", "roi_align")


class FlopCountError(UserError):
    """There is no trustworthy count."""


class UncountedOperatorError(FlopCountError):
    """The model runs operators that neither are counted nor are known to cost nothing."""


class CounterDisagreementError(FlopCountError):
    """The two counters differ by more than 0.5%."""


@dataclass(frozen=True)
class FlopCount:
    """Multiply-adds of one call.

    Attributes:
        total: of the whole call, by fvcore.
        by_part: disjoint parts that add up to ``total``.
        by_operator: the same total by operator.
        counters: total of each counter.
        elementwise: elements written by operators that are no multiply-adds (norms, activations,
            softmax, residuals, ...), which ``total`` leaves out.
        products: those of them that multiply element by element: at most as many multiply-adds
            are written as multiply and sum instead of as matrix products.
    """

    total: int
    by_part: dict[str, int]
    by_operator: dict[str, int]
    counters: dict[str, int]
    elementwise: int
    products: int


def count(
    module: nn.Module, inputs: tuple[Tensor, ...], parts: Mapping[str, Sequence[str]]
) -> FlopCount:
    """Count the multiply-adds of ``module(*inputs)``.

    Args:
        module: returns tensors or tuples of tensors (it is traced); runs in eval mode.
        parts: name of a part to the submodules that make it up, by their full names.  RoI pooling
            outside of these is the part ``roi_align``, the rest ``other``.

    Raises:
        UncountedOperatorError: an operator costs and nobody counts it.
        CounterDisagreementError: the counters differ by more than 0.5%, in total or in a part.
    """
    with evaluating(module), torch.no_grad(), plain_attention():
        traced = _by_fvcore(module, inputs)
        dispatched, executed = _by_torch(module, inputs)
    refuse_uncounted({**traced.unsupported_ops(), **executed.uncounted})
    by_part = _parts(traced, parts)
    _refuse_disagreement(by_part, _dispatched_parts(dispatched, module, parts))
    return FlopCount(
        total=traced.total(),
        by_part=by_part,
        by_operator=dict(traced.by_operator()),
        counters={"fvcore": traced.total(), "torch": dispatched.get_total_flops() // 2},
        elementwise=executed.elementwise,
        products=executed.products,
    )


def count_once(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Multiply-adds of ``module(*inputs)`` by torch's counter alone, unchecked by the other.

    On the device ``meta`` it takes no memory and computes nothing; tracing cannot.

    Raises:
        UncountedOperatorError: an operator costs and nobody counts it.
    """
    with evaluating(module), torch.no_grad(), plain_attention():
        dispatched, executed = _by_torch(module, inputs)
    refuse_uncounted(executed.uncounted)
    return dispatched.get_total_flops() // 2


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """``module`` in eval mode and without gradients, left as it was afterwards.

    torch's counter follows gradients to know which module runs, and fails at parameters that
    are handed on as they are (messenger tokens) while gradients are off.
    """
    training = [m for m in module.modules() if m.training]
    trainable = [p for p in module.parameters() if p.requires_grad]
    module.eval().requires_grad_(False)
    try:
        yield
    finally:
        for submodule in training:
            submodule.training = True
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention as its two matrix products and a softmax, on every device and version of torch.

    Which fused kernel ``scaled_dot_product_attention`` picks depends on the device, the shapes
    and the version of torch, and so does which of these kernels torch's counter knows.  The fused
    path of ``nn.MultiheadAttention`` hides its products from both counters.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _KeptAlive(nn.Module):
    """``module`` with something that depends on every submodule's output.

    Tracing drops what no output needs, but the model runs it all the same: the class branches of
    early stages, for example.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Any, list[Tensor]]:
        """The module's outputs, and an empty tensor for each output of a submodule."""
        kept: list[Tensor] = []

        def keep(module: nn.Module, args: Any, output: Any) -> None:
            # a new tensor, which unlike a view does not hold the output's memory
            tensors = [t for t in tree_leaves(output) if isinstance(t, Tensor)]
            kept.extend(t.new_empty(0) for t in tensors)

        handles = [m.register_forward_hook(keep) for m in self.module.modules()]
        try:
            return self.module(*inputs), kept
        finally:
            for handle in handles:
                handle.remove()


def _by_fvcore(module: nn.Module, inputs: tuple[Tensor, ...]) -> FlopCountAnalysis:
    """An fvcore analysis with our handles alone, already run; names begin with ``module.``."""
    with warnings.catch_warnings():  # it scripts its losses on import, which torch deprecates
        warnings.simplefilter("ignore", FutureWarning)
        from fvcore.nn.flop_count import FlopCountAnalysis

    analysis = FlopCountAnalysis(_KeptAlive(module), inputs)
    analysis.clear_op_handles()
    for operator, handle in TRACE_HANDLES.items():
        analysis.set_op_handle(operator, handle)
    # both are checked below or do not matter: operators by name, modules by the second counter
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    quiet = logging.getLogger("fvcore.nn.jit_analysis")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        analysis.total()
    except RuntimeError as error:
        raise FlopCountError(f"the model cannot be traced: {error}") from error
    finally:
        quiet.setLevel(level)
    return analysis


class _Census(TorchDispatchMode):
    """Every operator that reaches a kernel: is it counted, free, or neither?"""

    def __init__(self, counted: set[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted = counted
        self.uncounted: Counter[str] = Counter()
        self.elementwise = 0
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = str(func)
        if func._overloadpacket not in self.counted and not name.startswith("prim."):
            if not is_free(name):
                self.uncounted[name] += 1
            elif base_name(name) in ELEMENTWISE:
                first = out[0] if isinstance(out, (tuple, list)) else out
                elements = first.numel() if isinstance(first, Tensor) else 1
                self.elementwise += elements
                if base_name(name) in PRODUCTS:
                    self.products += elements
        return out


def _by_torch(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[FlopCounterMode, _Census]:
    counter = FlopCounterMode(display=False, custom_mapping=dispatch_handles())
    census = _Census(set(counter.flop_registry))
    # the mode entered last is asked first; the census then hands each operator to the counter
    with counter, census:
        module(*inputs)
    return counter, census


def _parts(traced: FlopCountAnalysis, parts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """fvcore's count of each part, and of what lies outside of all parts."""
    counts = {}
    rest = Counter(traced.by_operator())
    for part, names in parts.items():
        counts[part] = sum(traced.total(f"module.{name}") for name in names)
        for name in names:
            rest.subtract(traced.by_operator(f"module.{name}"))
    counts["roi_align"] = sum(rest.pop(operator, 0) for operator in POOLING_OPERATORS)
    counts["other"] = sum(rest.values())
    return {part: int(value) for part, value in counts.items()}


def _dispatched_parts(
    counter: FlopCounterMode, module: nn.Module, parts: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """torch's count of each part, and of the rest together."""
    flops = counter.get_flop_counts()
    root = type(module).__name__
    counts = {
        part: sum(sum(flops.get(f"{root}.{name}", {}).values()) for name in names) // 2
        for part, names in parts.items()
    }
    counts["rest"] = counter.get_total_flops() // 2 - sum(counts.values())
    return counts


def refuse_uncounted(operators: Mapping[str, int]) -> None:
    """Refuse operators (name to times) that cost and are not counted.

    Raises:
        UncountedOperatorError: naming them.
    """
    unknown = {name: times for name, times in operators.items() if not is_free(name)}
    if unknown:
        listed = ", ".join(f"{name} ({times}x)" for name, times in sorted(unknown.items()))
        raise UncountedOperatorError(
            f"nobody counts these operators: {listed}. Add a formula to "
            "benchmarks/flops/handlers.py, or, if they do no multiply-adds, their names to "
            "benchmarks/flops/operators.py"
        )


def _refuse_disagreement(fvcore: Mapping[str, int], dispatched: Mapping[str, int]) -> None:
    rest = fvcore["roi_align"] + fvcore["other"]
    ours = {k: v for k, v in fvcore.items() if k not in ("roi_align", "other")} | {"rest": rest}
    ours["total"] = sum(ours.values())
    theirs = {**dispatched, "total": sum(dispatched.values())}
    apart = [
        f"{part}: fvcore {ours[part]:,}, torch {theirs[part]:,}"
        for part in ours
        if abs(ours[part] - theirs[part]) > _TOLERANCE * max(ours[part], theirs[part])
    ]
    if apart:
        raise CounterDisagreementError(
            f"the two counters differ by more than {_TOLERANCE:.1%}: {'; '.join(apart)}"
        )
