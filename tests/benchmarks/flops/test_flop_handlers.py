"""Every operator through both counters, against its closed form."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops.counters import count
from benchmarks.flops.handlers import dispatch_handles

pytestmark = pytest.mark.versions


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def total(module, *inputs):
    result = count(module, inputs, parts={})
    assert result.counters["fvcore"] == result.counters["torch"] == result.total
    return result.total


def of(function, *inputs):
    return total(Function(function), *inputs)


def ones(*shape):
    return torch.ones(shape)


def test_linear_and_matrix_products():
    assert total(nn.Linear(5, 7), ones(2, 3, 5)) == 2 * 3 * 5 * 7
    assert total(nn.Linear(5, 7, bias=False), ones(5)) == 5 * 7
    assert of(torch.mm, ones(2, 3), ones(3, 4)) == 24
    assert of(torch.bmm, ones(5, 2, 3), ones(5, 3, 4)) == 5 * 24
    assert of(torch.addmm, ones(2, 4), ones(2, 3), ones(3, 4)) == 24
    assert of(torch.baddbmm, ones(5, 2, 4), ones(5, 2, 3), ones(5, 3, 4)) == 5 * 24
    assert of(torch.mv, ones(3, 4), ones(4)) == 12
    assert of(torch.dot, ones(4), ones(4)) == 4
    assert of(torch.addmv, ones(3), ones(3, 4), ones(4)) == 12


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [((2, 3), (3, 4), 24), ((5, 2, 3), (3, 4), 120), ((5, 1, 2, 3), (7, 3, 4), 5 * 7 * 24),
     ((3,), (3, 4), 12), ((2, 3), (3,), 6)],
)  # fmt: skip
def test_matmul_broadcasting(a, b, expected):
    assert of(torch.matmul, ones(*a), ones(*b)) == expected


def test_convolutions():
    assert total(nn.Conv2d(4, 6, 3, stride=2, padding=1), ones(2, 4, 8, 8)) == (2 * 16 * 6 * 4 * 9)
    assert total(nn.Conv2d(6, 6, 3, padding=1, groups=6), ones(2, 6, 8, 8)) == 2 * 64 * 6 * 9
    assert total(nn.Conv2d(4, 6, 3, groups=2), ones(1, 4, 5, 5)) == 9 * 6 * 2 * 9
    assert total(nn.Conv1d(4, 6, 3), ones(1, 4, 5)) == 3 * 6 * 4 * 3
    assert total(nn.ConvTranspose2d(4, 6, 2, stride=2), ones(2, 4, 8, 8)) == 2 * 64 * 4 * 6 * 4
    assert total(nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), ones(1, 4, 3, 3)) == (
        9 * 4 * 3 * 4
    )


def test_recurrent_layers():
    one = nn.GRU(5, 4, batch_first=True)
    assert total(one, ones(2, 3, 5)) == 2 * 3 * (3 * 4 * 5 + 3 * 4 * 4)
    both = nn.GRU(5, 4, num_layers=2, batch_first=True, bidirectional=True, bias=False)
    assert total(both, ones(2, 3, 5)) == 2 * 3 * 2 * (12 * 5 + 12 * 4 + 12 * 8 + 12 * 4)


@pytest.mark.parametrize("layers", [1, 2])
def test_recurrent_layers_by_cudnn_count_the_same(layers):
    """Their operator on shapes without values, since cuDNN itself needs a GPU."""
    gru = nn.GRU(5, 4, num_layers=layers, batch_first=True)
    weights = [torch.empty(p.shape, device="meta") for p in gru.parameters()]
    x, state = torch.empty(2, 3, 5, device="meta"), torch.empty(layers, 2, 4, device="meta")
    settings = (3, 4, 0, layers, True, 0.0, False, False, [], None)
    counter = FlopCounterMode(display=False, custom_mapping=dispatch_handles())
    with counter:
        out = torch.ops.aten._cudnn_rnn(x, weights, 4, None, state, None, *settings)
    assert out[0].shape == (2, 3, 4)
    assert counter.get_total_flops() == 2 * total(gru, ones(2, 3, 5))
    backward = dispatch_handles()[torch.ops.aten._cudnn_rnn_backward]
    shapes = x.shape, [weight.shape for weight in weights]
    assert backward(*shapes) == 2 * counter.get_total_flops()


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_convolution_costs_as_much_again_for_each_gradient(kind, groups, frozen):
    layer, x = kind(4, 8, 3, stride=2, groups=groups), ones(2, 4, 7, 9)
    counter = FlopCounterMode(display=False, custom_mapping=dispatch_handles())
    with counter:
        layer(x.requires_grad_(not frozen)).sum().backward()
    gradients = 1 if frozen else 2
    assert counter.get_total_flops() == 2 * (1 + gradients) * total(layer, ones(2, 4, 7, 9))


def test_scaled_dot_product_attention():
    q, k, v = ones(2, 4, 10, 8), ones(2, 4, 6, 8), ones(2, 4, 6, 3)
    expected = 2 * 4 * 10 * 6 * (8 + 3)
    assert of(F.scaled_dot_product_attention, q, k, v) == expected
    masked = lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m)  # noqa: E731
    assert of(masked, q, k, v, ones(10, 6)) == expected


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_torchs_own_attention_layer_counts_its_products(batch_first, need_weights):
    """As mmdet's heads use it: with a fast path, a fused kernel or neither, as torch decides."""
    layer = nn.MultiheadAttention(32, 4, batch_first=batch_first).eval()
    queries = ones(3, 10, 32) if batch_first else ones(10, 3, 32)
    attend = Function(lambda x: layer(x, x, x, need_weights=need_weights)[0])
    attend.layer = layer
    with torch.no_grad():
        assert total(attend, queries) == 3 * (4 * 10 * 32 * 32 + 2 * 10 * 10 * 32)


def runs(backend, device="cpu"):
    """Whether this torch runs attention by ``backend`` alone on ``device``."""
    q = torch.ones(1, 1, 2, 8, device=device)
    try:
        with sdpa_kernel(backend):
            F.scaled_dot_product_attention(q, q, q)
    except RuntimeError:
        return False
    return True


KERNELS = [backend for backend in SDPBackend.__members__.values() if backend.value >= 0]


def attention_forced_to(backend, device):
    """The count of attention where only ``backend`` may run."""
    q, k, v = (torch.ones(2, 4, n, 8, device=device) for n in (10, 6, 6))
    with sdpa_kernel(backend):
        return count(Function(F.scaled_dot_product_attention), (q, k, v), parts={})


@pytest.mark.parametrize("backend", [b for b in KERNELS if runs(b)], ids=lambda b: b.name)
def test_the_count_does_not_depend_on_the_fused_kernel(backend):
    result = attention_forced_to(backend, "cpu")
    assert result.counters == dict.fromkeys(("fvcore", "torch"), 2 * 4 * 10 * 6 * (8 + 8))
    # the softmax and the scaling of queries and keys, which fused kernels do not show
    assert result.elementwise == 2 * 4 * (10 * 6 + 10 * 8 + 6 * 8)


def test_a_cpu_has_a_fused_kernel_to_be_forced():
    assert runs(SDPBackend.MATH) and runs(SDPBackend.FLASH_ATTENTION)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", KERNELS, ids=lambda b: b.name)
def test_the_count_does_not_depend_on_the_fused_kernel_of_a_gpu(backend):
    if not torch.cuda.is_available() or not runs(backend, "cuda"):
        pytest.skip(f"needs a GPU that runs {backend.name}")
    result = attention_forced_to(backend, "cuda")
    assert result.total == 2 * 4 * 10 * 6 * (8 + 8)


def test_which_kernels_attention_may_run_is_left_as_it_was():
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        total(nn.Linear(2, 2), ones(1, 2))
        assert torch.backends.cuda.flash_sdp_enabled()
        assert not torch.backends.cuda.math_sdp_enabled()


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("tokens", [10, 300])
def test_multihead_attention_in_eval_mode_is_counted_in_full(tokens, need_weights):
    channels = 16
    attention = nn.MultiheadAttention(channels, 4, batch_first=True)

    def attend(x):
        return attention(x, x, x, need_weights=need_weights)[0]

    projections = 2 * tokens * channels * channels * 4
    products = 2 * 2 * tokens * tokens * channels
    module = Function(attend)
    module.attention = attention
    assert total(module, torch.randn(2, tokens, channels)) == projections + products


def test_the_fast_path_setting_is_restored():
    before = torch.backends.mha.get_fastpath_enabled()
    total(nn.Linear(2, 2), ones(1, 2))
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_transformer_encoder_layer_is_counted_in_full():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    tokens = 10
    expected = tokens * (4 * 16 * 16 + 2 * tokens * 16 + 2 * 16 * 32)
    assert total(layer, torch.randn(1, tokens, 16)) == expected


@pytest.mark.parametrize(
    ("equation", "a", "b", "expected"),
    [("abc,abd->acd", (2, 3, 4), (2, 3, 5), 2 * 3 * 4 * 5),
     ("nqc,nchw->nqhw", (2, 3, 4), (2, 4, 12, 34), 2 * 3 * 4 * 12 * 34),
     ("bmchw,bmc->bmhw", (1, 3, 7, 5, 6), (1, 3, 7), 3 * 7 * 5 * 6)],
)  # fmt: skip
def test_einsum(equation, a, b, expected):
    assert of(lambda x, y: torch.einsum(equation, x, y), ones(*a), ones(*b)) == expected


def test_embedding_bag_roi_align():
    index = torch.zeros(6, 16, dtype=torch.long)

    def pool(table, weights):
        return F.embedding_bag(index, table, mode="sum", per_sample_weights=weights)

    assert of(pool, ones(50, 8), ones(6, 16)) == 6 * 16 * 8


@pytest.mark.parametrize(("mode", "taps"), [("bilinear", 4), ("nearest", 0), ("bicubic", 16)])
def test_grid_sample(mode, taps):
    def sample(image, grid):
        return F.grid_sample(image, grid, mode=mode, align_corners=False)

    assert of(sample, ones(2, 3, 5, 5), torch.zeros(2, 4, 6, 2)) == 2 * 3 * 4 * 6 * taps


@pytest.mark.parametrize(("mode", "taps"), [("bilinear", 4), ("nearest", 0), ("bicubic", 16)])
def test_interpolate(mode, taps):
    assert of(lambda x: F.interpolate(x, size=(6, 8), mode=mode), ones(2, 3, 4, 4)) == (
        2 * 3 * 6 * 8 * taps
    )


def test_torchvision_roi_align():
    rois = torch.tensor([[0.0, 0, 0, 4, 4], [1, 1, 1, 3, 3]])
    pool = lambda x, r: torchvision.ops.roi_align(x, r, 7, sampling_ratio=2)  # noqa: E731
    assert of(pool, ones(2, 8, 9, 9), rois) == 2 * 8 * 49 * 4 * 4


@pytest.mark.parametrize(
    "module",
    [nn.LayerNorm(8), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.GELU(), nn.ReLU(inplace=True),
     nn.Softmax(-1), nn.Sigmoid(), nn.Dropout(0.5), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.SiLU()],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_what_touches_each_element_once_is_not_counted(module):
    shape = (3, 4, 8, 8)
    result = count(module, (torch.randn(shape),), parts={})
    assert result.total == 0
    assert (result.elementwise > 0) == (not isinstance(module, nn.Dropout))
