"""Bytes that the operators of a model's forward pass move, beside their multiply-adds.

An operator reads each input once and writes each output once: less it cannot move, so the bytes
are a lower bound of what it moves when it runs alone.  Views move nothing; of a tensor that is
gathered from, or scattered to, no more counts than what comes out, or goes in; attention is one
operator, as fused kernels run it, whose scores go nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops.counters import evaluating, plain_attention, refuse_uncounted
from benchmarks.flops.handlers import dispatch_handles
from benchmarks.flops.operators import base_name, is_free
from benchmarks.workloads.workload import Workload, autocast

REST = "rest"
"""The part of what runs outside of all named parts: pooling, selection, box arithmetic."""

_UNMOVED = frozenset({"_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty"})
_OVERWRITE = frozenset({"copy", "fill", "zero", "normal", "uniform"})
_GATHER = frozenset(
    {"index", "index_select", "gather", "embedding", "_embedding_bag", "roi_align", "grid_sampler"}
    | {"_embedding_bag_forward_only", "grid_sampler_2d", "masked_select", "cudnn_grid_sampler"}
)
_SCATTER = frozenset({"index_put", "index_copy", "scatter", "masked_scatter"})


@dataclass(frozen=True)
class Operator:
    """One operator that ran: in which part, its multiply-adds, and the bytes that it moved."""

    part: str
    name: str
    multiply_adds: int
    bytes: int


def operators(workload: Workload) -> list[Operator]:
    """Every operator of one call of the model alone that moves or multiplies anything.

    Raises:
        UncountedOperatorError: an operator costs and nobody counts it.
    """
    module, stack = workload.traceable, [REST]
    stream = _Stream(stack)
    precision = autocast(workload.frames.device, workload.precision)
    with (
        evaluating(module), torch.no_grad(), plain_attention(), precision,
        in_parts(module, modules_of_parts(workload), stack.append, lambda _: stack.pop()),
        stream, _WholeAttention(stream),
    ):  # fmt: skip
        module(workload.frames)
    refuse_uncounted(stream.uncounted)
    return stream.found


def modules_of_parts(workload: Workload) -> dict[str, list[str]]:
    """Parts of ``traceable``, the stages of a head taken together."""
    found: dict[str, list[str]] = {}
    for part, names in workload.parts.items():
        found.setdefault(part.rstrip("0123456789").rstrip("."), []).extend(names)
    return found


@contextmanager
def in_parts(
    module: nn.Module,
    parts: Mapping[str, Sequence[str]],
    enter: Callable[[str], object],
    leave: Callable[[str], object],
) -> Iterator[None]:
    """Tell when a submodule that makes up a part begins and ends to run."""
    handles = []
    for part, names in parts.items():
        for submodule in map(module.get_submodule, names):
            handles.append(submodule.register_forward_pre_hook(lambda *_, p=part: _told(enter, p)))
            handles.append(submodule.register_forward_hook(lambda *_, p=part: _told(leave, p)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _told(callback: Callable[[str], object], part: str) -> None:
    callback(part)  # what a hook returns would take the place of an input or output


class _Stream(TorchDispatchMode):
    """Writes down every operator that reaches a kernel."""

    def __init__(self, parts: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parts = parts
        self.formulas = FlopCounterMode(
            display=False, custom_mapping=dispatch_handles()
        ).flop_registry
        self.found: list[Operator] = []
        self.uncounted: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        products, name = 0, str(func)
        if (formula := self.formulas.get(func._overloadpacket)) is not None:
            products = formula(*args, **kwargs, out_val=out) // 2
        elif not is_free(name) and not name.startswith("prim."):
            self.uncounted[name] = self.uncounted.get(name, 0) + 1
        self.add(_short(func), products, moved_bytes(func, args, kwargs, out))
        return out

    def add(self, name: str, multiply_adds: int, moved: int) -> None:
        """One more operator, unless it did nothing."""
        if multiply_adds or moved:
            self.found.append(Operator(self.parts[-1], name, multiply_adds, moved))


class _WholeAttention(TorchFunctionMode):
    """Makes one operator of the several that attention consists of."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self.stream = stream

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = len(self.stream.found)
        out = func(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention:
            products = sum(one.multiply_adds for one in self.stream.found[before:])
            del self.stream.found[before:]
            moved = sum(map(tensor_bytes, _tensors((args, kwargs, out))))
            self.stream.add("attention", products, moved)
        return out


def moved_bytes(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> int:
    """Bytes of the inputs and the outputs of one operator, see above."""
    name = base_name(str(func))
    if func.is_view or name in _UNMOVED:
        return 0
    only_written = {a.name for a in func._schema.arguments if a.kwarg_only and a.is_write}
    read = _tensors((args, [v for k, v in kwargs.items() if k not in only_written]))
    written = sum(map(tensor_bytes, _tensors(out)))
    if name in _OVERWRITE or name in _SCATTER:
        first, *rest = read
        if name in _SCATTER:
            written = min(written, max(map(tensor_bytes, rest), default=written))
            # a copy with some places changed is read and written whole
            rest = rest if out is first else [first, *rest]
        return written + sum(map(tensor_bytes, rest))
    of_inputs = list(map(tensor_bytes, read))
    if name in _GATHER and read:
        of_inputs[0] = min(of_inputs[0], written)
    return written + sum(of_inputs)


def _short(func: Any) -> str:
    """``mkldnn::_linear_pointwise`` as ``linear_pointwise``."""
    return str(func._schema.name).rpartition("::")[2].strip("_")


def tensor_bytes(tensor: Tensor) -> int:
    """Of its elements; those that an expanded tensor repeats count once."""
    strided = zip(tensor.shape, tensor.stride(), strict=True)
    return prod(size for size, stride in strided if stride or not size) * tensor.element_size()


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
