"""How fast this machine multiplies matrices: the yardstick for figures of other machines.

A model's multiply-adds a second, divided by this rate (same device, precision and threads), is a
share that can be compared between machines; frames a second cannot.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.speed.timing import Sampling, interleaved

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


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
    """The settings that are in force, for a protocol; a CPU has none."""
    if device.type != "cuda":
        return {}
    return {
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


@dataclass(frozen=True)
class MatmulRate:
    """Multiply-adds a second of a square matrix product of ``size``."""

    per_second: float
    size: int
    samples_ms: list[float]


def matmul_rate(
    device: torch.device, precision: str, *, seconds: float = 1.0, size: int | None = None
) -> MatmulRate:
    """Measure the rate of a large product of two square matrices, the median of its samples.

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
    out = torch.empty_like(a)
    sampling = Sampling(warmup=2, min_samples=5, min_seconds=seconds)
    samples = interleaved({"matmul": lambda: torch.mm(a, b, out=out)}, sampling, device)["matmul"]
    median = sorted(samples)[len(samples) // 2]
    return MatmulRate(size**3 / (median / 1e3), size, samples)


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
