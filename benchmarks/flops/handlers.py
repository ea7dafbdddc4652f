"""The formulas of :mod:`benchmarks.flops.formulas` as handles of the two FLOP counters.

fvcore reads a traced graph, torch's ``FlopCounterMode`` the operators that reach a kernel.  The
first gets a handle for every operator here, also for those that it counts itself: its own handles
read a batched matrix product's broadcasting wrongly and round einsums to four digits.  The second
keeps torch's own formulas and gets handles only for what it lacks, so that for matrix products,
convolutions and attention the two counters share no code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.flops import formulas
from benchmarks.flops.formulas import Dims, FlopFormulaError

# inputs and outputs of a traced node (torch._C.Value) to its multiply-adds
TraceHandle = Callable[[list[Any], list[Any]], int]
# tensors of a call replaced by their shapes, to its FLOPs (two a multiply-add)
DispatchHandle = Callable[..., int]

GRID_SAMPLE_MODES = ("bilinear", "nearest", "bicubic")


def _shape(value: Any) -> Dims:
    if not value.isCompleteTensor():
        raise FlopFormulaError(f"the trace does not know the shape of {value.debugName()}")
    shape: list[int] = value.type().sizes()
    return shape


def _shapes(values: Sequence[Any]) -> list[Dims]:
    return [_shape(value) for value in values]


def _of_inputs(formula: Callable[..., int], first: int = 0, count: int = 2) -> TraceHandle:
    """A handle that asks for the shapes of some inputs alone."""
    return lambda inputs, outputs: formula(*_shapes(inputs[first : first + count]))


def _convolution(inputs: list[Any], outputs: list[Any]) -> int:
    x, weight, out = _shapes([*inputs[:2], outputs[0]])
    return formulas.convolution(x, weight, out, transposed=bool(inputs[6].toIValue()))


def _convolution_backward(args: Any, _: Any) -> int:
    """As many as the convolution for each of the gradients of input and weight that is wanted."""
    gradient, x, weight, *_, transposed, _, _, wanted = args
    return sum(wanted[:2]) * formulas.convolution(x, weight, gradient, transposed)


def _gru(inputs: list[Any], outputs: list[Any]) -> int:
    return formulas.gru(_shape(inputs[0]), _shapes(list(inputs[2].node().inputs())))


def _einsum(inputs: list[Any], outputs: list[Any]) -> int:
    return formulas.einsum(inputs[0].toIValue(), _shapes(list(inputs[1].node().inputs())))


def _grid_sampler(inputs: list[Any], outputs: list[Any]) -> int:
    mode = GRID_SAMPLE_MODES[inputs[2].toIValue()]
    return formulas.interpolation(_shape(outputs[0]), mode)


def _upsample(mode: str) -> TraceHandle:
    return lambda inputs, outputs: formulas.interpolation(_shape(outputs[0]), mode)


def _roi_align(inputs: list[Any], outputs: list[Any]) -> int:
    return formulas.roi_pooling(_shape(outputs[0]), inputs[5].toIValue())


_matmul = _of_inputs(formulas.matmul)
_matmul_added = _of_inputs(formulas.matmul, first=1)  # the first input is only added

TRACE_HANDLES: dict[str, TraceHandle] = {
    "aten::matmul": _matmul,
    "aten::mm": _matmul,
    "aten::bmm": _matmul,
    "aten::mv": _matmul,
    "aten::dot": _matmul,
    "aten::addmm": _matmul_added,
    "aten::addmv": _matmul_added,
    "aten::baddbmm": _matmul_added,
    "aten::linear": _of_inputs(formulas.linear_layer),
    "aten::_convolution": _convolution,
    "aten::scaled_dot_product_attention": _of_inputs(formulas.attention, count=3),
    "aten::gru": _gru,
    "aten::einsum": _einsum,
    "aten::grid_sampler": _grid_sampler,
    "aten::upsample_bilinear2d": _upsample("bilinear"),
    "aten::upsample_bicubic2d": _upsample("bicubic"),
    "aten::embedding_bag": _of_inputs(formulas.embedding_bag),
    "torchvision::roi_align": _roi_align,
}


def _flops(formula: Callable[..., int]) -> DispatchHandle:
    """``formula`` (multiply-adds) for a counter whose unit is the FLOP."""

    def handle(*args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return 2 * formula(args, out_shape)

    return handle


def _packets(*names: str) -> list[Any]:
    """The operators among ``names`` that this version of torch has."""
    found = []
    for name in names:
        namespace, _, operator = name.partition("::")
        packet = getattr(getattr(torch.ops, namespace), operator, None)
        if packet is not None:
            found.append(packet)
    return found


def dispatch_handles() -> dict[Any, DispatchHandle]:
    """Handles that torch's counter lacks, for its ``custom_mapping``."""
    table: list[tuple[Callable[..., int], tuple[str, ...]]] = [
        (lambda args, out: formulas.matmul(*args[:2]), ("aten::mv", "aten::dot")),
        (lambda args, out: formulas.matmul(*args[1:3]), ("aten::addmv",)),
        (lambda args, out: formulas.linear_layer(*args[:2]), ("mkldnn::_linear_pointwise",)),
        # a GPU's GRU, which is products and sums on a CPU; backwards a product for each operand
        (lambda args, out: formulas.gru(*args[:2]), ("aten::_cudnn_rnn",)),
        (lambda args, out: 2 * formulas.gru(*args[:2]), ("aten::_cudnn_rnn_backward",)),
        # torch's own counts a grouped convolution's weights as if there were no groups
        (_convolution_backward, ("aten::convolution_backward",)),
        (
            lambda args, out: formulas.embedding_bag(*args[:2]),
            ("aten::_embedding_bag", "aten::_embedding_bag_forward_only"),
        ),
        (
            lambda args, out: formulas.interpolation(out, GRID_SAMPLE_MODES[args[2]]),
            ("aten::grid_sampler_2d", "aten::grid_sampler_3d"),
        ),
        (
            lambda args, out: formulas.interpolation(out, "bilinear"),
            ("aten::upsample_bilinear2d", "aten::cudnn_grid_sampler"),
        ),
        (
            lambda args, out: formulas.interpolation(out, "bicubic"),
            ("aten::upsample_bicubic2d",),
        ),
        (lambda args, out: formulas.roi_pooling(out, args[5]), ("torchvision::roi_align",)),
    ]
    return {packet: _flops(formula) for formula, names in table for packet in _packets(*names)}
