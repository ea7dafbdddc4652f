"""How fast this machine multiplies matrices: the yardstick for figures of other machines.

A model's multiply-adds a second, divided by this rate (same device, precision and threads), is a
share that can be compared between machines; frames a second cannot.  torch multiplies by several
libraries, of which a model may use any, so the rate is that of the quickest one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.speed.timing import Call, Sampling, interleaved
from core.model.operators.linear import AVAILABLE as ONEDNN
from core.model.operators.linear import multiply_by_onednn

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

TORCH = "torch.mm"
"""By the library that torch picks; the only product of records that name none."""


@dataclass(frozen=True)
class Backends:
    """What CUDA's libraries may do for speed; none: as torch has it, which is what cells run with.

    Attributes:
        tf32: products and convolutions of float32 in TF32, both or neither.
        cudnn_benchmark: cuDNN tries its algorithms for each new shape.
    """

    tf32: bool | None = None
    cudnn_benchmark: bool | None = None

    def set(self) -> None:
        """For this process."""
        if self.tf32 is not None:
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
            torch.backends.cudnn.allow_tf32 = self.tf32
        if self.cudnn_benchmark is not None:
            torch.backends.cudnn.benchmark = self.cudnn_benchmark


def backends(device: torch.device) -> dict[str, Any]:
    """For a protocol: the products that are tried, and the settings that are in force on a GPU."""
    found: dict[str, Any] = {"matmul_libraries": list(_products(device, *[torch.empty(0)] * 3))}
    if device.type != "cuda":
        return found
    return {
        **found,
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


@dataclass(frozen=True)
class MatmulRate:
    """Multiply-adds a second of a square matrix product of ``size``, by each library."""

    by_library: Mapping[str, float]
    size: int

    @property
    def library(self) -> str:
        """The quickest."""
        return max(self.by_library, key=self.by_library.__getitem__)

    @property
    def per_second(self) -> float:
        """Of the quickest library: what the machine can do."""
        return self.by_library[self.library]


def rate_facts(rates: Sequence[MatmulRate]) -> dict[str, Any]:
    """For a record: the highest of the rates, by which library, and the first and the last."""
    rate = max(rates, key=lambda rate: rate.per_second)
    return {
        "matmul_rate": rate.per_second,
        "matmul_library": rate.library,
        "matmul_rates": dict(rate.by_library),
        "matmul_rate_before": rates[0].per_second,
        "matmul_rate_after": rates[-1].per_second,
        "matmul_size": rate.size,
    }


@torch.inference_mode()
def matmul_rate(
    device: torch.device, precision: str, *, seconds: float = 1.0, size: int | None = None
) -> MatmulRate:
    """Measure the rate of a large product of two square matrices, by each library in turns.

    Args:
        precision: ``fp32`` (with the process's own TF32 setting) or ``bf16``.
        seconds: time to spend, about.
        size: side of the matrices; none: 8192 on a GPU; on a CPU the largest power of two
            between 256 and 2048 whose product takes no more than a tenth of ``seconds``.
    """
    dtype = DTYPES[precision]
    if size is None:
        size = 8192 if device.type == "cuda" else _size_for(seconds / 10, dtype)
    a = torch.randn(size, size, dtype=dtype, device=device)
    b = torch.randn(size, size, dtype=dtype, device=device)
    sampling = Sampling(warmup=2, min_samples=5, min_seconds=seconds)
    samples = interleaved(_products(device, a, b, torch.empty_like(a)), sampling, device)
    rates = {name: 1e3 * size**3 / statistics.median(ms) for name, ms in samples.items()}
    return MatmulRate(rates, size)


def _products(
    device: torch.device, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor
) -> dict[str, Call]:
    """A product of ``a`` and ``b`` by each library, and on a GPU in both layouts of ``b``."""
    products: dict[str, Call] = {TORCH: lambda: torch.mm(a, b, out=out)}
    if device.type == "cuda":
        products["F.linear"] = lambda: F.linear(a, b)
    elif ONEDNN:
        products["oneDNN"] = lambda: multiply_by_onednn(a, b, None)
    return products


def _size_for(seconds: float, dtype: torch.dtype) -> int:
    """Side of the largest CPU product that takes at most ``seconds``, by trial."""
    size = 256
    while size < 2048:
        a = torch.randn(size, size, dtype=dtype)
        a @ a  # the first product also starts the threads
        start = time.perf_counter()
        a @ a
        if 8 * (time.perf_counter() - start) > seconds:
            break
        size *= 2
    return size
