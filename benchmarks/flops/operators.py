"""Operators that are no multiply-adds, named one by one.

An operator that a model runs must be counted by a handle or stand in one of these two tables;
any other is an error (``UncountedOperatorError``), so that nothing can be left out in silence.

The tables hold the names of traces (``softmax``) as well as those of the dispatcher
(``_softmax``), without namespace, overload and the underscore of in-place variants.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Views, copies, creation, indexing, sorting, types and sizes: data moves, nothing is computed.
MOVES = _names(
    """
    Int ScalarImplicit FloatImplicit IntImplicit Bool Float alias arange argsort as_strided
    as_tensor broadcast_tensors broadcast_to cat channel_shuffle chunk clone concat contiguous
    copy constant_pad_nd detach dim dropout device embedding empty empty_like empty_strided
    expand expand_as feature_dropout fill flatten flip full full_like gather hstack index
    index_copy index_put index_select is_same_size item len lift lift_fresh linspace
    masked_fill masked_scatter masked_select meshgrid movedim moveaxis narrow new_empty
    new_empty_strided new_full new_ones new_zeros nonzero numel one_hot ones ones_like pad permute
    pixel_shuffle reflection_pad2d repeat repeat_interleave replication_pad2d reshape resize
    roll scatter select set shape size slice slice_scatter sort split split_with_sizes squeeze
    stack sym_numel sym_size sym_stride t take_along_dim tensor_split tensor tile to _to_copy topk
    transpose tril triu type_as unbind unfold im2col unflatten unique _unique2 unsafe_split
    unsafe_split_with_sizes unsqueeze _unsafe_view upsample_nearest2d upsample_nearest1d view
    view_as _reshape_alias _local_scalar_dense zero zeros zeros_like rot90 scalar_tensor
    _assert_async _assert_tensor_metadata result_type bucketize searchsorted swapaxes
    """
)

# One to a few operations an element, or a sum without products: norms, activations, softmax,
# residuals, poolings, comparisons, box arithmetic.
ELEMENTWISE = _names(
    """
    __and__ __or__ __xor__ __iand__ __ior__ abs add adaptive_avg_pool2d _adaptive_avg_pool2d
    adaptive_max_pool2d all amax amin aminmax any argmax argmin atan2 avg_pool2d batch_norm
    bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp clamp_max clamp_min clip cos cumsum
    cudnn_batch_norm deg2rad div elu eq equal exp expm1 erf floor floor_divide frobenius_norm ge
    gelu group_norm native_group_norm gt hardsigmoid hardswish hardtanh instance_norm isfinite
    isinf isnan layer_norm native_layer_norm le leaky_relu lerp log log1p log2 log_softmax
    _log_softmax logical_and logical_not logical_or logical_xor lt max max_pool2d
    max_pool2d_with_indices maximum mean min minimum miopen_batch_norm mish mul nan_to_num
    _native_batch_norm_legit _native_batch_norm_legit_no_training native_batch_norm ne neg norm
    linalg_vector_norm nms pow prelu reciprocal remainder relu relu6 rms_norm round rsqrt rsub
    sigmoid sign silu sin softmax _softmax _safe_softmax softplus special_expm1 sqrt square std sub
    sum tanh true_divide trunc var var_mean where batch_norm_elemt fmod
    xlogy addcmul addcdiv native_dropout rand rand_like randn randn_like normal uniform bernoulli
    triu_indices tril_indices count_nonzero isclose prod _thnn_fused_gru_cell
    """
)


# products element by element: a matrix product that is written as multiply and sum hides here
PRODUCTS = _names("mul addcmul square pow lerp prod")


def base_name(operator: str) -> str:
    """``aten::add_`` and ``aten.add_.Tensor`` as ``add``; Python operators keep their name.

    A namespace other than those of torch and torchvision stays, so that a custom operator cannot
    pass for one of theirs.
    """
    namespace, separator, name = operator.partition("::")
    if not separator:
        namespace, _, name = operator.partition(".")
        name = name.partition(".")[0]
    if namespace not in ("aten", "torchvision"):
        return operator
    return name if name.startswith("__") else name.rstrip("_")


def is_free(operator: str) -> bool:
    """Whether ``operator`` is known to do no multiply-adds."""
    name = base_name(operator)
    return name in MOVES or name in ELEMENTWISE
